"""The columns of a collection that is exported as a table: which fields there are, and of which type.

Items have no schema. So the types follow from all of them, read once before the first row is written: a column takes
the type of its values; integers and floats together become floats, where that changes no value; whatever differs
otherwise, and all that is nested, becomes JSON text.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from bson.decimal128 import Decimal128

from drtool.sources.extras import require
from drtool.sources.vectors.records import Id


class Kind(StrEnum):
    """What a column holds."""

    BOOL = "bool"
    INT = "int"
    LARGE = "large"
    FLOAT = "float"
    TEXT = "text"
    BYTES = "bytes"
    TIME = "time"
    JSON = "json"


_KINDS: Mapping[type, Kind] = {
    bool: Kind.BOOL,
    float: Kind.FLOAT,
    str: Kind.TEXT,
    UUID: Kind.TEXT,
    bytes: Kind.BYTES,
    datetime: Kind.TIME,
}


#: Up to here every integer is a float, too.
_EXACT = 1 << 53
_TOGETHER: Mapping[Set[Kind], Kind] = {
    frozenset({Kind.INT, Kind.FLOAT}): Kind.FLOAT,
    frozenset({Kind.INT, Kind.LARGE}): Kind.LARGE,
}


class Columns:
    """Learns the columns from items, then makes arrays of them.

    The fields in `spread` are mappings whose own fields become columns. A name that is taken (one of `taken`, or
    another field's) gets the field's in front: ``metadata.id``.
    """

    def __init__(self, spread: Set[str], taken: Set[str]) -> None:
        self._spread = spread
        self._taken = taken
        self._kinds: dict[tuple[str, ...], Kind] = {}
        self._ids: set[type] = set()
        self._large = False

    def learn(self, id_: Id, fields: Mapping[str, Any]) -> None:
        """Take an item into account."""
        self._ids.add(type(id_))
        self._large = self._large or (isinstance(id_, int) and id_ >= 1 << 63)
        for path, value in self._values(fields):
            if value is not None:
                kind, before = _kind(value), self._kinds.get(path)
                self._kinds[path] = kind if before is None or before is kind else _common(before, kind)

    def names(self) -> Mapping[str, tuple[str, ...]]:
        """The columns' names, with the path of the field that each holds."""
        found: dict[str, tuple[str, ...]] = {}
        for path in sorted(self._kinds, key=lambda path: (len(path), path)):
            short = path[-1]
            free = short not in self._taken and short not in found
            found[short if free else unlike(".".join(path), {*self._taken, *found})] = path
        return found

    def ids(self, ids: Sequence[Id]) -> Any:
        """The column of ids: integers where all of them are, else text."""
        pyarrow = require("pyarrow", "parquet")
        if self._ids == {int}:
            return pyarrow.array(ids, pyarrow.uint64() if self._large else pyarrow.int64())
        return pyarrow.array([str(id_) for id_ in ids], pyarrow.string())

    def array(self, path: tuple[str, ...], items: Iterable[Mapping[str, Any]]) -> Any:
        """One column of these items."""
        pyarrow = require("pyarrow", "parquet")
        kind = self._kinds[path]
        values = [None if value is None else _as(kind, value) for value in (_at(item, path) for item in items)]
        types = {
            Kind.BOOL: pyarrow.bool_(),
            Kind.INT: pyarrow.int64(),
            Kind.LARGE: pyarrow.int64(),
            Kind.FLOAT: pyarrow.float64(),
            Kind.TEXT: pyarrow.string(),
            Kind.BYTES: pyarrow.binary(),
            Kind.TIME: pyarrow.timestamp("ms", "UTC"),
            Kind.JSON: pyarrow.string(),
        }
        return pyarrow.array(values, types[kind])

    def _values(self, fields: Mapping[str, Any]) -> Iterable[tuple[tuple[str, ...], Any]]:
        for name, value in fields.items():
            if name in self._spread and isinstance(value, Mapping):
                for inner, each in value.items():
                    yield (name, inner), each
            else:
                yield (name,), value


def as_json(value: Any) -> str:
    """A value as JSON text; bytes as base64."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _kind(value: Any) -> Kind:
    if isinstance(value, int) and not isinstance(value, bool):  # BSON's of 64 bits is a class of its own
        return Kind.INT if abs(value) <= _EXACT else Kind.LARGE
    return _KINDS.get(type(value), Kind.JSON)


def _common(one: Kind, other: Kind) -> Kind:
    return _TOGETHER.get(frozenset({one, other}), Kind.JSON)


def _as(kind: Kind, value: Any) -> Any:
    if kind is Kind.JSON:
        return as_json(value)
    if kind is Kind.FLOAT:
        return float(value)
    if kind is Kind.TEXT:
        return str(value)
    return value


def _at(item: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = item
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value


def unlike(name: str, taken: Set[str]) -> str:
    """`name`, and underscores where it is taken."""
    while name in taken:
        name += "_"
    return name


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, Decimal128):  # an integer beyond 64 bits
        return int(value.to_decimal())
    return value.isoformat() if isinstance(value, datetime) else str(value)
