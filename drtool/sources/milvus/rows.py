"""Rows of Milvus as items with vectors, and back."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from bson.binary import USER_DEFINED_SUBTYPE, Binary

from drtool.errors import SourceError
from drtool.sources.milvus.definitions import DENSE, JSON_FIELD, PACKED, SPARSE, VECTORS, Definition
from drtool.sources.vectors.joining import Item

_MARK = "$"
#: The field of an item that holds its partition, where somebody chose it.
PARTITION = "$partition"


def kept_name(name: str) -> str:
    """What a record calls a field: dynamic ones may have names that records have for other things."""
    return f"{_MARK}{name}" if name == "_id" or name.startswith(_MARK) else name


class Rows:
    """Knows a collection's fields. Dense vectors are bytes of little-endian float32, sparse ones indices and values;
    those of other types the bytes that Milvus has them in."""

    def __init__(self, definition: Definition) -> None:
        self.primary = str(definition.primary["name"])
        types = {str(field["name"]): str(field["type"]) for field in definition.stored}
        self._vectors = {name: kind for name, kind in types.items() if kind in VECTORS}
        self._json = {name for name, kind in types.items() if kind == JSON_FIELD}
        self._computed = {str(field["name"]) for field in definition.fields} - set(types)

    def item(self, row: Mapping[str, Any], partition: str | None) -> Item:
        """What is kept of a row. ``SourceError`` for a value that cannot be."""
        fields = {
            kept_name(name): list(value)
            if hasattr(value, "__iter__") and not isinstance(value, str | bytes | dict)
            else value
            for name, value in row.items()
            if name != self.primary and name not in self._vectors and name not in self._computed
        }
        if partition is not None:
            fields[PARTITION] = partition
        vectors = {name: _kept(row[name], kind) for name, kind in self._vectors.items() if row.get(name) is not None}
        return Item(row[self.primary], fields, vectors)

    def row(self, item: Item) -> dict[str, Any]:
        """The row to insert, without its partition."""
        row: dict[str, Any] = {
            name.removeprefix(_MARK): value for name, value in item.fields.items() if name != PARTITION
        }
        for name in self._json & row.keys():
            row[name] = None if row[name] is None else json.dumps(row[name])  # text would be taken for JSON itself
        row[self.primary] = item.id
        for name, kind in self._vectors.items():
            row[name] = _given(item.vectors[name], kind) if name in item.vectors else None
        return row


def _kept(value: Any, kind: str) -> Any:
    if kind == DENSE:
        return struct.pack(f"<{len(value)}f", *value)
    if kind == SPARSE:
        ordered = sorted((int(index), float(weight)) for index, weight in value.items())
        return {"indices": [index for index, _ in ordered], "values": [weight for _, weight in ordered]}
    assert kind in PACKED
    data = value[0] if isinstance(value, list) and len(value) == 1 else value
    if hasattr(data, "tobytes"):
        data = data.tobytes()
    if not isinstance(data, bytes):
        raise SourceError(f"a vector of type {kind} came as {type(value).__name__}")
    return Binary(data, USER_DEFINED_SUBTYPE)


def _given(value: Any, kind: str) -> Any:
    if kind == DENSE:
        return list(struct.unpack(f"<{len(value) // 4}f", value))
    if kind == SPARSE:
        return dict(zip(value["indices"], value["values"], strict=True))
    return bytes(value)
