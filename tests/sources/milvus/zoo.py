"""Databases with what Milvus makes awkward."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drtool.sources.milvus.address import Address
from drtool.sources.milvus.connection import Connection
from drtool.sources.vectors.records import encode_item, encode_vectors

# Whoever imports this module is skipped where the engine is not installed.
pymilvus = pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")
TYPES = pymilvus.DataType

DIMENSIONS = 128
#: Of the large collection.
ROWS = 1000
TEXT_IDS = ["", "a", 'b"q', "c'd", "e\\f", "g\nh", "ü", "z\U0001f600", "\uffee", "A"]


def connect(path: Path) -> Connection:
    """A connection of the tests' own: Milvus Lite stays open in this process as long as it is."""
    return Connection(Address(str(path)), create=True)


def vectors(count: int, seed: int, dimensions: int = DIMENSIONS) -> list[list[float]]:
    """Random vectors of float32 in clusters."""
    source = np.random.default_rng(seed)
    centres = np.random.default_rng(1).random((8, dimensions), dtype=np.float32) * 10
    rows = centres[source.integers(0, 8, count)] + source.random((count, dimensions), dtype=np.float32)
    return [row.tolist() for row in rows.astype(np.float32)]


def fill(client: Any) -> None:
    """A large collection with fields of every type that Milvus Lite has, and odd ones."""
    client.create_collection("docs", schema=_docs(client), index_params=_index(client, "v", "HNSW", "COSINE"))
    client.create_partition("docs", "archive")
    rows = [_row(number, vector) for number, vector in enumerate(vectors(ROWS, 2))]
    client.insert("docs", rows[: ROWS // 2])
    client.insert("docs", rows[ROWS // 2 :], partition_name="archive")
    client.delete("docs", filter="id in [-3, 5]")
    client.upsert("docs", [{**rows[10], "text": "changed"}])
    client.create_alias("docs", "current")
    texts = client.create_schema(enable_dynamic_field=False)
    texts.add_field("key", TYPES.VARCHAR, max_length=50, is_primary=True)
    texts.add_field("v", TYPES.FLOAT_VECTOR, dim=4)
    client.create_collection("texts", schema=texts, index_params=_index(client, "v", "FLAT", "L2"))
    client.insert("texts", [{"key": key, "v": [1.0, 2.0, number / 3, 0.0]} for number, key in enumerate(TEXT_IDS)])
    empty = client.create_schema(auto_id=True)
    empty.add_field("id", TYPES.INT64, is_primary=True)
    empty.add_field("v", TYPES.FLOAT_VECTOR, dim=2)
    empty.add_field("w", TYPES.SPARSE_FLOAT_VECTOR)
    client.create_collection("empty", schema=empty)
    client.create_collection(
        "words", schema=_words(client), index_params=_index(client, "sparse", "SPARSE_INVERTED_INDEX", "BM25")
    )
    client.insert("words", [{"id": number, "text": f"hello {number}"} for number in range(5)])
    for name in ("docs", "texts", "words"):
        client.flush(name)


def listing(client: Any) -> dict[str, list[bytes]]:
    """What is there, by one query for each collection."""
    found: dict[str, list[bytes]] = {}
    for name in client.list_collections():
        client.load_collection(name)
        told = client.describe_collection(name)
        [primary] = [field["name"] for field in told["fields"] if field.get("is_primary")]
        archived = _ids(client, name, primary, ["archive"]) if "archive" in client.list_partitions(name) else set()
        rows = [dict(row) for row in client.query(name, filter="", limit=16000, output_fields=["*"])]
        by_id = {row[primary]: row for row in rows}
        ids = sorted(by_id, key=lambda id_: id_.encode() if isinstance(id_, str) else id_)
        found[name] = [_item(by_id[id_], id_, archived, primary) for id_ in ids]
        found[f"{name}#vectors"] = [_vectors(by_id[id_], id_) for id_ in ids]
    return found


def _item(row: dict[str, Any], id_: Any, archived: set[Any], primary: str) -> bytes:
    fields = {name: value for name, value in row.items() if name not in {primary, "v", "w", "sparse"}}
    return bytes(encode_item(id_, {**fields, **({"$partition": "archive"} if id_ in archived else {})})[1])


def _vectors(row: dict[str, Any], id_: Any) -> bytes:
    held: dict[str, Any] = {}
    if row.get("v") is not None:
        held["v"] = struct.pack(f"<{len(row['v'])}f", *row["v"])
    if row.get("w") is not None:
        held["w"] = {"indices": sorted(row["w"]), "values": [row["w"][index] for index in sorted(row["w"])]}
    return bytes(encode_vectors(id_, held)[1])


def _ids(client: Any, name: str, primary: str, partitions: list[str]) -> set[Any]:
    rows = client.query(name, filter="", limit=16000, output_fields=[primary], partition_names=partitions)
    return {row[primary] for row in rows}


def _docs(client: Any) -> Any:
    schema = client.create_schema(enable_dynamic_field=True, description="what the tests search")
    schema.add_field("id", TYPES.INT64, is_primary=True)
    schema.add_field("v", TYPES.FLOAT_VECTOR, dim=DIMENSIONS)
    schema.add_field("text", TYPES.VARCHAR, max_length=200, nullable=True)
    schema.add_field("json", TYPES.JSON, nullable=True)
    schema.add_field("numbers", TYPES.ARRAY, element_type=TYPES.INT64, max_capacity=10)
    schema.add_field("flag", TYPES.BOOL, default_value=True)
    schema.add_field("small", TYPES.INT8)
    schema.add_field("single", TYPES.FLOAT)
    schema.add_field("double", TYPES.DOUBLE)
    return schema


def _words(client: Any) -> Any:
    schema = client.create_schema()
    schema.add_field("id", TYPES.INT64, is_primary=True)
    schema.add_field("text", TYPES.VARCHAR, max_length=200, enable_analyzer=True, enable_match=True)
    schema.add_field("sparse", TYPES.SPARSE_FLOAT_VECTOR)
    schema.add_function(
        pymilvus.Function(
            name="bm25",
            function_type=pymilvus.FunctionType.BM25,
            input_field_names=["text"],
            output_field_names=["sparse"],
        )
    )
    return schema


def _index(client: Any, field: str, kind: str, metric: str) -> Any:
    params = client.prepare_index_params()
    params.add_index(field, index_type=kind, metric_type=metric)
    return params


def _row(number: int, vector: list[float]) -> dict[str, Any]:
    return {
        "id": number * 7 % ROWS - 20,
        "v": vector,
        "text": None if number % 5 == 0 else f'text {number} über "quotes"',
        "json": [None, [], {"a": number, "n": None, "l": [1, "x", 1.5]}, [1, 2], {}][number % 5],
        "numbers": list(range(number % 4)),
        "small": number % 100 - 50,
        "single": number / 3,
        "double": number / 3,
        "extra": "dynamic" if number % 2 else 2**40,
        "nested": {"doc_id": f"d{number}", "tags": ["a", "b"][: number % 3]},
    }
