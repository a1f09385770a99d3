"""What is known of a stream while it is read: kept chunks in key order, and the gaps between them.

A gap begins at the first key of the chunk that stood there, so after a cut, and is read as a part of the stream is
(``drtool.sources.cutting``): on into what follows until the cuts coincide. What follows then loses as many records, in
whole chunks. By induction from the end of the stream the list is the one that reading all of it in one go would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from drtool.errors import RepositoryError
from drtool.operations.backup.collecting import PartList
from drtool.repository.pages import PageBuilder, PageRef
from drtool.sources.reading import KeyRange


class NotKeptError(RepositoryError):
    """What is kept of an earlier snapshot is not there as it was written: it is to be read again."""


class UnjoinedError(ValueError):
    """Parts of a stream do not join: they did not read the same records, or what is kept is not what the source has."""

    def __init__(self) -> None:
        super().__init__("parts of a stream do not join: they did not read the same records")


@dataclass(frozen=True, slots=True)
class Gap:
    """Keys to be read, from ``lower`` (None where nothing came before when it was made) to what follows it; about so
    many bytes."""

    lower: bytes | None
    bytes: int


@dataclass(frozen=True, slots=True)
class KeptLeaf:
    """A whole leaf of an older tree, and the first key in it. ``ends_tree`` says that not the rule ended it."""

    ref: PageRef
    first: bytes
    ends_tree: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """The chunks from ``start`` to ``stop`` of a list."""

    chunks: PartList
    start: int
    stop: int

    def __post_init__(self) -> None:
        assert self.start < self.stop


Item = Gap | KeptLeaf | Stretch
Expand = Callable[[KeptLeaf], PartList]


@dataclass(frozen=True, slots=True)
class Part:
    """What was read of a range of about ``bytes``: the whole of it, or the chunks up to where reading ended."""

    range: KeyRange
    chunks: PartList
    complete: bool
    bytes: int


@dataclass(frozen=True, slots=True)
class Spot:
    """One chunk and the range of keys that it stands for."""

    range: KeyRange
    id: bytes
    length: int


class Coverage:
    """The whole key space of one stream, as gaps and what is kept. `expand` gives the chunks of a leaf; its
    ``NotKeptError`` leaves the coverage as it was."""

    def __init__(self, items: Sequence[Item], expand: Expand) -> None:
        self._items: list[Item] = []
        for item in items:
            _append(self._items, item)
        self._expand = expand

    @property
    def missing(self) -> int:
        """About how many bytes are to be read."""
        return sum(item.bytes for item in self._items if isinstance(item, Gap))

    @property
    def is_whole(self) -> bool:
        """Is nothing left to be read?"""
        return not any(isinstance(item, Gap) for item in self._items)

    @property
    def inherited(self) -> int:
        """How many chunks are taken over from an earlier snapshot."""
        return sum(_chunks(item) for item in self._items if _is_inherited(item))

    def gaps(self) -> Iterator[tuple[int, KeyRange, int]]:
        """The place, the range and the size of each gap."""
        for place, item in enumerate(self._items):
            if isinstance(item, Gap):
                yield place, KeyRange(item.lower if place else None, self._first_after(place)), item.bytes

    def groups(self) -> Groups | None:
        """What is kept at this moment, for `View.changes`. None where nothing is: then nobody can tell what changed in
        the stream, even where it was read and found empty."""
        places = [place for place, item in enumerate(self._items) if place or not isinstance(item, Gap)]
        if not any(not isinstance(item, Gap) for item in self._items):
            return None
        return Groups(self._items, places, self._expand)

    def drop(self, touched: Mapping[int, Set[int]]) -> int:
        """Make gaps of the chunks that `View.changes` names (by the numbers of `groups`). Returns their bytes."""
        groups = self.groups()
        assert groups is not None
        by_place = {groups.places[group]: numbers for group, numbers in touched.items() if numbers}
        items: list[Item] = []
        dropped = 0
        for place, item in enumerate(self._items):
            if place in by_place and not isinstance(item, Gap):
                for piece in _without(self._stretch(item), by_place[place]):
                    dropped += piece.bytes if isinstance(piece, Gap) else 0
                    _append(items, piece)
            else:
                _append(items, item)
        self._items = items
        return dropped

    def fill(self, parts: Mapping[int, Sequence[Part]]) -> int:
        """Put in what was read of the gaps, by their places; of each gap all parts, in order. Returns the bytes kept.

        Raises ``UnjoinedError`` where parts do not fit, which cannot happen while all belong to one instant.
        """
        kept = 0
        following: list[Item] = []  # in reverse, so that the nearest is at its end
        for place in range(len(self._items) - 1, -1, -1):
            item = self._items[place]
            if place in parts:
                for part in reversed(parts[place]):
                    kept += self._put(part, following)
            else:
                _prepend(following, item)
        self._items = following[::-1]
        return kept

    def give_up_lost(self) -> int:
        """Make gaps of the leaves that `expand` does not give (``NotKeptError``); returns how many."""
        items: list[Item] = []
        lost = 0
        for item in self._items:
            if isinstance(item, KeptLeaf) and not self._is_there(item):
                _append(items, Gap(item.first, item.ref.bytes))
                lost += 1
            else:
                _append(items, item)
        self._items = items
        return lost

    def build(self, builder: PageBuilder) -> Iterator[PageRef]:
        """Give the chunks to a builder of pages; yields the leaves that it took over whole."""
        for place, item in enumerate(self._items):
            assert not isinstance(item, Gap)
            is_end = place == len(self._items) - 1
            if isinstance(item, KeptLeaf) and builder.begins_leaf and (is_end or not item.ends_tree):
                builder.add_leaf(item.ref)
                yield item.ref
                continue
            stretch = self._stretch(item)
            for index in range(stretch.start, stretch.stop):
                builder.add(*stretch.chunks.entry(index))

    def spots(self, numbers: Sequence[int]) -> Iterator[Spot]:
        """Those inherited chunks that have these numbers (ascending) among the inherited ones."""
        begin, at = 0, 0
        for place, item in enumerate(self._items):
            if not _is_inherited(item) or isinstance(item, Gap):
                continue
            end = begin + _chunks(item)
            if at < len(numbers) and numbers[at] < end:
                stretch = self._stretch(item)
                while at < len(numbers) and numbers[at] < end:
                    yield self._spot(place, stretch, stretch.start + numbers[at] - begin)
                    at += 1
            begin = end

    def _spot(self, place: int, stretch: Stretch, index: int) -> Spot:
        chunks = stretch.chunks
        lower = chunks.first(index) if place or index > stretch.start else None
        upper = chunks.first(index + 1) if index + 1 < stretch.stop else self._first_after(place)
        return Spot(KeyRange(lower, upper), chunks.id(index), chunks.lengths[index])

    def _first_after(self, place: int) -> bytes | None:
        return _first(self._items[place + 1]) if place + 1 < len(self._items) else None

    def _is_there(self, leaf: KeptLeaf) -> bool:
        try:
            self._expand(leaf)
        except NotKeptError:
            return False
        return True

    def _stretch(self, item: KeptLeaf | Stretch) -> Stretch:
        if isinstance(item, Stretch):
            return item
        chunks = self._expand(item)
        return Stretch(chunks, 0, len(chunks))

    def _put(self, part: Part, following: list[Item]) -> int:
        """Put a part before `following`; returns the bytes kept. What cannot be joined to it, or may not have been its
        last chunk, is left out, and a gap stands there."""
        chunks = part.chunks
        kept = len(chunks) if part.complete else max(0, len(chunks) - 1)
        if not part.complete or not self._give_way(following, sum(chunks.beyond)):
            kept = next((index for index in range(kept) if chunks.beyond[index]), kept)
        size = sum(chunks.lengths[:kept])
        if kept < len(chunks) or not part.complete:
            lower = chunks.first(kept) if kept else part.range.lower
            _prepend(following, Gap(lower, max(0, part.bytes - size)))
        if kept:
            following.append(Stretch(chunks, 0, kept))
        return size

    def _give_way(self, following: list[Item], overlap: int) -> bool:
        """Take so many records off the beginning of `following`; False, and nothing is taken, where a gap comes
        first."""
        whole = 0
        while overlap > 0:
            if whole == len(following):
                raise UnjoinedError
            item = following[-1 - whole]
            if isinstance(item, Gap):
                return False
            if _records(item) > overlap:
                following[-1 - whole] = _after(self._stretch(item), overlap)
                break
            overlap -= _records(item)
            whole += 1
        del following[len(following) - whole :]
        return True


class Groups:
    """What of a coverage is kept (``drtool.sources.reading.Base``); a gap is a group of one, so that no neighbour
    stands for its keys. ``places`` are the items' places in the coverage."""

    def __init__(self, items: Sequence[Item], places: Sequence[int], expand: Expand) -> None:
        self._items, self.places, self._expand = items, places, expand

    def firsts(self) -> Sequence[bytes]:
        """See ``Base.firsts``."""
        return [_first(self._items[place]) for place in self.places]

    def bounds(self, group: int) -> Sequence[bytes]:
        """See ``Base.bounds``."""
        item = self._items[self.places[group]]
        if isinstance(item, Gap):
            return [_first(item)]
        if isinstance(item, Stretch):
            return [item.chunks.first(index) for index in range(item.start, item.stop)]
        chunks = self._expand(item)
        return [chunks.first(index) for index in range(len(chunks))]

    def kept(self, touched: Mapping[int, Set[int]]) -> bool:
        """Is any of these chunks one that is kept, and not a gap?"""
        return any(
            numbers and not isinstance(self._items[self.places[group]], Gap) for group, numbers in touched.items()
        )


