"""How much of what is nearest a search finds: measured for each dense vector of a collection while all pass by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from drtool.sources.cutting import Record
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.qdrant.points import Point, PointId
from drtool.sources.qdrant.stores import Reader
from drtool.sources.vectors.recall import QUERIES, Recall
from drtool.sources.vectors.records import UNNAMED, Id, decode_vectors

_METRICS = {"Cosine": "cosine", "Euclid": "l2", "Dot": "ip"}
_BATCH = 256


class CollectionRecall:
    """The recall of one collection's vectors. Queries are the vectors of its first points; of those that most of these
    do not have none is measured, for a few queries say little."""

    def __init__(self, name: str, definition: Definition, sample: Sequence[Point]) -> None:
        self._name = name
        self._queries = {
            vector: queries
            for vector, params in definition.vectors.items()
            if params.get("distance") in _METRICS and not params.get("multivector_config")
            if 2 * len(queries := [point.vectors[vector] for point in sample[:QUERIES] if vector in point.vectors])
            >= max(1, len(sample[:QUERIES]))
        }
        self._recalls = {
            vector: Recall(np.array(queries, np.float32), _METRICS[definition.vectors[vector]["distance"]])
            for vector, queries in self._queries.items()
        }

    def watch(self, records: Iterator[Record]) -> Iterator[Record]:
        """All records of the collection's vectors, as they pass by."""
        while batch := list(islice(records, _BATCH)):
            self._feed(batch)
            yield from batch

    def measure(self, reader: Reader) -> Mapping[str, float]:
        """Recall by collection, or by ``collection/vector`` where vectors have names; of nothing where the reader
        cannot search."""
        found = {}
        for vector, recall in self._recalls.items():
            if reader.search(self._name, vector, self._queries[vector][0], 1) is None:  # type: ignore[arg-type]
                continue

            def search(number: int, limit: int, vector: str = vector) -> Sequence[Id]:
                query: Sequence[float] = self._queries[vector][number]  # type: ignore[assignment]
                return reader.search(self._name, vector, query, limit) or ()

            found[self._name if vector == UNNAMED else f"{self._name}/{vector}"] = recall.measure(search)
        return found

    def _feed(self, batch: Sequence[Record]) -> None:
        if not self._recalls:
            return
        ids: dict[str, list[PointId]] = {vector: [] for vector in self._recalls}
        rows: dict[str, list[bytes]] = {vector: [] for vector in self._recalls}
        for _, data in batch:
            id_, vectors = decode_vectors(data)
            assert not isinstance(id_, str)
            for vector in self._recalls:
                if vector in vectors:
                    ids[vector].append(id_)
                    rows[vector].append(vectors[vector])
        for vector, recall in self._recalls.items():
            if ids[vector]:
                matrix = np.frombuffer(b"".join(rows[vector]), "<f4").reshape(len(ids[vector]), -1)
                recall.feed(ids[vector], matrix)
