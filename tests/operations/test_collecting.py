"""The chunks of a stream that several readers read are those that one reader would have found."""

from __future__ import annotations

import hashlib
import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from drtool.operations.collecting import PartList, joined
from drtool.repository.pages import Bounds, ChunkRef
from drtool.sources.cutting import Chunk, CutRule, Record, cut, cut_part

KEY = bytes(32)


def _id(chunk: Chunk) -> bytes:
    return hashlib.sha256(chunk.data).digest()


def _list(chunks: list[Chunk]) -> PartList:
    stored = PartList()
    for chunk in chunks:
        stored.add(_id(chunk), len(chunk.data), chunk)
    return stored


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 60),
    average=st.sampled_from([2_000, 60_000, 300_000]),
    bounds=st.lists(st.integers(0, 60), max_size=5),
)
def test_joined_equals_sequential(seed: int, count: int, average: int, bounds: list[int]) -> None:
    chance = random.Random(seed)
    records: list[Record] = [
        (number.to_bytes(4), bytes([number]) * chance.randint(1, 2 * average)) for number in range(count)
    ]
    rule = CutRule.for_average(KEY, average)
    expected = [(ChunkRef(_id(c), len(c.data), c.records), Bounds(c.first, c.last)) for c in cut(records, rule)]
    edges = [0, *sorted({min(bound, count) for bound in bounds} - {0, count}), count]
    parts = [
        _list(list(cut_part(records[lower:upper], records[upper:], rule))) for lower, upper in itertools.pairwise(edges)
    ]
    assert list(joined(parts)) == expected


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9), st.integers(1, 9), st.integers(0, 9))))
def test_entries_come_back(entries: list[tuple[bytes, bytes, int, int]]) -> None:
    stored = PartList()
    for first, last, records, beyond in entries:
        chunk = Chunk(b"", records, first, last, beyond)
        stored.add(hashlib.sha256(first + last).digest(), records * 7, chunk)
    assert len(stored) == len(entries)
    for place, (first, last, records, beyond) in enumerate(entries):
        ref, bounds = stored.entry(place)
        assert ref == ChunkRef(hashlib.sha256(first + last).digest(), records * 7, records)
        assert bounds == Bounds(first, last)
        assert stored.beyond[place] == beyond


def test_nothing_joins_to_nothing() -> None:
    assert list(joined([PartList()])) == []
    assert list(joined([PartList(), PartList()])) == []
