"""Rows as items, definitions compared, settings: no engine is needed."""

from __future__ import annotations

import json
import struct
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.source_types.milvus import MilvusSettings
from drtool.errors import MissingToolError, SourceError
from drtool.sources.base import MISSING
from drtool.sources.milvus import MilvusSource
from drtool.sources.milvus.address import Address
from drtool.sources.milvus.connection import Connection
from drtool.sources.milvus.definitions import Definition, describe, differences
from drtool.sources.milvus.rows import Rows
from drtool.sources.reading import Proof, StreamInfo
from drtool.sources.vectors.joining import Item
from drtool.sources.vectors.records import decode, decode_vectors, encode_item, encode_vectors

#: A collection of a server, with fields that Milvus Lite has not.
VALUES: dict[str, Any] = {
    "lite": False,
    "fields": [
        {"name": "key", "type": "INT64", "is_primary": True, "params": {}},
        {"name": "dense", "type": "FLOAT_VECTOR", "params": {"dim": 3}, "nullable": True},
        {"name": "half", "type": "FLOAT16_VECTOR", "params": {"dim": 2}},
        {"name": "bits", "type": "BINARY_VECTOR", "params": {"dim": 16}},
        {"name": "sparse", "type": "SPARSE_FLOAT_VECTOR", "params": {}},
        {"name": "json", "type": "JSON", "params": {}, "nullable": True},
        {"name": "computed", "type": "SPARSE_FLOAT_VECTOR", "params": {}, "is_function_output": True},
    ],
    "description": "",
    "auto_id": False,
    "enable_dynamic_field": True,
    "functions": [],
    "consistency_level": "Bounded",
    "num_shards": 2,
    "properties": {"collection.ttl.seconds": "0"},
    "num_partitions": 1,
    "partitions": ["_default"],
    "aliases": ["current"],
    "indexes": [
        {"index_name": "fast", "field_name": "dense", "index_type": "HNSW", "metric_type": "L2", "params": {"M": "8"}}
    ],
}
FLOATS = st.floats(width=32, allow_nan=False)
#: A name with a zero byte cannot be kept: that is an error of its own.
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.lists(FLOATS, min_size=3, max_size=3) | st.none(),
    st.binary(min_size=4, max_size=4),
    st.dictionaries(st.integers(0, 2**32 - 2), FLOATS, max_size=5),
    JSON,
)
def test_what_is_inserted_is_what_was_read(
    id_: int, dense: list[float] | None, packed: bytes, sparse: dict[int, float], value: Any
) -> None:
    rows = Rows(Definition(VALUES))
    told = {
        "key": id_,
        "dense": dense,
        "half": [packed],
        "bits": [packed[:2]],
        "sparse": sparse,
        "json": value,
        "computed": {1: 0.5},
        "extra": "dynamic",
    }
    item = rows.item(told, "archive")
    fields = decode(encode_item(item.id, item.fields)[1])
    id_again, vectors = decode_vectors(encode_vectors(item.id, item.vectors)[1])
    assert fields.pop("_id") == id_again == id_
    row: dict[str, Any] = rows.row(Item(id_, fields, vectors))
    assert row.pop("json") == (None if value is None else json.dumps(fields["json"]))
    assert row.pop("dense") == dense
    assert row == {"key": id_, "half": packed, "bits": packed[:2], "sparse": sparse, "extra": "dynamic"}


@given(st.dictionaries(st.sampled_from(["_id", "$partition", "$_id", "$$", "id", "partition"]), st.integers(0, 9)))
def test_dynamic_fields_may_have_any_name(dynamic: dict[str, int]) -> None:
    rows = Rows(Definition(VALUES))
    told: dict[str, Any] = {"key": 1, "dense": None, "half": b"1234", "bits": b"12", "sparse": {}}
    item = rows.item({**told, **dynamic}, "archive")
    assert item.fields["$partition"] == "archive"
    chunk = bytes(encode_item(item.id, item.fields)[1])
    fields = decode(chunk)
    row = rows.row(Item(fields.pop("_id"), fields, item.vectors))
    assert {name: value for name, value in row.items() if name not in told and name != "json"} == dynamic
    stream = StreamInfo("docs", "milvus-collection", Proof.IDENTICAL, changed())
    source = MilvusSource("s", address=Address("unused.db"))
    for name, value in dynamic.items():
        assert list(source.values(stream, [chunk], name)) == [value]


