"""What needs the engine itself: opening a table at a version, describing it, reading its rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drtool.errors import SourceError
from drtool.sources.extras import require
from drtool.sources.lancedb.definitions import Definition, Index

EXTRA = "lancedb"
#: The most that a batch of rows should hold in bytes, and its most rows.
_BATCH_BYTES = 16 * 1024 * 1024
_BATCH_ROWS = 1024


def installed() -> str:
    """The engine's version. ``MissingToolError`` where it is not installed."""
    return str(require("lancedb", EXTRA).__version__)


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """The engine's errors as drtool's."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:  # all that the engine raises
        first = str(error).strip().splitlines()
        raise SourceError(f"LanceDB failed while {doing}: {first[0] if first else type(error).__name__}") from error


def open_table(database: Path, name: str, version: int | None = None) -> Any:
    """A table at a version; None: the newest. Raises the engine's errors."""
    table = require("lancedb", EXTRA).connect(str(database)).open_table(name)
    if version is not None:
        table.checkout(version)
    return table


def describe(database: Path, name: str, version: int, storage: str, writer: str) -> Definition:
    """What a table is at a version, as the engine tells it."""
    with translated(f"looking at table {name}"):
        table = open_table(database, name, version)
        return Definition(
            schema=table.schema.serialize().to_pybytes(),
            columns={field.name: str(field.type) for field in table.schema},
            rows=table.count_rows(),
            indexes=tuple(sorted(map(_index, table.list_indices()), key=lambda index: index.name)),
            storage=storage,
            writer=writer,
        )


def batches(table: Any, size: int, columns: list[str] | None = None, *, row_ids: bool = False) -> Iterator[Any]:
    """All rows of an opened table, as record batches in the engine's order. `size` are the bytes of its files, which
    say how many rows are held at a time. Raises the engine's errors."""
    query = table.search()
    if columns is not None:
        query = query.select(columns)
    if row_ids:
        query = query.with_row_id(True)
    rows = _BATCH_BYTES * table.count_rows() // max(1, size)
    yield from query.to_batches(max(1, min(_BATCH_ROWS, rows)))


def read_through(database: Path, name: str, size: int) -> int:
    """Decode every value of the newest version once, of files of `size` bytes; returns how many rows there are."""
    with translated(f"reading table {name}"):
        return sum(batch.num_rows for batch in batches(open_table(database, name), size))


def _index(index: Any) -> Index:
    return Index(
        name=index.name,
        type=str(index.index_type),
        columns=tuple(index.columns),
        rows=index.num_indexed_rows or 0,
        details=dict(index.index_details or {}),
    )
