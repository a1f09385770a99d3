"""Vector collections as Parquet, in the layout of vector-io: a directory for each collection, ``VDF_META.json`` beside.

The layout ("Universal Vector Dataset Format") is described in https://github.com/AI-Northstar-Tech/vector-io, README.
Vectors are lists of float32 whose bytes Parquet splits into planes (BYTE_STREAM_SPLIT), which is what makes them
compress.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from drtool import __version__
from drtool.errors import ExportError, UsageError
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.extras import require
from drtool.sources.plain import PlainExporter
from drtool.sources.reading import StreamInfo
from drtool.sources.restoring import Loaded
from drtool.sources.vectors.arrays import dense_array, other_array, sparse_array
from drtool.sources.vectors.columns import Columns, unlike
from drtool.sources.vectors.joining import Item, Joined, items_of
from drtool.sources.vectors.records import UNNAMED

_ROWS = 4096
_META = "VDF_META.json"
_FILE = "1.parquet"
#: The names that vector-io has for metrics.
_METRICS = {"l2": "Euclid", "cosine": "Cosine", "ip": "Dot"}

_LONGEST = 200


class VectorKind(StrEnum):
    """What the vectors of a name are: of float32, sparse ones (``{"indices": …, "values": …}``), or others."""

    DENSE = "dense"
    SPARSE = "sparse"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Shape:
    """A collection as its definition has it: its vectors by name (`UNNAMED` for the only one), the metric (``l2``,
    ``cosine``, ``ip``, or the store's own word) and the dimensions of the first dense one, -1 where they are not known.

    ``spread`` are the fields of an item whose own fields become columns.
    """

    vectors: Mapping[str, VectorKind]
    metric: str
    dimensions: int = -1
    spread: frozenset[str] = frozenset()


class ParquetExporter(PlainExporter):
    """See ``drtool.sources.exporting.Exporter``. `type_` is that of the source; `shape` reads a definition.

    A joined stream's items are read twice, from a temporary file in the directory, for Parquet wants to know its
    columns before the first row.
    """

    layout = "vdf-parquet"
    concurrent = True

    def __init__(self, place: ExportPlace, type_: str, shape: Callable[[StreamInfo], Shape]) -> None:
        require("pyarrow.parquet", "parquet")
        if place.directory is None:
            raise UsageError("vectors are exported to a directory, not to one archive", hint="Leave out --archive.")
        self._directory, self._shown = place.directory, place.shown
        self._type, self._shape = type_, shape
        self._order: list[ExportItem] = []
        self._metas: dict[str, dict[str, Any]] = {}

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """A directory for each collection; the largest first."""
        self._order = [item for item in items if not item.stream.beside]
        for item in self._order:
            (self._directory / directory_name(item.stream.name)).mkdir(mode=0o700)
        return sorted(items, key=lambda item: -item.bytes)

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """A collection without vectors."""
        if not item.stream.has_records:
            return Loaded(0, 0)
        return self._write(item, chunks, None)[0]

    def write_joined(
        self, item: ExportItem, chunks: Iterable[bytes], beside: Sequence[tuple[ExportItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """A collection with its vectors."""
        if len(beside) != 1:
            raise ExportError(f"{item.stream.name} has {len(beside)} streams beside it, and one is known")
        return self._write(item, chunks, beside[0][1])

    def finish(self) -> Sequence[str]:
        """``VDF_META.json``."""
        indexes = {name: [self._metas[name]] for name in sorted(self._metas)}
        meta = {
            "version": "0.1",
            "file_structure": [*(f"{one['data_path']}/{_FILE}" for [one] in indexes.values()), _META],
            "author": f"drtool {__version__}",
            "exported_from": self._type,
            "exported_at": datetime.now(UTC).isoformat(),
            "id_column": "id",
            "indexes": indexes,
        }
        with _created(self._directory / _META) as file:
            file.write(json.dumps(meta, indent=2, ensure_ascii=False).encode())
        return (
            f"Each collection is a Parquet file in {self._shown}: pyarrow, pandas, polars and DuckDB read them.",
            f"vector-io imports the whole of it into another store: import_vdf -d {self._shown} STORE",
        )

    def _write(self, item: ExportItem, chunks: Iterable[bytes], vectors: Iterable[bytes] | None) -> Sequence[Loaded]:
        name = item.stream.name
        shape = self._shape(item.stream)
        names = _vector_columns(shape) if vectors is not None else {}
        columns = Columns(shape.spread, {"id", *names})
        home = self._directory / directory_name(name)
        with tempfile.TemporaryFile(dir=home) as spool:
            read = _spool(chunks, columns, spool)
            again = _spooled(spool)
            joined = Joined(name, again, vectors) if vectors is not None else None
            rows = joined.batches(_ROWS) if joined is not None else _alone(again)
            try:
                _write_parquet(home / _FILE, rows, columns, names, shape)
            except (require("pyarrow", "parquet").ArrowException, TypeError, OverflowError) as error:
                raise ExportError(f"{name} cannot be written as Parquet: {error}") from error
        self._metas[name] = _meta(name, item, shape, names, read.records)
        return (read,) if joined is None else joined.loaded


def directory_name(stream: str) -> str:
    """A collection's name as a directory's; a long one ends in a hash of all of it."""
    name = quote(stream, safe=" ")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}-{sha256(stream.encode()).hexdigest()[:16]}"
    return name


def _vector_columns(shape: Shape) -> dict[str, str]:
    """The names of columns, with those of the vectors."""
    found = {name: name for name in shape.vectors if name not in (UNNAMED, "id")}
    for name in sorted(shape.vectors.keys() - found.keys()):
        found[unlike("vector" if name == UNNAMED else f"vector_{name}", found.keys())] = name
    return found


def _meta(name: str, item: ExportItem, shape: Shape, columns: Iterable[str], written: int) -> dict[str, Any]:
    return {
        "namespace": "",
        "index_name": name,
        "total_vector_count": item.records,
        "exported_vector_count": written,
        "dimensions": shape.dimensions,
        "model_name": "",
        "vector_columns": list(columns),
        "data_path": directory_name(name),
        "metric": _METRICS.get(shape.metric, shape.metric),
    }


def _spool(chunks: Iterable[bytes], columns: Columns, spool: IO[bytes]) -> Loaded:
    records = size = 0
    for chunk in chunks:
        spool.write(len(chunk).to_bytes(4) + chunk)
        for item in items_of(chunk):
            columns.learn(item.id, item.fields)
            records += 1
        size += len(chunk)
    return Loaded(records, size)


def _spooled(spool: IO[bytes]) -> Iterator[bytes]:
    spool.seek(0)
    while head := spool.read(4):
        yield spool.read(int.from_bytes(head))


def _alone(chunks: Iterable[bytes]) -> Iterator[list[Item]]:
    return (items_of(chunk) for chunk in chunks)


def _write_parquet(
    path: Path, batches: Iterable[list[Item]], columns: Columns, vectors: Mapping[str, str], shape: Shape
) -> None:
    pyarrow, parquet = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
    arrays = {VectorKind.DENSE: dense_array, VectorKind.SPARSE: sparse_array, VectorKind.OTHER: other_array}
    fields = columns.names()

    def table(batch: list[Item]) -> Any:
        made = {"id": columns.ids([item.id for item in batch])}
        for column, name in vectors.items():
            made[column] = arrays[shape.vectors[name]]([item.vectors.get(name) for item in batch])
        items = [item.fields for item in batch]
        made |= {column: columns.array(path, items) for column, path in fields.items()}
        return pyarrow.table(made)

    dense = {column for column, name in vectors.items() if shape.vectors[name] is VectorKind.DENSE}
    empty = table([])
    split = [f"{column}.list.element" for column in dense]
    options = {
        "compression": "zstd",
        "use_dictionary": [column for column in empty.column_names if column not in vectors],
        "use_byte_stream_split": split or False,
    }
    with _created(path) as file, parquet.ParquetWriter(file, empty.schema, **options) as writer:
        for batch in batches:
            writer.write_table(table(batch))


def _created(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
