"""Following references through many catalog chunks: what lies together in a pack comes with one request."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from drtool.errors import DamagedObjectError, MissingObjectError, ObjectMissingError, RepositoryError, WrongKeyError
from drtool.repository.chunks import open_chunk
from drtool.repository.keyring import ChunkKind
from drtool.repository.layout import Layout, Place
from drtool.repository.packs import Slot, decode_header, pack_name
from drtool.repository.pages import PageRef
from drtool.repository.repository import Repository

#: How many requests are under way at the same time.
REQUESTS_AT_ONCE = 16
#: A pack of at most so many bytes is read whole: what a snapshot added to its pages lies in one.
_WHOLE_BYTES = 2 * 1024 * 1024
#: Of larger ones, chunks that lie no further apart (bytes) come with one request of at most so many bytes.
_GAP_BYTES, _RANGE_BYTES = 512 * 1024, 4 * 1024 * 1024

Take = Callable[[bytes, PageRef | None, bytes], Iterable[PageRef]]
"""Is given a chunk's id, the reference that led to it (None for a stream list) and its content; the pages that it leads
to."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes of a pack from ``start`` on, its slots, and what was wanted there; or why they cannot be had."""

    wanted: Sequence[Place]
    data: bytes = b""
    start: int = 0
    slots: tuple[Slot, ...] = ()
    error: RepositoryError | None = None

    def holds(self, place: Place) -> bool:
        """Does the chunk lie in here?"""
        same = place.entry.pack == self.wanted[0].entry.pack
        return same and self.start <= place.offset and place.offset + place.stored <= self.start + len(self.data)

    def cut(self, place: Place) -> bytes:
        """The sealed bytes of a chunk."""
        return self.data[place.offset - self.start :][: place.stored]


class BulkReader:
    """Reads catalog chunks; `close` when done. Keeps the key slots of packs that it has seen."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._slots: dict[bytes, tuple[Slot, ...]] = {}
        self._keys: dict[bytes, bytes] = {}
        self._pool = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="catalog")

    def follow(self, layout: Layout, wanted: Mapping[bytes, PageRef | None], known: set[bytes], take: Take) -> None:
        """Read these chunks, and every page that they lead to and that is not `known` (it is from then on), in any
        order. Every place of a chunk is tried; the error of the last is raised where it is in none of them."""
        places = layout.places_of_kind(ChunkKind.CATALOG)
        refs: dict[bytes, PageRef | None] = dict(wanted)
        turns = dict.fromkeys(refs, 0)
        errors: dict[bytes, RepositoryError] = {}
        while turns:
            later: dict[bytes, int] = {}
            for piece in self._fetch_all(_ranges(_at(places, turns, errors))):
                if piece.error is not None:
                    for place in piece.wanted:
                        later[place.id], errors[place.id] = turns[place.id] + 1, piece.error
                    continue
                work = list(piece.wanted)
                while work:
                    place = work.pop()
                    try:
                        data = self._open(place, piece)
                    except (DamagedObjectError, WrongKeyError) as error:
                        later[place.id], errors[place.id] = turns.get(place.id, -1) + 1, error
                        continue
                    for ref in take(place.id, refs.pop(place.id), data):
                        if ref.id not in known:
                            known.add(ref.id)
                            refs[ref.id] = ref
                            near = next((p for p in places.get(ref.id, ()) if piece.holds(p)), None)
                            if near is not None:
                                work.append(near)
                            else:
                                later[ref.id] = 0
            turns = later

    def close(self) -> None:
        """Give up the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fetch_all(self, ranges: Iterable[Sequence[Place]]) -> Iterator[_Piece]:
        """Only so many are under way, or wait to be taken."""
        flying: deque[Future[_Piece]] = deque()
        try:
            for some in ranges:
                if len(flying) >= REQUESTS_AT_ONCE:
                    yield flying.popleft().result()
                flying.append(self._pool.submit(self._fetch, some))
            while flying:
                yield flying.popleft().result()
        finally:
            for future in flying:
                future.cancel()

    def _fetch(self, places: Sequence[Place]) -> _Piece:
        try:
            return self._read(places)
        except ObjectMissingError:
            name = pack_name(places[0].entry.pack)
            return _Piece(places, error=MissingObjectError(f"{name} is missing").about(name))
        except RepositoryError as error:
            return _Piece(places, error=error)

    def _read(self, places: Sequence[Place]) -> _Piece:
        entry, storage = places[0].entry, self._repository.storage
        name = pack_name(entry.pack)
        slots = self._slots.get(entry.pack)
        if entry.size <= _WHOLE_BYTES:
            start, data = 0, storage.get(name)
        else:
            start, end = places[0].offset, max(place.offset + place.stored for place in places)
            if slots is None and start - entry.header <= _GAP_BYTES:
                start = 0
            elif slots is None:
                slots = decode_header(storage.get(name, offset=0, length=entry.header), name)
            data = storage.get(name, offset=start, length=end - start)
        if slots is None:
            slots = decode_header(data, name)
        self._slots[entry.pack] = slots
        return _Piece(places, data, start, slots)

    def _open(self, place: Place, piece: _Piece) -> bytes:
        name = pack_name(place.entry.pack)
        if place.slot >= len(piece.slots):
            raise DamagedObjectError(f"{name} has no key slot {place.slot}").about(name)
        keyring = self._repository.keyring
        slot = piece.slots[place.slot]
        encoded = slot.encode()  # the whole of it: ids stand in the clear
        key = self._keys.get(encoded)
        if key is None:
            key = self._keys[encoded] = slot.open(keyring, None, {})
        return open_chunk(key, place.counter, piece.cut(place), keyring, ChunkKind.CATALOG, place.id, place.length)


def _at(
    places: Mapping[bytes, Sequence[Place]], turns: Mapping[bytes, int], errors: Mapping[bytes, RepositoryError]
) -> Iterator[Place]:
    """Where to look for each chunk, after so many other places where it was not."""
    for id_, turn in turns.items():
        known = places.get(id_, ())
        if turn >= len(known):
            raise errors.get(id_) or MissingObjectError(
                f"chunk {id_.hex()[:16]} is in no index object: its pack or its index entry is gone",
                hint="drtool repair index finds it again if its pack is there.",
            )
        yield known[turn]


def _ranges(places: Iterable[Place]) -> Iterator[Sequence[Place]]:
    """What is to be read of a pack with one request."""
    some: list[Place] = []
    for place in sorted(places, key=lambda place: (place.entry.pack, place.offset)):
        if some and not _is_near(place, some):
            yield some
            some = []
        some.append(place)
    if some:
        yield some


def _is_near(place: Place, some: Sequence[Place]) -> bool:
    if place.entry.pack != some[-1].entry.pack:
        return False
    end = some[-1].offset + some[-1].stored
    is_close = place.offset - end <= _GAP_BYTES and place.offset + place.stored - some[0].offset <= _RANGE_BYTES
    return place.entry.size <= _WHOLE_BYTES or is_close
