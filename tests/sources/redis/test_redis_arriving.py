"""A dump is walked while it arrives, and however it does, the same is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.sources.cutting import CutRule, cut
from drtool.sources.redis import arriving, reading, spool
from drtool.sources.redis.arriving import Arrival
from drtool.sources.redis.rdb import dump as walking
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.strings import DamagedDumpError, string_bytes
from drtool.sources.redis.reading import Reading
from drtool.sources.redis.records import Entry, records_of
from drtool.sources.sorting import runs
from tests.sources.redis.dumps import END, HEAD, arrived, databases, dump, entries, nothing_left_out

#: Bytes that an unfinished value may have in memory: all, some, hardly any.
bounds = st.sampled_from([arriving._MOST_BYTES, 50, 1])


def in_blocks(data: bytes, ends: list[int]) -> Iterator[bytes]:
    """`data`, cut at these places."""
    places = sorted({min(end, len(data)) for end in ends} | {len(data)})
    for start, end in zip([0, *places], places, strict=False):
        yield data[start:end]


@given(databases, bounds, st.sampled_from([8_000_000, 40]))
@settings(max_examples=10)
def test_a_dump_in_two_parts_is_the_dump_wherever_it_is_cut(
    given_databases: list[tuple[int, list[Entry]]], most: int, step: int
) -> None:
    data = dump(given_databases)
    expected = {number: sorted(found) for number, found in given_databases if found}
    with mock.patch.multiple(arriving, _MOST_BYTES=most, _STEP_BYTES=step):
        for at in range(len(data)):
            assert arrived([data[:at], data[at:]]) == expected


@given(databases, bounds, st.data())
@settings(max_examples=50)
def test_a_dump_in_many_parts_is_the_dump(
    given_databases: list[tuple[int, list[Entry]]], most: int, chance: st.DataObject
) -> None:
    data = dump(given_databases)
    ends = chance.draw(st.lists(st.integers(0, len(data)), max_size=40) | st.just(list(range(len(data)))))
    with mock.patch.object(arriving, "_MOST_BYTES", most):
        found = arrived(list(in_blocks(data, ends)))
    assert found == {number: sorted(some) for number, some in given_databases if some}


@given(databases, bounds)
@settings(max_examples=10)
def test_a_dump_that_lacks_its_end_is_never_good(given_databases: list[tuple[int, list[Entry]]], most: int) -> None:
    data = dump(given_databases)[: -len(END)]
    with mock.patch.object(arriving, "_MOST_BYTES", most):
        for at in range(len(data) + 1):
            with pytest.raises(DamagedDumpError, match="ends in the middle"):
                arrived([data[:at]])


@given(entries, st.integers(0, 12), st.integers(1, 200), st.integers(1, 60), st.integers(1, 90))
@settings(max_examples=50)
def test_records_and_chunks_are_those_of_the_simple_way(
    given_entries: list[Entry], marks: int, run: int, block: int, part: int
) -> None:
    """However many runs there are, and however many records a value takes."""
    rule = CutRule(bytes(32), (1 << 64) >> marks)
    with (
        mock.patch.object(spool, "_RUN_BYTES", run),
        mock.patch.multiple(runs, _KEY_BYTES=1, _BLOCK_BYTES=block, _MOST_RUNS=3),
        mock.patch.object(walking, "PART_BYTES", part),
        mock.patch.object(reading, "PART_BYTES", part),
        mock.patch("drtool.sources.redis.records.PART_BYTES", part),
        mock.patch("drtool.sources.cutting.MIN_BYTES", 100),
        closing(Arrival(nothing_left_out)) as arrival,
    ):
        for byte in dump([(0, given_entries)]):
            arrival.take(bytes((byte,)))
        arrival.end()
        found = Reading(arrival.order)
        records = [record for entry in sorted(given_entries) for record in records_of(entry)]
        assert list(found.chunks(0, rule)) == list(cut(records, rule))
        assert list(found.changed(0, lambda entry: entry)) == records
        tally = found.tally(0)
    assert tally.keys == len(given_entries)
    assert tally.bytes == sum(len(entry.key) + len(entry.value) for entry in given_entries)
    assert tally.expiring == sum(entry.expiry != NEVER for entry in given_entries)
    assert tally.types == {entry.value[0] for entry in given_entries}


def test_what_is_past_or_left_out_is_not_there() -> None:
    string = b"\x00\x01v"
    given_entries = [
        *(Entry(b"a%d" % number, NEVER, string) for number in range(5)),
        Entry(b"dead", 10_000, string),
        Entry(b"alive", 10_001, string),
    ]
    data = dump([(0, given_entries[:1]), (2, given_entries)])
    found = arrived([data], lambda number: b"a3".__eq__ if number else b"a0".__eq__)
    assert found == {2: sorted(entry for entry in given_entries if entry.key not in (b"a3", b"dead"))}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400", "no dump"),
        (b"REDIS0099\xff", "format 99"),
        (b"REDIS0009\xf0\x00\xff", "kind|type"),
        (b"REDIS0009\x1a\x01k\x01v\xff", "db0: k is of type 26"),
        (b"REDIS0009\x07\x01k\x81" + bytes(8) + b"\x00\xff", "db0: k is of the type AAAAAAAAA"),
        (b"REDIS0009\x00\x01k\x05v", "in the middle"),
        (b"REDIS0009\x04\x01k\x02\x01a\x01", "in the middle"),
    ],
)
def test_what_is_no_dump_or_of_an_unknown_kind_is_named(data: bytes, said: str) -> None:
    for at in range(len(data) + 1):
        with pytest.raises(DamagedDumpError, match=said):
            arrived([data[:at], data[at:]], lambda _: b"x".__eq__)


def test_what_is_damaged_is_told_before_the_rest_arrives() -> None:
    with closing(Arrival(nothing_left_out)) as arrival, pytest.raises(DamagedDumpError, match="db0: k"):
        arrival.take(HEAD + b"\xfe\x00\x1a\x01k\x01v")


def test_a_modules_key_that_is_excluded_is_passed_over() -> None:
    module = b"\x07\x01m\x81" + bytes(8) + b"\x02\x05\x05\x02ab\x04" + bytes(8) + b"\x00"
    data = b"REDIS0009\xfe\x03" + module + b"\x00\x01k\x01v" + END
    for at in range(len(data) + 1):
        assert arrived([data[:at], data[at:]], lambda _: b"m".__eq__) == {3: [Entry(b"k", NEVER, b"\x00\x01v")]}


def test_a_modules_own_data_functions_and_fields_are_whole_wherever_they_are_cut() -> None:
    code = b"#!lua name=lib\nreturn 1"
    own = b"\xf7\x81" + bytes(8) + b"\x02\x05\x05\x02ab\x00"
    data = HEAD + b"\xf5" + string_bytes(code) + own + b"\xfe\x00\x00\x01k\x01v" + own + END
    for at in range(len(data) + 1):
        with closing(Arrival(nothing_left_out)) as arrival:
            arrival.take(data[:at])
            arrival.take(data[at:])
            arrival.end()
            assert (arrival.dump.fields, arrival.dump.functions) == ({b"ctime": b"10"}, {b"lib": code})
            assert arrival.dump.modules == {"AAAAAAAAA"}
            assert list(arrival.order.read(0))


def test_the_file_of_an_unfinished_value_does_not_grow_with_the_dump() -> None:
    """One large value after the other, each of many parts."""
    value = b"\x12\x28" + (b"\x02" + string_bytes(bytes(60))) * 40
    data = dump([(0, [Entry(b"%03d" % number, NEVER, value) for number in range(60)])])
    largest = 0
    with mock.patch.object(arriving, "_MOST_BYTES", 500), closing(Arrival(nothing_left_out)) as arrival:
        for start in range(0, len(data), 100):
            arrival.take(data[start : start + 100])
            largest = max(largest, arrival._file.size if arrival._file is not None else 0)
        arrival.end()
        assert arrival.order.tallies[0].keys == 60
    assert len(value) < largest < 6 * len(value) < len(data)


def test_of_equal_keys_the_last_counts() -> None:
    small = mock.patch.multiple(runs, _BLOCK_BYTES=40, _MOST_RUNS=4)
    with mock.patch.object(spool, "_RUN_BYTES", 700), small, closing(spool.Order()) as order:
        for number in range(100):
            order.add(0, {b"%d" % (number % 7): b"%d" % number, b"only %d" % number: b"x"}, {0}, 0)
        order.end()
        found = [pair for some in order.read(0) for pair in zip(*some, strict=True)]
    expected = {b"%d" % (number % 7): b"%d" % number for number in range(100)}
    assert found == sorted({**expected, **{b"only %d" % number: b"x" for number in range(100)}}.items())
