"""Points as the embedded engine gives and takes them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drtool.sources.qdrant.points import Point, Sparse, Vector
from drtool.sources.vectors.records import UNNAMED


def point_of_engine(record: Any, *, payload: bool, vectors: bool) -> Point:
    """A record of the engine, of which so much was asked for."""
    id_ = record.id
    found = (record.vector or {}) if vectors else {}
    named = found if isinstance(found, dict) else {UNNAMED: found}
    return Point(
        id_ if isinstance(id_, UUID) else int(id_),
        (record.payload or {}) if payload else {},
        {name: _vector(value) for name, value in named.items()},
    )


def point_for_engine(engine: Any, point: Point) -> Any:
    """The same for the engine."""
    vectors = {name: _for_engine(engine, value) for name, value in point.vectors.items()}
    return engine.Point(id=point.id, vector=vectors, payload=dict(point.payload))


def _vector(value: Any) -> Vector:
    if isinstance(value, list):
        return value
    return Sparse(value.indices, value.values)


def _for_engine(engine: Any, value: Vector) -> Any:
    if isinstance(value, Sparse):
        return engine.SparseVector(indices=list(value.indices), values=list(value.values))
    return [list(row) if isinstance(row, tuple | list) else row for row in value]
