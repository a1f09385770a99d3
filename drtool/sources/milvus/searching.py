"""How well search finds what is there, by each index of float32 vectors (``drtool.sources.vectors.recall``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from drtool.sources.milvus.connection import Connection, translated
from drtool.sources.milvus.copying import Copied
from drtool.sources.milvus.definitions import DENSE
from drtool.sources.milvus.freezing import Collection
from drtool.sources.vectors.recall import QUERIES, Matrix, Recall
from drtool.sources.vectors.records import Id

_METRICS = {"L2": "l2", "COSINE": "cosine", "IP": "ip"}
_BATCH = 1024


def recalls(connection: Connection, collection: Collection, copied: Copied) -> dict[str, float]:
    """Recall@10 of each such index, by ``collection.field``."""
    dense = {field["name"] for field in collection.definition.stored if field["type"] == DENSE}
    found: dict[str, float] = {}
    for index in collection.definition.indexes:
        metric, field = _METRICS.get(index["metric_type"]), index["field_name"]
        if metric is not None and field in dense and copied.records:
            found[f"{collection.name}.{field}"] = _recall(connection, collection.name, field, metric, copied)
    return found


def _recall(connection: Connection, name: str, field: str, metric: str, copied: Copied) -> float:
    step = max(1, copied.records // QUERIES)
    chosen = [
        item.vectors[field]
        for number, item in enumerate(copied.decoded())
        if number % step == 0 and field in item.vectors
    ][:QUERIES]
    recall = Recall(_matrix(chosen), metric)
    for ids, vectors in _batches(copied, field):
        recall.feed(ids, vectors)

    def search(number: int, nearest: int) -> Sequence[Id]:
        query = np.frombuffer(chosen[number], "<f4").tolist()
        with translated(connection.address, f"searching {name}"):
            hits = connection.client.search(name, data=[query], limit=nearest, anns_field=field)
            return [hit.id for hit in hits[0]]

    return recall.measure(search)


def _batches(copied: Copied, field: str) -> Iterator[tuple[list[Id], Matrix]]:
    ids: list[Id] = []
    vectors: list[bytes] = []
    for item in copied.decoded():
        if field in item.vectors:
            ids.append(item.id)
            vectors.append(item.vectors[field])
        if len(ids) == _BATCH:
            yield ids, _matrix(vectors)
            ids, vectors = [], []
    if ids:
        yield ids, _matrix(vectors)


def _matrix(vectors: Sequence[bytes]) -> Matrix:
    return np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
