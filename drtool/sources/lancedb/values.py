"""The values of a column, for relations: read from the stored files, by the engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from drtool.errors import UsageError
from drtool.sources.base import MISSING
from drtool.sources.lancedb import engine
from drtool.sources.lancedb.files import SUFFIX
from drtool.sources.lancedb.writing import write
from drtool.sources.reading import StreamInfo
from drtool.sources.throwaway import throwaway, writing_in

_NAME = "table"


def values(stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
    """See ``Source.values``: of every row. The files lie in a temporary directory meanwhile."""
    column, *steps = path.split(".")
    with throwaway(Path(tempfile.gettempdir()), "drtool-lancedb-") as directory:
        with writing_in(directory):
            written = write(directory / f"{_NAME}{SUFFIX}", chunks)
        with engine.translated(f"reading table {stream.name}"):
            table = engine.open_table(directory, _NAME)
            if column not in table.schema.names:
                raise UsageError(
                    f"{stream.name} has no column {column}", hint=f"It has: {', '.join(table.schema.names)}"
                )
            for batch in engine.batches(table, written.bytes, [column]):
                for value in batch.column(batch.schema.get_field_index(column)).to_pylist():
                    yield _below(value, steps)


def _below(value: Any, steps: Sequence[str]) -> Any:
    for at, step in enumerate(steps):
        if isinstance(value, list):
            found = [_below(each, steps[at:]) for each in value]
            return [each for each in found if each is not MISSING] or MISSING
        if not isinstance(value, dict) or step not in value:
            return MISSING
        value = value[step]
    return value
