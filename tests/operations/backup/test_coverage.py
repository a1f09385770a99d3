"""A stream read in pieces, at several instants, by any number of readers has the chunks and pages of one full read."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.operations.backup.collecting import PartList
from drtool.operations.backup.coverage import Coverage, Gap, KeptLeaf, Part
from drtool.repository import pages
from drtool.repository.pages import (
    BuiltPage,
    Leaf,
    PageBuilder,
    PageRef,
    decode_bounds,
    decode_page,
    leaf_refs,
)
from drtool.sources.cutting import Chunk, CutRule, cut, cut_part
from drtool.sources.reading import KeyRange

Records = Mapping[int, int]
"""What a stream holds: by key the seed and length of a record."""


def _records(held: Records, lower: bytes | None, upper: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    for key in sorted(held):
        name = key.to_bytes(4)
        if (lower is None or name >= lower) and (upper is None or name < upper):
            yield name, random.Random(held[key]).randbytes(held[key])


def _id(chunk: Chunk) -> bytes:
    return hashlib.sha256(chunk.data).digest()


def _listed(chunks: Sequence[Chunk]) -> PartList:
    stored = PartList()
    for chunk in chunks:
        stored.add(_id(chunk), len(chunk.data), chunk)
    return stored


@dataclass
class Store:
    """Pages and bounds by hash, and what a host keeps of them."""

    data: dict[bytes, bytes] = field(default_factory=dict)
    kept: dict[bytes, BuiltPage] = field(default_factory=dict)
    expanded: int = 0

    def put(self, data: bytes) -> bytes:
        """Store and name."""
        self.data[hashlib.sha256(data).digest()] = data
        return hashlib.sha256(data).digest()

    def build(self, coverage: Coverage) -> PageRef | None:
        """The pages of a coverage."""

        def note(page: BuiltPage) -> None:
            self.kept[page.ref.id] = page

        builder = PageBuilder(self.put, self.put, note)
        for _ in coverage.build(builder):
            pass
        return builder.finish()

    def leaves(self, root: PageRef | None) -> Coverage:
        """A tree as what is kept."""
        refs = list(leaf_refs(root, self.data.__getitem__))
        items = [KeptLeaf(ref, self.kept[ref.id].first, ref is refs[-1]) for ref in refs]
        return Coverage(items, self.expand)

    def expand(self, leaf: KeptLeaf) -> PartList:
        """The chunks of a leaf."""
        self.expanded += 1
        page = decode_page(self.kept[leaf.ref.id].data)
        assert isinstance(page, Leaf)
        chunks = PartList(inherited=True)
        for ref, bound in zip(page.chunks, decode_bounds(self.kept[leaf.ref.id].bounds), strict=True):
            chunks.add(ref.id, ref.length, Chunk(b"", ref.records, bound.first, bound.last))
        return chunks


def _touched(coverage: Coverage, changed: Sequence[bytes]) -> dict[int, set[int]]:
    """What a source says: the chunks that stand for these keys."""
    groups = coverage.groups()
    touched: dict[int, set[int]] = {}
    for key in changed if groups is not None else ():
        assert groups is not None
        firsts = list(groups.firsts())
        group = max((number for number, first in enumerate(firsts) if first <= key), default=0)
        bounds = list(groups.bounds(group))
        touched.setdefault(group, set()).add(max((n for n, first in enumerate(bounds) if first <= key), default=0))
    return touched


def _full(held: Records, rule: CutRule, store: Store) -> PageRef | None:
    chunks = _listed(list(cut(_records(held, None, None), rule)))
    coverage = Coverage([Gap(None, 0)], store.expand)
    coverage.fill({0: [Part(KeyRange(), chunks, True, 0)]})
    return store.build(coverage)


def _read(held: Records, part: KeyRange, rule: CutRule, most: int | None, size: int) -> Part:
    """Read a range; at most so many chunks, if it is not None, before the instant passes."""
    beyond = iter(()) if part.upper is None else _records(held, part.upper, None)
    found: list[Chunk] = []
    for chunk in cut_part(_records(held, part.lower, part.upper), beyond, rule):
        if most is not None and len(found) == most:
            return Part(part, _listed(found), False, size)
        found.append(chunk)
    return Part(part, _listed(found), True, size)


def _round(coverage: Coverage, held: Records, rule: CutRule, chance: random.Random, *, ends: bool) -> None:
    parts: dict[int, list[Part]] = {}
    for place, part, size in list(coverage.gaps()):
        inside = [key for key, _ in _records(held, part.lower, part.upper)][1:]
        bounds = sorted(chance.sample(inside, min(len(inside), chance.randint(0, 2))))
        ranges = [
            KeyRange(lower, upper) for lower, upper in zip([part.lower, *bounds], [*bounds, part.upper], strict=True)
        ]
        parts[place] = [
            _read(held, each, rule, None if ends or chance.random() < 0.4 else chance.randint(0, 4), size)
            for each in ranges
        ]
    coverage.fill(parts)


def _change(held: dict[int, int], chance: random.Random, count: int, sizes: Sequence[int]) -> list[bytes]:
    changed = []
    for _ in range(count):
        key = chance.choice([*held, chance.randrange(1 << 20)]) if held else chance.randrange(1 << 20)
        if key in held and chance.random() < 0.4:
            del held[key]
        else:
            held[key] = chance.choice(sizes)
        changed.append(key.to_bytes(4))
    return changed


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few hundred bytes, and pages of a few chunks."""
    for module in ("drtool.sources.cutting",):
        monkeypatch.setattr(f"{module}.MIN_BYTES", 200)
        monkeypatch.setattr(f"{module}.MAX_BYTES", 2000)
    monkeypatch.setattr(pages, "MIN_ENTRIES", 3)
    monkeypatch.setattr(pages, "MAX_ENTRIES", 12)
    monkeypatch.setattr(pages, "MAX_BOUNDS_BYTES", 170)
    monkeypatch.setattr(pages, "_CUT_BELOW", (1 << 64) // 4)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**9),
    count=st.sampled_from([0, 1, 5, 60, 300]),
    changes=st.lists(st.sampled_from([0, 1, 2, 8, 40]), min_size=1, max_size=5),
    sizes=st.sampled_from([(40, 90), (10, 900), (3000,)]),
)
def test_rounds_and_increments_give_the_tree_of_a_full_read(
    seed: int, count: int, changes: list[int], sizes: tuple[int, ...]
) -> None:
    chance = random.Random(seed)
    rule = CutRule(bytes(32), 1 << 62)
    held = {chance.randrange(1 << 20): chance.choice(sizes) for _ in range(count)}
    store = Store()
    coverage = store.leaves(_full(held, rule, store))
    if chance.random() < 0.3 or not held:
        coverage = Coverage([Gap(None, 1000)], store.expand)
    for number, amount in enumerate(changes):
        changed = _change(held, chance, amount, sizes)
        if coverage.groups() is None:
            coverage = Coverage([Gap(None, 1000)], store.expand)
        elif touched := _touched(coverage, changed):
            coverage.drop(touched)
        _round(coverage, held, rule, chance, ends=number == len(changes) - 1)
    assert coverage.is_whole
    assert store.build(coverage) == _full(held, rule, store)


