"""Shards of the embedded engine for tests, filled and listed without drtool."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import bson
import qdrant_edge
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128

#: Enough for several chunks of vectors.
POINTS = 220
SIZE = 512
IDS: tuple[int | UUID, ...] = (*range(POINTS), 2**63, 2**64 - 1, UUID(int=1), UUID(int=2**127 + 5))
_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
_LARGEST = 2**63 - 1


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A shard as an application has it."""
    with closing(qdrant_edge.EdgeShard.load(str(path))) as shard:
        yield shard


def fill(directory: Path) -> None:
    """What is awkward: named vectors of all kinds, ids of both kinds and of 64 bits, payloads of every shape."""
    numbers = random.Random(7)
    with closing(_make(directory / "docs")) as shard:
        points = [qdrant_edge.Point(id_, _vectors(numbers), _payload(number)) for number, id_ in enumerate(IDS)]
        points.append(qdrant_edge.Point(10_000, {}, {}))
        points.append(qdrant_edge.Point(10_001, {"many": [[0.0, -0.0, 1e-40], [3.4e38, 1.0, 2.0]]}, {"": None}))
        shard.update(qdrant_edge.UpdateOperation.upsert_points(points))
        for field, schema in _indexes().items():
            shard.update(qdrant_edge.UpdateOperation.create_field_index(field, schema))
    create(directory / "empty", {"": dense(8, "Cosine")}).close()


def change(directory: Path) -> None:
    """Points that go, come and differ."""
    with opened(directory / "docs") as shard:
        shard.update(qdrant_edge.UpdateOperation.delete_points([1, 2, 3]))
        shard.update(qdrant_edge.UpdateOperation.set_payload([4], {"changed": True}))
        shard.update(qdrant_edge.UpdateOperation.upsert_points([qdrant_edge.Point(20_000, {}, {})]))


def listing(directory: Path) -> Mapping[str, Sequence[bytes]]:
    """The records of each stream as docs/format.md has them, made by other means."""
    found: dict[str, Sequence[bytes]] = {}
    for path in sorted(directory.iterdir()):
        with opened(path) as shard:
            points, _ = shard.scroll(qdrant_edge.ScrollRequest(limit=100_000, with_payload=True, with_vector=True))
        found[path.name] = [_encoded(point.id, {"payload": _held(point.payload or {})}) for point in points]
        found[f"{path.name}#vectors"] = [_encoded(point.id, {"v": _named(point.vector)}) for point in points]
    return found


def _make(path: Path) -> Any:
    multi = qdrant_edge.MultiVectorConfig(comparator=qdrant_edge.MultiVectorComparator.MaxSim)
    vectors = {
        "cosine": dense(SIZE, "Cosine"),
        "many": dense(3, "Dot", multivector_config=multi),
    }
    sparse = {"words": qdrant_edge.EdgeSparseVectorParams(modifier=qdrant_edge.Modifier.Idf)}
    hnsw = qdrant_edge.HnswIndexConfig(m=8, ef_construct=32, full_scan_threshold=10)
    return create(path, vectors, sparse_vectors=sparse, hnsw_config=hnsw)


def create(path: Path, vectors: Mapping[str, Any], **more: Any) -> Any:
    """An open shard."""
    path.mkdir(parents=True)
    return qdrant_edge.EdgeShard.create(str(path), qdrant_edge.EdgeConfig(vectors=dict(vectors), **more))


def dense(size: int, distance: str, **more: Any) -> Any:
    """The parameters of a vector."""
    return qdrant_edge.EdgeVectorParams(size=size, distance=getattr(qdrant_edge.Distance, distance), **more)


def _vectors(numbers: random.Random) -> dict[str, Any]:
    def some(size: int) -> list[float]:
        return [numbers.gauss(0, 1) for _ in range(size)]

    return {
        "cosine": some(SIZE),
        "many": [some(3) for _ in range(numbers.randrange(1, 4))],
        "words": qdrant_edge.SparseVector([70, 3, 2**32 - 1], some(3)),
    }


def _payload(number: int) -> dict[str, Any]:
    return {
        "doc_id": f"d{number}",
        "_id": number,
        "text": "word " * 30,
        "float": number / 3,
        "whole": 1.0,
        "large": [_LARGEST, -_LARGEST - 1, 2**64 - 1],
        "nested": {"b": [None, True, {"a.b": "ä"}], "a": {}},
    }


def _indexes() -> dict[str, Any]:
    stopwords = qdrant_edge.StopwordsSet(languages={qdrant_edge.Language.English}, custom={"word"})
    stemmer = qdrant_edge.SnowballParams(qdrant_edge.SnowballLanguage.German)
    text = qdrant_edge.TextIndexParams(
        tokenizer=qdrant_edge.TokenizerType.Word, lowercase=True, stopwords=stopwords, stemmer=stemmer
    )
    return {
        "doc_id": qdrant_edge.PayloadSchemaType.Keyword,
        "_id": qdrant_edge.IntegerIndexParams(lookup=False, range=True),
        "text": text,
    }


def _encoded(id_: int | UUID, fields: Mapping[str, Any]) -> bytes:
    held = Decimal128(str(id_)) if isinstance(id_, int) and id_ > _LARGEST else id_
    return bson.encode({"_id": held, **fields}, codec_options=_OPTIONS)


def _held(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _held(each) for name, each in sorted(value.items())}
    if isinstance(value, list):
        return [_held(each) for each in value]
    return Decimal128(str(value)) if isinstance(value, int) and value > _LARGEST else value


def _named(vector: Any) -> dict[str, Any]:
    named = vector if isinstance(vector, dict) else {"": vector}
    return {name: _vector_held(value) for name, value in sorted(named.items())}


def _vector_held(value: Any) -> Any:
    if isinstance(value, qdrant_edge.SparseVector):
        return {"indices": value.indices, "values": value.values}
    if value and isinstance(value[0], list):
        return [_vector_held(row) for row in value]
    return Binary(b"\x27\x00" + struct.pack(f"<{len(value)}f", *value), 9)
