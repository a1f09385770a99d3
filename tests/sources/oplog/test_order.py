"""Record keys sort as a real server's ``_id`` index does."""

from __future__ import annotations

import struct
import uuid

import bson
import pytest
from bson import DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.code import Code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drtool.sources.mongodb.keys import between, key_of
from drtool.sources.mongodb.oplog.order import HIGHEST, sort_key, sort_keys
from tests.sources.mongo import RAW, Client, document, int32, raw_documents

Key = bytes


def key(value: object) -> Key:
    """The record key of a value."""
    return key_of(bson.encode({"_id": value}))


def double(bits: int) -> Key:
    """A double by its bits: any NaN, say."""
    return b"\x01" + struct.pack("<Q", bits)


def text(kind: int, value: bytes) -> Key:
    """A string or symbol."""
    return bytes((kind,)) + int32(len(value) + 1) + value + b"\0"


def binary(subtype: int, value: bytes) -> Key:
    """Binary; of subtype 2 with the length that it has inside."""
    inner = int32(len(value)) + value if subtype == 2 else value
    return b"\x05" + int32(len(inner)) + bytes((subtype,)) + inner


NEAR = [0, 1, -1, 10, 2**31 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)]
integers = st.one_of(st.sampled_from(NEAR), st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))
doubles = st.one_of(
    st.sampled_from([0.1, -0.1, 0.5, 2.0**53, 2.0**63, -(2.0**63), 1e22, 5e-324, float("inf"), float("-inf")]),
    st.floats(width=64),
    integers.map(float),
)
decimals = st.one_of(
    st.sampled_from(
        ["0.1", "-0.1", "0.10", "1E+2", "-0", "0E-6176", "1E-6176", "9.999E+6144", "Infinity", "-Infinity"]
    ),
    st.sampled_from(["NaN", "9007199254740993", "9007199254740992.5", "9223372036854775807.5", "5E-324", "1E+22"]),
    st.builds("{}E{}".format, st.integers(-(10**34) + 1, 10**34 - 1), st.integers(-400, 400)),
    integers.map(str),
)
numbers = st.one_of(
    integers.map(lambda value: key(Int64(value))),
    integers.filter(lambda value: -(2**31) <= value < 2**31).map(key),
    doubles.map(key),
    decimals.map(lambda value: key(Decimal128(value))),
    st.sampled_from([double(0x8000000000000000), double(0xFFF8000000000001), b"\x13" + b"\xff" * 15 + b"\x5f"]),
    st.binary(min_size=16, max_size=16).map(lambda value: b"\x13" + value),
)
texts = st.one_of(
    st.text(max_size=5).map(str.encode), st.sampled_from([b"", b"a", b"a\0", b"a\0b", b"ab", b"\xc3\xa9"])
)
scalars = st.one_of(
    numbers,
    st.builds(text, st.sampled_from([0x02, 0x0E]), texts),
    st.builds(binary, st.sampled_from([0, 2, 3, 4, 5, 0x80, 0xFF]), st.binary(max_size=300)),
    st.builds(lambda value: b"\x05" + int32(16) + b"\x04" + value.bytes, st.uuids()),
    st.binary(min_size=12, max_size=12).map(lambda value: b"\x07" + value),
    st.sampled_from([b"\x08\0", b"\x08\1", b"\x0a", b"\xff", b"\x7f"]),
    st.integers(-(2**63), 2**63 - 1).map(lambda value: b"\x09" + struct.pack("<q", value)),
    st.integers(0, 2**64 - 1).map(lambda value: b"\x11" + struct.pack("<Q", value)),
)


def nested(inner: st.SearchStrategy[Key]) -> st.SearchStrategy[Key]:
    """Documents and arrays of keys."""
    names = st.sampled_from(["a", "b", "", "ab"])
    documents = st.lists(st.tuples(names, inner), max_size=3).map(
        lambda found: b"\x03" + document(*((value[0], name, value[1:]) for name, value in found))
    )
    arrays = st.lists(inner, max_size=3).map(
        lambda found: b"\x04" + document(*((value[0], str(at), value[1:]) for at, value in enumerate(found)))
    )
    return st.one_of(documents, arrays)


#: What a document may hold besides; an ``_id`` itself is neither undefined nor an array.
values = st.recursive(st.one_of(scalars, st.just(b"\x06")), nested, max_leaves=4)
ids = st.one_of(numbers, scalars, values.filter(lambda value: value[0] not in (0x04, 0x06)))


