"""A snapshot as files that psql reads: ``restore.sql``, and beside it a directory for each database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from drtool.errors import ExportError
from drtool.sources.exporting import ExportItem
from drtool.sources.plain import PlainExporter
from drtool.sources.postgres import creating, definitions, large_objects, names, records, roles, sequences
from drtool.sources.postgres.definitions import DatabaseDefinition, TableDefinition
from drtool.sources.postgres.names import literal, quoted
from drtool.sources.postgres.values import encoding_of
from drtool.sources.restoring import Loaded

_PGCOPY = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_PGCOPY_END = b"\xff\xff"
_SETTINGS = """\
SET client_encoding = '{encoding}';
SET standard_conforming_strings = on;
SET check_function_bodies = off;
SET client_min_messages = warning;
SET row_security = off;
SELECT pg_catalog.set_config('search_path', '', false);
"""
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


class SqlExporter(PlainExporter):
    """A directory that ``psql -f restore.sql`` reads (``drtool.sources.exporting.Exporter``): SQL, and COPY's files."""

    layout = "postgres-sql"
    concurrent = True

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._databases: dict[str, DatabaseDefinition] = {}
        self._files: dict[str, str] = {}
        self._items: tuple[ExportItem, ...] = ()

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """See ``Exporter.begin``."""
        for item in items:
            if item.stream.kind == definitions.DEFINITIONS:
                definition = DatabaseDefinition.decode(item.stream.definition)
                self._databases[names.split(item.stream.name)[0]] = definition
        self._items = tuple(items)
        for number, item in enumerate(items):
            database = names.split(item.stream.name)[0]
            _refuse_line_ends(item)
            if database and database not in self._databases:
                raise ExportError(f"{item.stream.name} cannot be exported without the definitions of its database")
            if item.stream.has_records:
                self._files[item.stream.name] = f"{_safe(database)}/{number:05}-{_safe(item.stream.name)}"
        for database in self._databases:
            self._directory.joinpath(_safe(database)).mkdir(parents=True, exist_ok=True)
        return items

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Exporter.write``."""
        if not item.stream.has_records:
            return Loaded(0, 0)
        counted = _Counted(chunks)
        with self._directory.joinpath(self._files[item.stream.name]).open("wb") as file:
            if item.stream.kind == definitions.TABLE:
                _write_rows(file, TableDefinition.decode(item.stream.definition), counted)
            elif item.stream.kind == definitions.SEQUENCES:
                for schema, name, last, called in sequences.standings(counted):
                    place = literal(f"{quoted(schema)}.{quoted(name)}")
                    file.write(f"SELECT setval({place}, {last}, {str(called).lower()});\n".encode())
            else:
                for oid, part, body in large_objects.pieces(counted):
                    file.write(large_objects.as_sql(oid, part, body).encode())
        return Loaded(counted.records, counted.bytes)

    def finish(self) -> Sequence[str]:
        """See ``Exporter.finish``."""
        notes = ["Read it from its own directory: cd DIR && psql -X -d postgres -f restore.sql"]
        with self._directory.joinpath("restore.sql").open("w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\\set ON_ERROR_STOP on\n")
            for database, definition in self._databases.items():
                file.writelines(self._of_database(database, definition))
        for item in self._items:
            if item.stream.kind == definitions.ROLES:
                self._directory.joinpath("roles.sql").write_text(_roles(item), encoding="utf-8")
                notes.append("Before that, where the server lacks the roles: psql -X -d postgres -f roles.sql")
        return notes

    def _of_database(self, database: str, definition: DatabaseDefinition) -> Iterator[str]:
        create = literal(creating.create_statement(database, definition))
        there = f"SELECT FROM pg_catalog.pg_database WHERE datname = {literal(database)}"
        yield f"SELECT {create} WHERE NOT EXISTS ({there}) \\gexec\n"
        settings = _SETTINGS.format(
            encoding="SQL_ASCII" if definition.properties["encoding"] == "SQL_ASCII" else "UTF8"
        )
        escaped = database.replace("\\", "\\\\").replace("'", "\\'")
        there = quoted(f"dbname='{escaped}'")
        yield f"\\connect -reuse-previous=on {there}\n{settings}{definition.pre}"
        for item in self._items:
            if names.split(item.stream.name)[0] == database and item.stream.name in self._files:
                yield from self._of_stream(item)
        yield settings + definition.post
        for statement in creating.last_statements(database, definition):
            yield statement + ";\n"

    def _of_stream(self, item: ExportItem) -> Iterator[str]:
        file = self._files[item.stream.name]
        if item.stream.kind != definitions.TABLE:
            yield f"\\i {file}\n"
            return
        definition = TableDefinition.decode(item.stream.definition)
        table = f"{quoted(definition.schema)}.{quoted(definition.name)}"
        listed = ", ".join(quoted(column) for column, _, _ in definition.columns)
        columns = f" ({listed})" if listed else ""
        form = "text" if definition.text else "binary"
        line = f"\\copy {table}{columns} FROM '{file}' WITH (FORMAT {form})\n"
        if definition.encoding in ("UTF8", "SQL_ASCII"):
            yield line
            return
        # the binary form knows no encoding of its own, so the session takes that of the file, names and all
        yield f"SET client_encoding = {literal(definition.encoding)};\n"
        yield line.encode(encoding_of(definition.encoding)).decode("utf-8", "surrogateescape")
        yield "SET client_encoding = 'UTF8';\n"


class _Counted:
    """Chunks, and how many records and bytes have passed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.records = self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.records += sum(1 for _ in records.each(chunk))
            self.bytes += len(chunk)
            yield chunk


def _write_rows(file: IO[bytes], definition: TableDefinition, chunks: Iterable[bytes]) -> None:
    if not definition.text:
        file.write(_PGCOPY)
    for _, row in records.rows(iter(chunks)):
        file.write(row)
    if not definition.text:
        file.write(_PGCOPY_END)


def _refuse_line_ends(item: ExportItem) -> None:
    """psql's own commands end with their line: what follows in a name would be another command."""
    found = [item.stream.name]
    if item.stream.kind == definitions.TABLE:
        found += [column for column, _, _ in TableDefinition.decode(item.stream.definition).columns]
    for name in found:
        if "\n" in name or "\r" in name:
            raise ExportError(
                f"{item.stream.name!r} cannot be exported: psql takes no name with a line end ({name!r})",
                hint="Leave it out with --only, or restore the snapshot instead.",
            )


def _safe(name: str) -> str:
    """A name as a part of a path."""
    return _UNSAFE.sub("_", name)[:80]


def _roles(item: ExportItem) -> str:
    held: Sequence[dict[str, Any]] = definitions.decode(item.stream.definition)["roles"]
    return "".join(f"{statement};\n" for statement in roles.create_statements(held, set()))
