"""How well search finds what is there, by each vector index of a table (``drtool.sources.vectors.recall``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from drtool.sources.lancedb import engine
from drtool.sources.lancedb.definitions import Definition
from drtool.sources.lancedb.files import Version
from drtool.sources.vectors.recall import QUERIES, Matrix, Recall

_METRICS = {"l2": "l2", "cosine": "cosine", "dot": "ip"}
_ROW_ID = "_rowid"


def recalls(name: str, version: Version, definition: Definition) -> dict[str, float]:
    """Recall@10 of each vector index, by ``table.column``; `name` is what the table is called in that.

    Reads the column of each once, through the engine.
    ``SourceError`` where the engine fails.
    """
    found: dict[str, float] = {}
    with engine.translated(f"searching table {name}"):
        for index in definition.indexes:
            metric = _METRICS.get(str(index.details.get("metric_type", "")).lower())
            if metric is None or not definition.rows:
                continue  # no index of vectors, or one whose distances drtool does not compute
            table = engine.open_table(version.directory.parent, version.name, version.manifest.version)
            measured = _recall(table, version.bytes, index.columns[0], metric, definition.rows)
            if measured is not None:
                found[f"{name}.{index.columns[0]}"] = measured
    return found


def _recall(table: Any, size: int, column: str, metric: str, rows: int) -> float | None:
    places = sorted({number * rows // QUERIES for number in range(min(QUERIES, rows))})
    queries = _matrix(table.take_offsets(places).select([column]).to_arrow().column(column))
    if queries is None or not len(queries):
        return None
    recall = Recall(queries, metric)
    for batch in engine.batches(table, size, [column], row_ids=True):
        values = batch.column(batch.schema.get_field_index(column))
        ids = batch.column(batch.schema.get_field_index(_ROW_ID)).filter(values.is_valid())
        vectors = _matrix(values)
        if vectors is not None and len(vectors):
            recall.feed(ids.to_pylist(), vectors)

    def search(number: int, count: int) -> Sequence[int]:
        query = table.search(queries[number], vector_column_name=column).select([]).with_row_id(True)
        return list(_row_ids(query.limit(count).to_arrow()))

    return recall.measure(search)


def _row_ids(found: Any) -> Iterator[int]:
    return (int(value) for value in found.column(_ROW_ID).to_pylist())


def _matrix(values: Any) -> Matrix | None:
    """The vectors that are there, as float32; None for a column that does not hold vectors of one length."""
    values = values.combine_chunks() if hasattr(values, "combine_chunks") else values
    size = getattr(values.type, "list_size", None)
    if size is None:
        return None
    numbers = values.drop_null().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(numbers, np.float32).reshape(-1, size)