def test_arrays_of_structs_are_named() -> None:
    pymilvus = pytest.importorskip("pymilvus")

    class Client:
        """A server's answers, in the form of its client."""

        def describe_collection(self, name: str) -> dict[str, Any]:
            array, struct_ = pymilvus.DataType.ARRAY, pymilvus.DataType.STRUCT
            return {"collection_name": name, "fields": [{"name": "parts", "type": array, "element_type": struct_}]}

    with pytest.raises(SourceError, match="field parts is of type ARRAY of STRUCT"):
        describe(Client(), "docs", lite=False)


def test_a_name_that_cannot_be_kept_is_named() -> None:
    with pytest.raises(SourceError, match="item 7 cannot be kept"):
        encode_item(7, {"json": {"\0": 1}})


def test_a_vector_that_came_as_something_else_is_named() -> None:
    row: dict[str, Any] = {"key": 1, "dense": None, "half": 7, "bits": b"12", "sparse": {}}
    with pytest.raises(SourceError, match="FLOAT16_VECTOR"):
        Rows(Definition(VALUES)).item(row, None)


def changed(**changes: Any) -> bytes:
    """The definition with other values."""
    return Definition({**deepcopy(VALUES), **changes}).encode()


def test_what_differs_is_told() -> None:
    same = changed()
    assert differences(same, same) == []
    [text] = differences(same, changed(num_shards=1))
    assert "num shards" in text
    [text] = differences(same, changed(indexes=[]))
    assert "index on dense is missing" in text
    assert "one too many" in differences(changed(indexes=[]), same)[0]
    index = {**VALUES["indexes"][0], "params": {"M": "16"}}
    assert "index on dense differs" in differences(same, changed(indexes=[index]))[0]


def test_what_milvus_lite_does_not_keep_is_not_compared() -> None:
    index = {**VALUES["indexes"][0], "index_name": "dense", "params": {}}
    lite = changed(lite=True, indexes=[index], num_shards=1, properties={}, consistency_level="Strong")
    assert differences(changed(), lite) == []
    other = changed(lite=True, indexes=[{**index, "metric_type": "IP"}])
    assert "index on dense differs" in differences(changed(), other)[0]


def test_aliases_that_were_left_out_are_not_missed() -> None:
    same = Definition.decode(changed())
    assert differences(same.encode(), same.without_aliases().encode()) == []
    assert "aliases" in differences(same.encode(), changed(aliases=[]))[0]


def test_values_are_those_of_fields() -> None:
    source = MilvusSource("s", address=Address("unused.db"))
    stream = StreamInfo("docs", "milvus-collection", Proof.IDENTICAL, changed())
    chunk = b"".join(bytes(encode_item(n, {"json": {"doc": f"d{n}"}})[1]) for n in range(3))
    assert list(source.values(stream, [chunk], "key")) == [0, 1, 2]
    assert list(source.values(stream, [chunk], "json.doc")) == ["d0", "d1", "d2"]
    assert list(source.values(stream, [chunk], "other")) == [MISSING] * 3


def test_settings(tmp_path: Path) -> None:
    read = MilvusSettings.model_validate
    assert read({"type": "milvus", "uri": "http://127.0.0.1:19530"}).uri == "http://127.0.0.1:19530"
    path = read({"type": "milvus", "uri": "app.db"}, context={"directory": tmp_path}).uri
    assert path == str(tmp_path / "app.db")
    for wrong in ("s3://bucket/app.db", "app", "http://user:password@host:1"):
        with pytest.raises(ValueError, match="must"):
            read({"type": "milvus", "uri": wrong})


def test_a_token_shows_itself_nowhere() -> None:
    address = Address("https://host:19530", "user:secret", "shop")
    assert "secret" not in f"{address!r} {address.shown}"
    assert address.shown == "https://host:19530/shop"


def test_without_the_client_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)  # as an import finds it that fails
    with pytest.raises(MissingToolError) as caught:
        Connection(Address(str(tmp_path / "app.db")), create=True)
    assert "drtool[milvus]" in caught.value.hint


def test_float32_come_back_bit_for_bit() -> None:
    numbers = [struct.unpack("<f", struct.pack("<I", bits))[0] for bits in (1, 0x3EAAAAAB, 0x80000000)]
    rows = Rows(Definition(VALUES))
    item = rows.item({"key": 1, "dense": numbers, "half": b"1234", "bits": b"12", "sparse": {}}, None)
    assert item.vectors["dense"] == struct.pack("<3I", 1, 0x3EAAAAAB, 0x80000000)
