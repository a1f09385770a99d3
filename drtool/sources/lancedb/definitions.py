"""What a table is: columns, indexes, rows. JSON with sorted keys."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from drtool.errors import SourceError
from drtool.sources.extras import require


@dataclass(frozen=True, slots=True)
class Index:
    """An index: how many rows it covers, and its parameters as the engine tells them."""

    name: str
    type: str
    columns: tuple[str, ...]
    rows: int
    details: Mapping[str, Any]

    def shown(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "columns": list(self.columns)}


@dataclass(frozen=True, slots=True)
class Definition:
    """A table at a version. ``schema`` is Arrow's, as an IPC message; ``columns`` are its types in words.

    ``storage`` is the format of the data files, ``writer`` the version of the Lance library that made the version.
    """

    schema: bytes
    columns: Mapping[str, str]
    rows: int
    indexes: tuple[Index, ...]
    storage: str
    writer: str

    def encode(self) -> bytes:
        """As a stream's definition."""
        values = {**self.shown(), "schema": base64.b64encode(self.schema).decode()}
        return json.dumps(values, sort_keys=True, default=str).encode()

    @classmethod
    def decode(cls, data: bytes) -> Definition:
        """From a stream's definition."""
        try:
            values = json.loads(data)
            return cls(
                schema=base64.b64decode(values["schema"]),
                columns=values["columns"],
                rows=values["rows"],
                indexes=tuple(Index(**{**each, "columns": tuple(each["columns"])}) for each in values["indexes"]),
                storage=values["storage"],
                writer=values["writer"],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"the definition of a table cannot be read: {error}") from error

    def shown(self) -> dict[str, Any]:
        """As JSON values, for people."""
        return {
            "rows": self.rows,
            "columns": dict(self.columns),
            "indexes": [index.shown() for index in self.indexes],
            "storage": self.storage,
            "writer": self.writer,
        }


def differences(expected: bytes, actual: bytes) -> Sequence[str]:
    """See ``Source.differences``."""
    return list(_differences(Definition.decode(expected), Definition.decode(actual)))


def _differences(wanted: Definition, found: Definition) -> Iterator[str]:
    if wanted.rows != found.rows:
        yield f"it has {found.rows:,} rows instead of {wanted.rows:,}"
    if not _same_schema(wanted.schema, found.schema):
        columns = ", ".join(name for name, kind in wanted.columns.items() if found.columns.get(name) != kind)
        yield f"its schema differs ({columns})" if columns else "its schema's metadata differ"
    there = {index.name: index for index in found.indexes}
    for index in wanted.indexes:
        other = there.pop(index.name, None)
        if other is None:
            yield f"the index {index.name} is missing"
        elif _compared(other) != _compared(index):
            yield f"the index {index.name} differs"
    yield from (f"the index {name} is one too many" for name in there)


def _same_schema(wanted: bytes, found: bytes) -> bool:
    """By what they mean: another version of Arrow may write the same schema in other bytes."""
    if wanted == found:
        return True
    pyarrow = require("pyarrow", "lancedb")
    one, other = (pyarrow.ipc.read_schema(pyarrow.py_buffer(data)) for data in (wanted, found))
    return bool(one.equals(other, check_metadata=True))


def _compared(index: Index) -> tuple[object, ...]:
    # Of the other details each version of the engine tells as many as it likes.
    return index.type, index.columns, index.rows, index.details.get("metric_type")
