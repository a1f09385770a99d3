"""Records of vector collections: what goes in comes out, and the order of keys is that of ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson.binary import Binary
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import SourceError
from drtool.sources.base import MISSING
from drtool.sources.vectors.records import (
    Id,
    decode,
    decode_all,
    decode_vectors,
    encode_item,
    encode_vectors,
    key_of,
    records,
    values,
)

text = st.text(st.characters(exclude_categories=["Cs"]))
integers = st.integers(-(1 << 63), (1 << 64) - 1)
ids = st.one_of(text, integers, st.uuids())
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    text,
    st.binary(max_size=8),
    st.uuids(),
)
value = st.recursive(
    plain, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)), max_leaves=8
)
fields = st.dictionaries(names.filter(lambda name: name != "_id"), value, max_size=4)
floats = st.lists(st.integers(0, 255), min_size=0, max_size=4).map(lambda some: bytes(some) * 4)


@given(ids, fields)
def test_an_item_comes_back(id_: Id, item: dict[str, Any]) -> None:
    key, data = encode_item(id_, item)
    assert key == key_of(id_)
    assert decode(data) == {"_id": id_, **item}
    assert type(decode(data)["_id"]) is type(id_) or isinstance(id_, int)


@given(ids, fields, st.randoms())
def test_equal_items_are_equal_bytes(id_: Id, item: dict[str, Any], random: Any) -> None:
    shuffled = list(item.items())
    random.shuffle(shuffled)
    assert encode_item(id_, dict(shuffled)) == encode_item(id_, item)


@given(ids, st.dictionaries(names, floats, max_size=3))
def test_vectors_come_back_bit_for_bit(id_: Id, vectors: dict[str, bytes]) -> None:
    assert decode_vectors(encode_vectors(id_, vectors)[1]) == (id_, vectors)


@given(text, names, floats)
def test_the_commonest_record_is_what_bson_makes_of_it(id_: str, name: str, vector: bytes) -> None:
    made = bson.encode({"_id": id_, "v": {name: Binary(b"\x27\x00" + vector, 9)}})
    assert encode_vectors(id_, {name: vector}) == (key_of(id_), made)


@pytest.mark.parametrize(
    "vector",
    [
        {"indices": [1, 2], "values": [0.5, 0.25]},
        [[1.0, 2.0], [3.0, 4.0]],
        Binary(b"\x03\x00\x01\x02", 9),
        Binary(b"\x27\x00half", 128),
    ],
)
def test_other_vectors_come_back_as_they_are(vector: object) -> None:
    assert decode_vectors(encode_vectors("a", {"name": vector})[1]) == ("a", {"name": vector})


@given(st.lists(st.tuples(ids, fields), max_size=6))
def test_a_chunk_is_taken_apart(items: list[tuple[Id, dict[str, Any]]]) -> None:
    encoded = [encode_item(id_, item) for id_, item in items]
    chunk = b"".join(bytes(data) for _, data in encoded)
    assert [(key, bytes(data)) for key, data in records(chunk)] == [(key, bytes(data)) for key, data in encoded]
    assert decode_all(chunk) == [decode(data) for _, data in encoded]


@given(st.lists(text), st.lists(integers), st.lists(st.uuids()))
def test_keys_sort_as_ids_do(texts: list[str], numbers: list[int], uuids: list[UUID]) -> None:
    assert sorted(map(key_of, texts)) == [key_of(each) for each in sorted(texts)]
    assert sorted(map(key_of, numbers)) == [key_of(each) for each in sorted(numbers)]
    assert sorted(map(key_of, uuids)) == [key_of(each) for each in sorted(uuids)]


@given(fields, st.data())
def test_half_a_chunk_is_refused(item: dict[str, Any], data: st.DataObject) -> None:
    chunk = bytes(encode_item("id", item)[1])
    cut = data.draw(st.integers(1, len(chunk) - 1))
    for read in (lambda some: list(records(some)), decode_all):
        with pytest.raises(SourceError):
            read(chunk[:cut])


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"big": 1 << 64}, "8-byte"),
        ({"odd": object()}, "object"),
        ({"_id": 1}, "_id"),
        ({"lone": "\ud800"}, "surrogate"),
        ({"at": datetime(2026, 1, 1, 0, 0, 0, 1, UTC)}, "millisecond"),
        ({"na\0me": 1}, "NULL"),
    ],
)
def test_what_cannot_be_kept_is_named(item: dict[str, Any], says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        encode_item("the-id", item)
    assert "the-id" in caught.value.message


def test_records_without_an_id_are_refused() -> None:
    for document in ({"a": 1}, {"_id": 1.5}, {"_id": None}):
        chunk = bson.encode(document)
        for read in (lambda some: list(records(some)), decode_all):
            with pytest.raises(SourceError):
                read(chunk)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("id", ["a", 7]),
        ("metadata.doc_id", ["d1", MISSING]),
        ("metadata.dotted.name", [3, MISSING]),
        ("metadata.list.n", [[1, 2], MISSING]),
        ("metadata.list.none", [MISSING, MISSING]),
        ("metadata", [{"doc_id": "d1", "dotted.name": 3, "list": [{"n": 1}, {"n": 2}, {}]}, MISSING]),
        ("document", ["text", MISSING]),
        ("document.deeper", [MISSING, MISSING]),
    ],
)
def test_values_of_a_field(path: str, expected: list[object]) -> None:
    one = {"document": "text", "metadata": {"doc_id": "d1", "dotted.name": 3, "list": [{"n": 1}, {"n": 2}, {}]}}
    chunks = [bytes(encode_item("a", one)[1]), bytes(encode_item(7, {})[1])]
    assert list(values(chunks, path, MISSING)) == expected


def test_a_field_of_the_name_id_is_the_field() -> None:
    assert list(values([bytes(encode_item("key", {"id": 5})[1])], "id", MISSING)) == [5]
