"""The page tree: a function of the chunk list alone, and cheap to change."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import DamagedObjectError
from drtool.repository import pages
from drtool.repository.pages import (
    MAX_BOUNDS_BYTES,
    MAX_ENTRIES,
    MIN_ENTRIES,
    Bounds,
    ChunkRef,
    Inner,
    Leaf,
    PageBuilder,
    PageRef,
    decode_bounds,
    decode_page,
    encode_bounds,
    encode_inner,
    encode_leaf,
    page_ids,
    walk,
)


class Store(dict[bytes, bytes]):
    """Chunks by hash."""

    def put(self, data: bytes) -> bytes:
        """Store and name."""
        id_ = hashlib.sha256(data).digest()
        self[id_] = data
        return id_


def _refs(count: int, seed: int = 0) -> list[ChunkRef]:
    return [
        ChunkRef(hashlib.sha256(b"%d %d" % (seed, number)).digest(), 1000 + number, 1 + number % 7)
        for number in range(count)
    ]


def _build(refs: Sequence[ChunkRef]) -> tuple[PageRef | None, Store, set[bytes]]:
    """The root, all that was put, and the ids of the pages among it."""
    store, ids = Store(), set()

    def put_page(page: bytes) -> bytes:
        ids.add(id_ := store.put(page))
        return id_

    builder = PageBuilder(put_page, store.put)
    for number, ref in enumerate(refs):
        builder.add(ref, Bounds(b"%d" % number, b"%d" % (number + 1)))
    return builder.finish(), store, ids


@settings(max_examples=25)
@given(st.integers(0, 6000), st.integers(0, 10**6))
def test_walking_gives_back_the_list(count: int, seed: int) -> None:
    refs = _refs(count, seed)
    root, store, ids = _build(refs)
    leaves = list(walk(root, store.__getitem__))
    assert [ref for leaf in leaves for ref in leaf.chunks] == refs
    bounds = [bound for leaf in leaves for bound in decode_bounds(store[leaf.bounds])]
    assert bounds == [Bounds(b"%d" % number, b"%d" % (number + 1)) for number in range(count)]
    assert all(len(store[leaf.bounds]) == leaf.bounds_length for leaf in leaves)
    assert set(page_ids(root, store.__getitem__)) == ids
    assert (root is None) == (count == 0)
    if root is not None:
        assert (root.chunks, root.records) == (count, sum(ref.records for ref in refs))
        assert root.bytes == sum(ref.length for ref in refs)


def _reference_root(refs: Sequence[ChunkRef]) -> PageRef | None:
    """The tree as docs/format.md states it: each level cut from the one below by the same rule."""
    store = Store()
    level: list[PageRef] = []
    start = 0
    for part in _cut([ref.id for ref in refs]):
        chunks = tuple(refs[start : start + part])
        bounds = encode_bounds([Bounds(b"%d" % n, b"%d" % (n + 1)) for n in range(start, start + part)])
        leaf = encode_leaf(Leaf(store.put(bounds), len(bounds), chunks))
        sums = sum(c.records for c in chunks), sum(c.length for c in chunks)
        level.append(PageRef(store.put(leaf), 0, part, *sums))
        start += part
    while len(level) > 1:
        above: list[PageRef] = []
        start = 0
        for part in _cut([page.id for page in level]):
            below = tuple(level[start : start + part])
            sums3 = sum(p.chunks for p in below), sum(p.records for p in below), sum(p.bytes for p in below)
            above.append(PageRef(store.put(encode_inner(below)), below[0].level + 1, *sums3))
            start += part
        level = above
    return level[0] if level else None


def _cut(ids: Sequence[bytes]) -> list[int]:
    parts, count = [], 0
    for id_ in ids:
        count += 1
        if count >= 512 or (count >= 32 and int.from_bytes(id_[:8]) < 1 << 57):
            parts.append(count)
            count = 0
    return [*parts, count] if count else parts


@settings(max_examples=15)
@given(st.sampled_from([1, 31, 32, 33, 512, 513]) | st.integers(0, 9000), st.integers(0, 10**6))
def test_the_tree_is_the_specified_one(count: int, seed: int) -> None:
    refs = _refs(count, seed)
    assert _build(refs)[0] == _reference_root(refs)


@pytest.mark.parametrize("first", [b"\x00", b"\xff"], ids=["every id may end a page", "none may"])
@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 512, 513, 1024, 1025, 32 * 32, 32 * 32 * 2, 512 * 33])
def test_trees_of_extreme_ids(count: int, first: bytes) -> None:
    refs = [replace(ref, id=first + ref.id[1:]) for ref in _refs(count)]
    root, store, _ = _build(refs)
    assert root == _reference_root(refs)
    leaves = list(walk(root, store.__getitem__))
    assert [ref for leaf in leaves for ref in leaf.chunks] == refs
    size = MIN_ENTRIES if first == b"\x00" else MAX_ENTRIES
    assert {len(leaf.chunks) for leaf in leaves[:-1]} <= {size}


@cache
def _large_tree() -> tuple[list[ChunkRef], PageRef, set[bytes]]:
    refs = _refs(20_000)
    root, _, ids = _build(refs)
    assert root is not None
    return refs, root, ids


@pytest.mark.heavy
@settings(max_examples=20)
@given(st.data())
def test_a_changed_chunk_changes_few_pages(data: st.DataObject) -> None:
    refs, root, before = _large_tree()
    position = data.draw(st.integers(0, len(refs) - 1))
    changed = [*refs[:position], ChunkRef(bytes([7]) * 32, 5, 5), *refs[position + 1 :]]
    root_after, _, after = _build(changed)
    assert root.level <= 3
    assert root_after is not None
    # A page or a few on each level: a cut may vanish or appear, and the minimum moves the next ones.
    assert len(after - before) <= 6 * (root.level + 1)


@pytest.mark.parametrize("field", ["chunks", "records", "bytes", "level"])
@pytest.mark.parametrize("count", [5, 3000])
def test_counts_that_do_not_add_up_are_refused(count: int, field: str) -> None:
    root, store, _ = _build(_refs(count))
    assert root is not None
    wrong = replace(root, **{field: getattr(root, field) + 1})
    with pytest.raises(DamagedObjectError):
        list(walk(wrong, store.__getitem__))


def test_counts_inside_the_tree_are_checked_too() -> None:
    root, store, _ = _build(_refs(3000))
    assert root is not None
    page = decode_page(store[root.id])
    assert isinstance(page, Inner)
    first, second, *rest = page.pages
    shifted = (replace(first, records=first.records + 1), replace(second, records=second.records - 1), *rest)
    lying = replace(root, id=store.put(encode_inner(shifted)))
    with pytest.raises(DamagedObjectError, match="announces"):
        list(walk(lying, store.__getitem__))


def test_a_tree_of_too_many_levels_is_refused() -> None:
    with pytest.raises(DamagedObjectError, match="levels"):
        list(walk(PageRef(bytes(32), pages.MAX_LEVEL + 1, 1, 1, 1), Store().__getitem__))


@pytest.mark.parametrize("count", [3, 3000])
def test_damaged_pages(count: int) -> None:
    root, store, _ = _build(_refs(count))
    assert root is not None
    data = store[root.id]
    for bad in (data[:-1], data + b"x", data[:3], b"", data[:1] + b"\xff\xff\xff\xff" + data[5:]):
        with pytest.raises(DamagedObjectError):
            decode_page(bad)


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20))))
def test_bounds_round_trip(pairs: list[tuple[bytes, bytes]]) -> None:
    bounds = [Bounds(*pair) for pair in pairs]
    assert decode_bounds(encode_bounds(bounds)) == bounds


def test_damaged_bounds() -> None:
    data = encode_bounds([Bounds(b"abc", b"def")])
    for end in range(1, len(data)):
        with pytest.raises(DamagedObjectError):
            decode_bounds(data[:end])


def test_long_keys_end_a_leaf_before_its_bounds_outgrow_a_chunk() -> None:
    store: dict[bytes, bytes] = {}

    def put(data: bytes) -> bytes:
        id_ = len(store).to_bytes(32)
        store[id_] = data
        return id_

    builder = PageBuilder(put, put)
    chunks = [ChunkRef(b"\xff" * 31 + bytes([n]), 1, 1) for n in range(20)]
    for chunk in chunks:
        builder.add(chunk, Bounds(bytes(300_000), bytes(300_000)))
    leaves = list(walk(builder.finish(), store.__getitem__))
    assert [chunk for leaf in leaves for chunk in leaf.chunks] == chunks
    assert len(leaves) == 10
    assert all(leaf.bounds_length < MAX_BOUNDS_BYTES + 2 * 300_008 for leaf in leaves)