@settings(max_examples=50)
@given(seed=st.integers(0, 10**9), share=st.floats(0, 1))
def test_spots_are_the_inherited_chunks(seed: int, share: float) -> None:
    chance = random.Random(seed)
    rule = CutRule(bytes(32), 1 << 62)
    held = {chance.randrange(1 << 20): chance.choice((40, 90)) for _ in range(300)}
    store = Store()
    coverage = store.leaves(_full(held, rule, store))
    coverage.drop(_touched(coverage, _change(held, chance, 10, (40, 90))))
    _round(coverage, held, rule, chance, ends=True)
    numbers = [number for number in range(coverage.inherited) if chance.random() < share]
    spots = list(coverage.spots(numbers))
    assert len(spots) == len(numbers)
    for spot in spots:
        read = _read(held, spot.range, rule, None, 0).chunks
        assert [read.id(index) for index in range(len(read))] == [spot.id]
        assert read.lengths[0] == spot.length
    if len(numbers) == coverage.inherited:
        missing = sum(spot.length for spot in spots)
        assert missing <= sum(held.values())


def test_one_change_expands_few_leaves() -> None:
    chance = random.Random(7)
    rule = CutRule(bytes(32), 1 << 62)
    held = {chance.randrange(1 << 20): chance.choice((40, 90)) for _ in range(6000)}
    store = Store()
    root = _full(held, rule, store)
    assert root is not None
    coverage = store.leaves(root)
    leaves = len(list(leaf_refs(root, store.data.__getitem__)))
    key = sorted(held)[3000]
    held[key] += 1
    coverage.drop(_touched(coverage, [key.to_bytes(4)]))
    assert 0 < coverage.missing < 2000
    _round(coverage, held, rule, chance, ends=True)
    assert store.build(coverage) == _full(held, rule, store)
    assert leaves > 50
    assert store.expanded <= 5


def test_nothing_changed_expands_nothing() -> None:
    chance = random.Random(8)
    rule = CutRule(bytes(32), 1 << 62)
    held = {chance.randrange(1 << 20): 60 for _ in range(1000)}
    store = Store()
    root = _full(held, rule, store)
    coverage = store.leaves(root)
    assert coverage.is_whole
    assert coverage.missing == 0
    assert store.build(coverage) == root
    assert store.expanded == 0
    assert coverage.inherited == (root.chunks if root else 0)


def test_parts_that_did_not_read_the_same_are_refused() -> None:
    rule = CutRule(bytes(32), 1 << 62)
    held = dict.fromkeys(range(50), 90)
    whole = _read(held, KeyRange(None, (25).to_bytes(4)), rule, None, 0)
    assert sum(whole.chunks.beyond) > 0
    coverage = Coverage([Gap(None, 0)], Store().expand)
    with pytest.raises(ValueError, match="did not read the same records"):
        coverage.fill({0: [whole]})
