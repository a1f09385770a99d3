"""What values are, however a server serialises them: held against what its own commands say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drtool.errors import UsageError
from drtool.sources.base import MISSING
from drtool.sources.redis import RedisSource
from drtool.sources.redis.comparing import difference, same
from drtool.sources.redis.connection import Client, connect
from drtool.sources.redis.expiry import as_at_source, later, with_times
from drtool.sources.redis.rdb.checksum import checksum, footer
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.strings import DamagedDumpError, length_bytes, read_length, read_string, string_bytes
from drtool.sources.redis.rdb.values import Field, elements, fields, members, scores, text
from drtool.sources.redis.rdb.walking import skip_value
from drtool.sources.redis.records import PART_BYTES, Entry, entries, records_of, split
from drtool.sources.redis.server import RunningServer
from tests.sources.contract import back_up

KEY = "value"
#: Strings that Redis packs in different ways: short, long, repetitive, numbers of every width.
STRINGS = st.one_of(
    st.binary(max_size=100),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: b"%d" % number),
    st.tuples(st.binary(min_size=1, max_size=12), st.integers(1, 600)).map(lambda pair: pair[0] * pair[1]),
)
LAW = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


def dumped(client: Client) -> bytes:
    """The value, type and all, and does the walk end where it does?"""
    value: bytes = client.dump(KEY)[:-10]
    assert skip_value(value[0], value, 1) == len(value)
    return value


@pytest.fixture(params=["small forms", "large forms"])
def forms(request: pytest.FixtureRequest, client: Client) -> Iterator[Client]:
    """A client of a server that packs small collections, and of one that does not."""
    names = [f"{kind}-max-ziplist-{what}" for kind in ("hash", "zset") for what in ("entries", "value")]
    names += ["set-max-intset-entries", "list-max-ziplist-size"]
    before = {name: client.config_get(name)[name] for name in names}
    if request.param == "large forms":
        for name in names:
            client.config_set(name, 1)
    yield client
    for name, value in before.items():
        client.config_set(name, value)


@LAW
@given(value=STRINGS)
def test_strings(client: Client, value: bytes) -> None:
    client.set(KEY, value)
    assert text(dumped(client)) == value


@LAW
@given(values=st.lists(STRINGS, min_size=1, max_size=60))
def test_lists(forms: Client, values: list[bytes]) -> None:
    forms.delete(KEY)
    forms.rpush(KEY, *values)
    assert elements(dumped(forms)) == values


@LAW
@given(
    values=st.one_of(st.sets(STRINGS, min_size=1, max_size=60), st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1))
)
def test_sets(forms: Client, values: set[bytes] | set[int]) -> None:
    forms.delete(KEY)
    forms.sadd(KEY, *values)
    assert sorted(members(dumped(forms))) == sorted(forms.smembers(KEY))


@LAW
@given(values=st.dictionaries(STRINGS, st.floats(allow_nan=False), min_size=1, max_size=60))
def test_sorted_sets(forms: Client, values: dict[bytes, float]) -> None:
    forms.delete(KEY)
    forms.zadd(KEY, values)
    assert dict(scores(dumped(forms))) == values


@LAW
@given(values=st.dictionaries(STRINGS, STRINGS, min_size=1, max_size=60))
def test_hashes(forms: Client, values: dict[bytes, bytes]) -> None:
    forms.delete(KEY)
    forms.hset(KEY, mapping=values)
    assert {field.name: field.value for field in fields(dumped(forms))} == values


def test_the_same_in_another_form_is_the_same(client: Client) -> None:
    def make() -> list[bytes]:
        client.flushdb()
        client.hset("h", mapping={"a": "1", "b": "x" * 40, "c": "300"})
        client.zadd("z", {"a": 1, "b": 2.5})
        client.sadd("s", 1, 2, 3)
        client.rpush("l", *range(20))
        return [client.dump(key)[:-10] for key in "hzsl"]

    small = make()
    names = ("hash-max-ziplist-entries", "zset-max-ziplist-entries", "set-max-intset-entries", "list-max-ziplist-size")
    before = {name: client.config_get(name)[name] for name in names}
    for name in names:
        client.config_set(name, 1)
    try:
        large = make()
    finally:
        for name, value in before.items():
            client.config_set(name, value)
    assert all(one != other for one, other in zip(small, large, strict=True))
    assert all(same(one, other) for one, other in zip(small, large, strict=True))
    client.hset("h", "a", "2")
    client.zadd("z", {"a": 1.0000001})
    client.srem("s", 2)
    client.lset("l", 3, "y")
    for key, value in zip("hzsl", large, strict=True):
        assert not same(client.dump(key)[:-10], value), key


def test_in_what_entries_differ() -> None:
    one = Entry(b"k", 5, b"\x00\x01a")
    assert difference(one, one) == ""
    assert "5" in difference(one, Entry(b"k", 6, one.value))
    assert difference(one, Entry(b"k", 5, b"\x00\x01b")) == "the value differs"
    assert "hash" in difference(one, Entry(b"k", 5, with_times([Field(b"f", b"v", 9)])))


@given(values=st.lists(st.tuples(STRINGS, STRINGS, st.integers(1, 2**42) | st.just(0)), min_size=1, max_size=20))
def test_fields_that_expire_come_back_from_a_sandbox(values: list[tuple[bytes, bytes, int]]) -> None:
    found = [Field(*value) for value in values]
    entry = Entry(b"key", 17, with_times(found))
    assert fields(entry.value) == found
    assert skip_value(entry.value[0], entry.value, 1) == len(entry.value)
    moved = later(entry)
    assert all(field.expiry == 0 or field.expiry > 2**44 for field in fields(moved.value))
    assert as_at_source(moved) == entry
    assert as_at_source(later(Entry(b"key", NEVER, b"\x00\x00"))).expiry == NEVER


@given(length=st.one_of(st.integers(0, 70), st.integers(0, 20_000), st.integers(0, 2**64 - 1)), text=st.binary())
def test_lengths_and_strings(length: int, text: bytes) -> None:
    assert read_length(length_bytes(length), 0) == (length, len(length_bytes(length)))
    assert read_string(string_bytes(text), 0) == (text, len(string_bytes(text)))


def test_damaged_strings_are_named() -> None:
    for data in (b"\xc4", b"\xff", b"\xc3\x02\x05\x20\x09", b"\xc3\x01\x05\x00"):
        with pytest.raises(DamagedDumpError):
            read_string(data, 0)


def plain_checksum(data: bytes) -> int:
    """Bit by bit, as the definition has it."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
    return crc


