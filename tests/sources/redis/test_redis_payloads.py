"""The commands that a restore sends and an export writes, read as a server reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import IncompleteRestoreError
from drtool.sources.exporting import ExportItem
from drtool.sources.redis import RedisSource
from drtool.sources.redis.connection import Client
from drtool.sources.redis.exporting import CommandsExporter
from drtool.sources.redis.payloads import restore_commands
from drtool.sources.redis.rdb.checksum import checksum, footer
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.types import KNOWN, version_of
from drtool.sources.redis.records import PART_BYTES, Entry, Part, records_of
from drtool.sources.redis.server import RunningServer
from tests.sources.redis import zoo

VALUES = st.builds(lambda number, rest: bytes((number,)) + rest, st.sampled_from(sorted(KNOWN)), st.binary(max_size=99))
ENTRIES = st.lists(st.builds(Entry, st.binary(max_size=300), st.just(NEVER) | st.integers(0, 2**62), VALUES))


def larger(entries: list[Entry]) -> list[Entry]:
    """So that they are more than are made at a time."""
    return [entry._replace(value=entry.value + bytes(200_000)) for entry in entries]


def commands_in(data: bytes) -> Iterator[list[bytes]]:
    """The words of each command of Redis' protocol."""
    at = 0

    def number(kind: bytes) -> int:
        nonlocal at
        end = data.index(b"\r\n", at)
        assert data[at : at + 1] == kind
        found, at = int(data[at + 1 : end]), end + 2
        return found

    while at < len(data):
        words = []
        for _ in range(number(b"*")):
            length = number(b"$")
            words.append(data[at : at + length])
            assert data[at + length : at + length + 2] == b"\r\n"
            at += length + 2
        yield words


def restored_by(entry: Entry) -> list[bytes]:
    """The words of the command for a key."""
    signed = entry.value + version_of(entry.value[0]).to_bytes(2, "little")
    when = 0 if entry.expiry == NEVER else max(1, entry.expiry)
    return [b"RESTORE", entry.key, b"%d" % when, signed + footer(checksum(signed)), b"REPLACE", b"ABSTTL"]


def records(entries: Sequence[Entry]) -> list[bytes]:
    """The records of whole keys."""
    return [bytes(data) for entry in entries for _, data in records_of(entry)]


def no_part(part: Part) -> Entry | None:
    """Takes parts where there are none."""
    raise AssertionError(part.key)


@given(entries=ENTRIES | ENTRIES.map(larger))
def test_a_command_for_each_key(entries: list[Entry]) -> None:
    found = list(restore_commands(b"".join(records(entries)), no_part))
    assert sum(each.records for each in found) == len(entries)
    assert [words for each in found for words in commands_in(each.data)] == [restored_by(entry) for entry in entries]
    assert [key for each in found for key in each.keys] == [entry.key for entry in entries]
    assert [number for each in found for number in each.types] == [entry.value[0] for entry in entries]


@given(entries=ENTRIES)
def test_a_command_for_what_becomes_of_each_key(entries: list[Entry]) -> None:
    def change(entry: Entry) -> Entry:
        return Entry(b"new " + entry.key, entry.expiry // 2, entry.value[:1] + b"other")

    found = restore_commands(b"".join(records(entries)), no_part, change)
    wanted = [restored_by(change(entry)) for entry in entries]
    assert [words for each in found for words in commands_in(each.data)] == wanted


def test_a_command_where_the_last_part_of_a_value_comes() -> None:
    whole, other = Entry(b"large", 5, b"\x00" * (PART_BYTES + 1)), Entry(b"small", NEVER, b"\x00\x01a")
    held: list[Part] = []

    def complete(part: Part) -> Entry | None:
        held.append(part)
        return whole if len(held) == 2 else None

    found = list(restore_commands(b"".join(records([whole, other])), complete))
    assert sum(each.records for each in found) == 3
    assert b"".join(part.value for part in held) == whole.value
    assert [words for each in found for words in commands_in(each.data)] == [restored_by(whole), restored_by(other)]


class _Kept:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes, /) -> None:
        self.data += data


@settings(max_examples=12, deadline=None)
@given(cuts=st.sets(st.integers(1, 7)))
def test_exported_commands_are_whole_wherever_chunks_end(cuts: set[int]) -> None:
    lengths = {b"a": 3, b"b": 2 * PART_BYTES + 5, b"c": 7, b"d": 1, b"e": PART_BYTES + 1}
    entries = [Entry(key, NEVER, b"\x00" + key * length) for key, length in lengths.items()]
    found, kept = records(entries), _Kept()
    edges = [0, *sorted(cuts), len(found)]
    chunks = [b"".join(found[start:end]) for start, end in pairwise(edges)]
    exporter = CommandsExporter(kept, "-")
    loaded = exporter.write(ExportItem(zoo.plan_of().items[0].stream, 0, 0), chunks)
    assert (loaded.records, loaded.bytes) == (len(found), sum(map(len, found)))
    select, *others = commands_in(kept.data)
    assert select == [b"SELECT", b"0"]
    assert sorted(others) == sorted(restored_by(entry) for entry in entries)


@pytest.mark.parametrize("refused", [0, 40, 99])
def test_a_key_that_is_refused_is_named(redis_server: RunningServer, client: Client, refused: int) -> None:
    entries = [Entry(b"key %d" % number, NEVER, b"\x00\x01a") for number in range(100)]
    entries[refused] = Entry(b"damaged", NEVER, b"\x02\x05a")
    found = records(entries)
    plan = zoo.plan_of()
    with closing(RedisSource("redis", uri=redis_server.uri)) as source, closing(source.target(None)) as target:
        target.begin(plan)
        with pytest.raises(IncompleteRestoreError, match="damaged of db0, a set"):
            target.load(plan.items[0], [b"".join(found[start : start + 10]) for start in range(0, 100, 10)])
