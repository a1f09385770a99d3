"""A directory of qdrant-client's local mode for tests, filled and listed without drtool."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import bson
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from qdrant_client import QdrantClient, models

POINTS = 120
SIZE = 512
_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)


@contextmanager
def opened(directory: Path) -> Iterator[QdrantClient]:
    """As an application has it."""
    client = QdrantClient(path=str(directory))
    try:
        yield client
    finally:
        client.close()


def fill(directory: Path) -> None:
    """Named vectors of all kinds, ids of both kinds, an alias, an index that ranks texts."""
    numbers = random.Random(7)
    multi = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    with opened(directory) as client:
        client.create_collection(
            "docs",
            vectors_config={
                "cosine": models.VectorParams(size=SIZE, distance=models.Distance.COSINE),
                "many": models.VectorParams(size=2, distance=models.Distance.DOT, multivector_config=multi),
            },
            sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
            metadata={"model": "test"},
        )
        ids = [*range(POINTS), str(UUID(int=5)), str(UUID(int=2**127))]
        client.upsert(
            "docs", [models.PointStruct(id=one, vector=_vectors(numbers), payload=_payload(one)) for one in ids]
        )
        client.upsert("docs", [models.PointStruct(id=9_999, vector={}, payload=None)])
        client.create_payload_index(
            "docs", "text", models.TextIndexParams(type=models.TextIndexType.TEXT, scoring=True)
        )
        client.create_collection("plain", models.VectorParams(size=2, distance=models.Distance.COSINE))
        client.upsert("plain", [models.PointStruct(id=1, vector=[3.0, 4.0], payload={"doc_id": "a"})])
        made = models.CreateAlias(collection_name="docs", alias_name="current")
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=made)])


def change(directory: Path) -> None:
    """Points that go, come and differ."""
    with opened(directory) as client:
        client.delete("docs", [1, 2, 3])
        client.set_payload("docs", {"changed": True}, [4])
        client.upsert("docs", [models.PointStruct(id=20_000, vector={}, payload={})])


def listing(directory: Path) -> Mapping[str, Sequence[bytes]]:
    """The records of each stream as docs/format.md has them. Local mode gives cosine vectors normalised, and stores
    them as they were: those are taken from `fill`'s own numbers."""
    given = _given()
    found: dict[str, Sequence[bytes]] = {}
    with opened(directory) as client:
        for name in sorted(one.name for one in client.get_collections().collections):
            points, _ = client.scroll(name, limit=100_000, with_payload=True, with_vectors=True)
            points.sort(key=lambda point: (isinstance(point.id, str), point.id))
            found[name] = [_encoded(point.id, {"payload": _sorted(point.payload or {})}) for point in points]
            found[f"{name}#vectors"] = [
                _encoded(point.id, {"v": _named(given.get((name, point.id), {}))}) for point in points
            ]
    return found


def _given() -> dict[tuple[str, Any], Any]:
    numbers = random.Random(7)
    ids = [*range(POINTS), str(UUID(int=5)), str(UUID(int=2**127))]
    return {("plain", 1): {"": [3.0, 4.0]}} | {("docs", one): _vectors(numbers) for one in ids}


def _vectors(numbers: random.Random) -> dict[str, Any]:
    def some(size: int) -> list[float]:
        return [numbers.gauss(0, 1) for _ in range(size)]

    return {
        "cosine": some(SIZE),
        "many": [some(2) for _ in range(numbers.randrange(1, 4))],
        "words": models.SparseVector(indices=[70, 3], values=[0.5, 0.25]),
    }


def _payload(one: Any) -> dict[str, Any]:
    return {"doc_id": f"d{one}", "text": "word " * 10, "nested": {"b": [None, True, 1.0], "a": {}}, "_id": 1}


def _encoded(id_: Any, fields: Mapping[str, Any]) -> bytes:
    return bson.encode({"_id": UUID(id_) if isinstance(id_, str) else id_, **fields}, codec_options=_OPTIONS)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(each) for name, each in sorted(value.items())}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def _named(vectors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _held(value) for name, value in sorted(vectors.items())}


def _held(value: Any) -> Any:
    if isinstance(value, models.SparseVector):
        pairs = sorted(zip(value.indices, value.values, strict=True))
        return {"indices": [one for one, _ in pairs], "values": [one for _, one in pairs]}
    if isinstance(value[0], list):
        return [_held(row) for row in value]
    return Binary(b"\x27\x00" + struct.pack(f"<{len(value)}f", *value), 9)
