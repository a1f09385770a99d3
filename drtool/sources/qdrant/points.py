"""Points of a collection and their records (docs/format.md, "Qdrant")."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bson.binary import Binary
from bson.decimal128 import Decimal128

from drtool.errors import SourceError
from drtool.sources.cutting import Record
from drtool.sources.vectors.joining import Item
from drtool.sources.vectors.records import encode_item, encode_vectors

PointId = int | UUID

#: An item's fields.
PAYLOAD, SHARD_KEY = "payload", "shard_key"

_LARGEST, _SMALLEST = (1 << 63) - 1, -(1 << 63)
_FLOAT32 = b"\x27\x00"
_SUBTYPE = 9


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sparse vector."""

    indices: Sequence[int]
    values: Sequence[float]


Vector = Sequence[float] | Sequence[Sequence[float]] | Sparse
"""A dense one, several of one size (a multivector), or a sparse one."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point as the engine gives it: vectors by name (``UNNAMED`` for the only one)."""

    id: PointId
    payload: Mapping[str, Any]
    vectors: Mapping[str, Vector]
    shard_key: str | int | None = None


def item_record(point: Point) -> Record:
    """The record in the stream of items."""
    placed = {} if point.shard_key is None else {SHARD_KEY: point.shard_key}
    try:
        payload = _map(point.payload, _held)
    except ArithmeticError as error:
        raise SourceError(f"item {point.id} cannot be kept: it has an integer of more than 34 digits") from error
    return encode_item(point.id, {PAYLOAD: payload, **placed})


class VectorRecords:
    """Makes the records of a collection's vectors. `sizes` are the dimensions of the dense ones by name.

    ``SourceError``, with the collection and the point, for a vector that is not of its dimensions or not of numbers.
    """

    def __init__(self, collection: str, sizes: Mapping[str, int]) -> None:
        self._collection = collection
        self._packers = {name: struct.Struct(f"<{size}f") for name, size in sizes.items()}
        self._sizes = sizes

    def record(self, point: Point) -> Record:
        """The record in the stream of vectors."""
        return encode_vectors(point.id, {name: self._held(point.id, name, one) for name, one in point.vectors.items()})

    def _held(self, id_: PointId, name: str, vector: Vector) -> Any:
        if isinstance(vector, Sparse):
            if len(vector.indices) != len(vector.values):
                raise self._error(id_, name, "has not as many indices as values")
            packed = self._floats(id_, name, vector.values, struct.Struct(f"<{len(vector.values)}f"))
            # As the engines hold them: a server's JSON has a float32's shortest decimal, which is another double.
            return {"indices": list(vector.indices), "values": list(_unpacked(packed))}
        if vector and isinstance(vector[0], Sequence):
            return [Binary(_FLOAT32 + self._packed(id_, name, row), _SUBTYPE) for row in vector]
        return self._packed(id_, name, vector)

    def _packed(self, id_: PointId, name: str, vector: Any) -> bytes:
        packer = self._packers.get(name)
        if packer is None:
            raise self._error(id_, name, "is not among those of the collection")
        if len(vector) != self._sizes[name]:
            raise self._error(id_, name, f"has {len(vector)} dimensions instead of {self._sizes[name]}")
        return self._floats(id_, name, vector, packer)

    def _floats(self, id_: PointId, name: str, vector: Sequence[float], packer: struct.Struct) -> bytes:
        self._check(id_, name, vector)
        try:
            return packer.pack(*vector)
        except (struct.error, OverflowError) as error:
            raise self._error(id_, name, f"is not of float32: {error}") from error

    def _check(self, id_: PointId, name: str, values: Sequence[float]) -> None:
        try:
            sound = math.isfinite(sum(values))
        except (TypeError, OverflowError):  # no numbers, or integers beyond all floats
            sound = False
        if not sound:
            raise self._error(id_, name, "holds NaN, an infinity, or something else that is no number")

    def _error(self, id_: PointId, name: str, what: str) -> SourceError:
        named = f"vector {name!r}" if name else "vector"
        return SourceError(
            f"{self._collection}: the {named} of point {id_} {what}",
            hint="No search finds such a point, and no server takes it: write its vector again, or delete it.",
        )


def point_of(item: Item) -> Point:
    """A point from both of its records."""
    fields = item.fields
    id_ = item.id if isinstance(item.id, UUID) else int(item.id)
    vectors = {name: _given_vector(value) for name, value in item.vectors.items()}
    return Point(id_, _map(fields[PAYLOAD], _given), vectors, fields.get(SHARD_KEY))


def _given_vector(value: Any) -> Vector:
    if isinstance(value, bytes):
        return _unpacked(value)
    if isinstance(value, list):
        return [_unpacked(bytes(one)[2:]) for one in value]
    return Sparse(value["indices"], value["values"])


def _unpacked(data: bytes) -> Sequence[float]:
    return struct.unpack(f"<{len(data) // 4}f", data)


def _held(value: Any) -> Any:
    """JSON has integers that BSON has not; those are kept as decimals."""
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        return Decimal128(str(value))
    return value


def _given(value: Any) -> Any:
    return int(value.to_decimal()) if isinstance(value, Decimal128) else value


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        return {name: _map(each, change) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_map(each, change) for each in value]
    return change(value)