def gapped(chunks: PartList, numbers: Set[int]) -> Iterator[Item]:
    """The chunks of a list, with gaps in the place of those that have these numbers."""
    yield from _without(Stretch(chunks, 0, len(chunks)), numbers)


def _first(item: Item) -> bytes:
    if isinstance(item, KeptLeaf):
        return item.first
    if isinstance(item, Stretch):
        return item.chunks.first(item.start)
    assert item.lower is not None  # only the first gap has none
    return item.lower


def _chunks(item: Item) -> int:
    if isinstance(item, Gap):
        return 0
    return item.ref.chunks if isinstance(item, KeptLeaf) else item.stop - item.start


def _records(item: KeptLeaf | Stretch) -> int:
    if isinstance(item, KeptLeaf):
        return item.ref.records
    return sum(item.chunks.records[item.start : item.stop])


def _is_inherited(item: Item) -> bool:
    return isinstance(item, KeptLeaf) or (isinstance(item, Stretch) and item.chunks.inherited)


def _append(items: list[Item], item: Item) -> None:
    if isinstance(item, Gap) and items and isinstance(items[-1], Gap):
        items[-1] = Gap(items[-1].lower, items[-1].bytes + item.bytes)
    else:
        items.append(item)


def _prepend(following: list[Item], item: Item) -> None:
    if isinstance(item, Gap) and following and isinstance(following[-1], Gap):
        following[-1] = Gap(item.lower, item.bytes + following[-1].bytes)
    else:
        following.append(item)


def _without(stretch: Stretch, numbers: Set[int]) -> Iterator[Gap | Stretch]:
    """The stretch with gaps in the place of some of its chunks, counted from its start."""
    chunks, begin = stretch.chunks, stretch.start
    for index in sorted(stretch.start + number for number in numbers):
        if begin < index:
            yield Stretch(chunks, begin, index)
        yield Gap(chunks.first(index), chunks.lengths[index])
        begin = index + 1
    if begin < stretch.stop:
        yield Stretch(chunks, begin, stretch.stop)


def _after(stretch: Stretch, overlap: int) -> Stretch:
    """The stretch without the chunks that hold its first `overlap` records, which are fewer than all."""
    start = stretch.start
    while overlap > 0:
        overlap -= stretch.chunks.records[start]
        start += 1
    if overlap < 0:
        raise UnjoinedError
    return Stretch(stretch.chunks, start, stretch.stop)