def insert(client: Client, database: str, found: list[Key]) -> str:
    """The name of a collection with these ids, each of them once."""
    name = f"c{uuid.uuid4().hex}"
    documents = [bson.raw_bson.RawBSONDocument(document((each[0], "_id", each[1:])), RAW) for each in found]
    if documents:
        reply = client[database].command({"insert": name, "documents": documents, "ordered": False})
        assert {error["code"] for error in reply.get("writeErrors", ())} <= {11000}, reply
    return name


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ids, max_size=200))
def test_the_order_is_the_servers(client: Client, database: str, found: list[Key]) -> None:
    name = insert(client, database, found)
    listed = [key_of(each) for each in raw_documents(client[database], name, {"_id": 1})]
    encoded = [sort_key(each) or b"" for each in listed]
    assert encoded == sorted(encoded)
    assert len(set(encoded)) == len(encoded)
    # what the index held to be a duplicate has the key of what it is a duplicate of
    assert {sort_key(each) for each in found} == set(encoded)
    assert all(each < HIGHEST for each in encoded)
    client[database].drop_collection(name)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ids, min_size=2, max_size=60), st.integers(0, 59), st.integers(0, 59))
def test_what_lies_between_is_the_servers_word(
    client: Client, database: str, found: list[Key], lower: int, upper: int
) -> None:
    """Whatever types the bounds are of: nothing may be in no part, or in two."""
    name = insert(client, database, found)
    for low, high in [(None, found[upper % len(found)]), (found[lower % len(found)], found[upper % len(found)])]:
        for bounds in [(low, high), (high, None)]:
            only = bson.raw_bson.RawBSONDocument(between(*bounds), RAW)
            lying = raw_documents(client[database], name, {"$natural": 1}, only)
            there = sorted(sort_key(key_of(each)) or b"" for each in lying)
            least, most = (None if each is None else sort_key(each) for each in bounds)
            everything = sorted({sort_key(each) or b"" for each in found})
            assert there == [each for each in everything if (least or b"") <= each < (most or HIGHEST)]
    client[database].drop_collection(name)


@given(
    st.one_of(st.lists(ids), st.lists(st.uuids().map(lambda one: key(Binary(one.bytes, 4)))), st.lists(texts.map(key)))
)
def test_many_at_once(found: list[Key]) -> None:
    one_by_one = [sort_key(each) for each in found]
    assert sort_keys(found) == one_by_one
    assert sort_keys([*found, b""]) is None
    assert sort_keys([*found, key(Regex("a"))]) is None


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (float("nan"), float("-inf")),
        (Decimal128("0.1"), 0.1),
        (2**53, Decimal128("9007199254740992.5")),
        (float(2**53), 2**53 + 1),
        (MinKey(), None),
        (None, -1),
        (1, "1"),
        ("a", {"a": 1}),
        ({"a": 1}, b"a"),
        (b"b", b"aa"),
        (b"zz", ObjectId()),
        (ObjectId(), False),
        (False, True),
        (True, bson.datetime_ms.DatetimeMS(-1)),
        (bson.datetime_ms.DatetimeMS(1), Timestamp(0, 1)),
        (Timestamp(1, 2), Timestamp(2, 1)),
        (Timestamp(1, 2), MaxKey()),
        (Binary(b"aaaaa", 0), Binary(b"aa", 2)),  # whose own length is four bytes more
    ],
)
def test_one_comes_before_the_other(less: object, more: object) -> None:
    one, other = sort_key(key(less)), sort_key(key(more))
    assert one is not None
    assert other is not None
    assert one < other


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (-0.0, 0), (Decimal128("1.50"), 1.5), (Int64(7), 7)])
def test_equal_numbers_are_equal_whatever_their_type(one: object, other: object) -> None:
    assert sort_key(key(one)) == sort_key(key(other)) is not None


def test_what_is_damaged_has_no_order() -> None:
    damaged = b"\x05" + int32(-1) + b"\0"
    assert sort_key(damaged) is None
    assert sort_keys([damaged, damaged]) is None
    assert sort_key(b"\x04" + document((0x10, "0", int32(1)))) is None


@pytest.mark.parametrize("value", [Regex("a"), Code("f"), Code("f", {}), {"a": Regex("a")}, {"a": [Code("f")]}])
def test_of_other_types_no_order_is_claimed(value: object) -> None:
    assert sort_key(key(value)) is None
    assert sort_key(b"") is None
    assert sort_key(key(DBRef("c", 1))) is not None
