"""Rows in batches are cut as the rule says, long rows among them; records can be taken apart and put together."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import SourceError
from drtool.sources.cutting import CutRule, cut_part
from drtool.sources.postgres import large_objects, records, sequences
from drtool.sources.postgres.copying import Batch, cut_batches, each_record

RULE = CutRule(bytes(range(32)), 1 << 63)


def row(number: int, size: int) -> bytes:
    """A binary row: a key of eight bytes, and as many others."""
    return struct.pack(">hiqi", 2, 8, number, size) + bytes([number % 251]) * size


def batches(sizes: Sequence[int], each: int, first: int = 0) -> list[Batch]:
    """Rows of these sizes, `each` to a batch."""
    rows: Batch = [row(first + number, size) for number, size in enumerate(sizes)]
    return [rows[start : start + each] for start in range(0, len(rows), each)]


_SIZES = st.lists(st.sampled_from((10, 5_000, 90_000, 300_000)), max_size=40)
_KINDS = st.sampled_from((0, 1))


@settings(max_examples=60)
@given(_SIZES, _SIZES, st.integers(1, 7), _KINDS)
def test_batches_are_cut_as_records_are(own: list[int], beyond: list[int], each: int, kind: int) -> None:
    mine, theirs = batches(own, each), batches(beyond, each, len(own))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "MOST", 100_000)  # so that some rows are long ones
        fast = list(cut_batches(mine, each_record(theirs, kind), kind, RULE))
        plain = list(cut_part(each_record(mine, kind), each_record(theirs, kind), RULE))
    assert fast == plain


@settings(max_examples=40)
@given(_SIZES, _KINDS)
def test_chunks_come_apart_into_the_same_rows(sizes: list[int], kind: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "MOST", 100_000)
        chunks = list(cut_batches(batches(sizes, 3), iter(()), kind, RULE))
    assert [bytes(found) for _, found in records.rows(chunk.data for chunk in chunks)] == [
        row(number, size) for number, size in enumerate(sizes)
    ]
    for chunk in chunks:
        found = list(records.records(chunk.data))
        assert len(found) == chunk.records
        assert (found[0][0], found[-1][0]) == (chunk.first, chunk.last)
        assert b"".join(data for _, data in found) == chunk.data


def test_a_text_row_has_the_key_of_its_first_columns() -> None:
    assert records.key_of(2 | records.TEXT, b"one\ttwo\tthree\n") == b"one\ttwo"
    assert records.key_of(2 | records.TEXT, b"one\ttwo\n") == b"one\ttwo"


def test_rows_without_a_key_are_told_apart_by_all_of_them() -> None:
    assert records.key_of(0, row(1, 10)) != records.key_of(0, row(1, 11))
    assert len(records.key_of(0, row(1, 100_000))) == 16


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"\1", lambda data: data[:2]])
def test_half_a_record_is_named(damage: object) -> None:
    whole = records.head(1, 21) + row(1, 3)
    assert callable(damage)
    with pytest.raises(SourceError):
        list(records.records(damage(whole)))


def test_a_missing_part_of_a_long_row_is_named() -> None:
    parts = [bytes(data) for _, data in records.parts(1, memoryview(row(1, 9_000_000)))]
    assert len(parts) == 3
    assert [bytes(found) for _, found in records.rows(iter(parts))] == [row(1, 9_000_000)]
    for left in (parts[1:], parts[:-1], [parts[0], parts[2]]):
        with pytest.raises(SourceError):
            list(records.rows(iter(left)))


_NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20)


@given(st.lists(st.tuples(_NAMES, _NAMES, st.integers(-(2**63), 2**63 - 1), st.booleans()), max_size=20))
def test_sequences_come_back(standings: list[sequences.Standing]) -> None:
    data = [bytes(record) for _, record in sequences.each_record(standings)]
    assert sorted(sequences.standings(data)) == sorted(standings)
    assert [key for key, _ in records.records(b"".join(data))] == [key for key, _ in sequences.each_record(standings)]


def test_pieces_of_large_objects_come_back() -> None:
    made = records.head(records.LARGE_OBJECT, 11) + struct.pack(">II", 7, 1) + b"abc"
    assert list(large_objects.pieces([made])) == [(7, 1, b"abc")]
    assert [key for key, _ in records.records(made)] == [struct.pack(">II", 7, 1)]