@settings(max_examples=30)
@given(pieces=st.lists(st.binary(max_size=400), max_size=6))
def test_a_checksum_of_pieces_is_that_of_all(pieces: list[bytes]) -> None:
    crc = 0
    for piece in pieces:
        crc = checksum(piece, crc)
    assert crc == plain_checksum(b"".join(pieces))


def test_the_checksum_that_redis_tests_with() -> None:
    assert checksum(b"123456789") == 0xE9C6D914C4B8D9CA


@LAW
@given(value=STRINGS)
def test_the_checksum_is_the_servers(client: Client, value: bytes) -> None:
    client.set(KEY, value)
    payload = client.dump(KEY)
    assert footer(checksum(payload[:-8])) == payload[-8:]


@given(sizes=st.lists(st.sampled_from([1, 5, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES]), max_size=4))
@settings(max_examples=15)
def test_records_and_back(sizes: list[int]) -> None:
    given_entries = [Entry(b"key %d" % number, number - 1, b"\x00" * size) for number, size in enumerate(sizes)]
    records = [record for entry in given_entries for record in records_of(entry)]
    chunk = b"".join(bytes(data) for _, data in records)
    assert list(entries([chunk])) == given_entries
    assert [(key, bytes(data)) for key, data in split(chunk)] == records
    assert len({key for key, _ in records}) == len(records)


def test_values_for_relations(redis_server: RunningServer) -> None:
    with closing(connect(redis_server.uri)) as client:
        client.set("a", "text")
        client.set("b", b"\xff")
        client.hset("c", mapping={"user": "u1", "n": 3})
        client.rpush("d", 1)
    with closing(RedisSource("redis", uri=redis_server.uri)) as source:
        copy = back_up(source)["db0"]
        chunks = [chunk.data for chunk in copy.chunks]
        assert list(source.values(copy.stream, chunks, "key")) == ["a", "b", "c", "d"]
        assert list(source.values(copy.stream, chunks, "value")) == ["text", b"\xff", MISSING, MISSING]
        assert list(source.values(copy.stream, chunks, "user")) == [MISSING, MISSING, "u1", MISSING]
        with pytest.raises(UsageError):
            source.values(copy.stream, chunks, "")
