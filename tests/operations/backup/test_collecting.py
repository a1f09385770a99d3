"""What is noted of chunks in little memory comes back."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from drtool.operations.backup.collecting import PartList
from drtool.repository.pages import Bounds, ChunkRef
from drtool.sources.cutting import Chunk


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9), st.integers(1, 9), st.integers(0, 9))))
def test_entries_come_back(entries: list[tuple[bytes, bytes, int, int]]) -> None:
    stored = PartList()
    for first, last, records, beyond in entries:
        chunk = Chunk(b"", records, first, last, beyond)
        stored.add(hashlib.sha256(first + last).digest(), records * 7, chunk)
    assert len(stored) == len(entries)
    for place, (first, last, records, beyond) in enumerate(entries):
        ref, bounds = stored.entry(place)
        assert stored.id(place) == ref.id
        assert stored.first(place) == first
        assert ref == ChunkRef(hashlib.sha256(first + last).digest(), records * 7, records)
        assert bounds == Bounds(first, last)
        assert stored.beyond[place] == beyond
