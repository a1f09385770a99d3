"""Snapshots in forms that Redis' own programs read: a dump that redis-server starts on, commands for redis-cli."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from drtool.errors import ExportError
from drtool.sources.exporting import ByteSink, ExportItem
from drtool.sources.plain import PlainExporter
from drtool.sources.redis.definitions import Definition
from drtool.sources.redis.dumping import in_dump
from drtool.sources.redis.naming import FUNCTIONS, database_of
from drtool.sources.redis.payloads import RESTORE_TAIL, command, restore_commands, restore_head, version_bytes
from drtool.sources.redis.rdb.checksum import checksum, footer
from drtool.sources.redis.rdb.strings import length_bytes, string_bytes
from drtool.sources.redis.rdb.types import OLDEST_VERSION, server_of
from drtool.sources.redis.records import Part, entries, split
from drtool.sources.restoring import Loaded

FILE = "dump.rdb"
_FUNCTION, _DATABASE, _END = b"\xf5", b"\xfe", b"\xff"


def _ordered(items: Sequence[ExportItem]) -> Sequence[ExportItem]:
    """Functions first, as the server writes them, then databases by number."""
    return sorted(items, key=lambda item: -1 if item.stream.kind == FUNCTIONS else _database(item))


def _database(item: ExportItem) -> int:
    found = database_of(item.stream.name)
    if found is None:
        raise ExportError(f"{item.stream.name} is no database")
    return found


def _version(items: Sequence[ExportItem]) -> int:
    return max((Definition.decode(item.stream.definition).version for item in items), default=OLDEST_VERSION)


class DumpExporter(PlainExporter):
    """``dump.rdb``. See ``drtool.sources.exporting.Exporter``; `shown` is what the operator calls the directory."""

    layout = "redis-dump"
    concurrent = False

    def __init__(self, directory: Path, shown: str) -> None:
        self._path, self._shown = directory / FILE, shown
        self._version, self._crc = OLDEST_VERSION, 0

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """See ``Exporter.begin``."""
        order = _ordered(items)
        self._version = _version(items)
        with self._path.open("xb") as file:
            self._put(file, b"REDIS%04d" % self._version)
        return order

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """A database, or the functions."""
        with self._path.open("ab") as file:
            if item.stream.kind == FUNCTIONS:
                functions, loaded = _functions(chunks)
                self._put(file, b"".join([_FUNCTION + string_bytes(code) for code in functions]))
                return loaded
            self._put(file, _DATABASE + length_bytes(_database(item)))
            records = size = 0
            for chunk in chunks:
                count, pieces = in_dump(chunk)
                self._put(file, b"".join(pieces))
                records += count
                size += len(chunk)
        return Loaded(records, size)

    def finish(self) -> Sequence[str]:
        """The end, and its checksum."""
        with self._path.open("ab") as file:
            self._put(file, _END)
            file.write(footer(self._crc))
        command_line = f"redis-server --dir {shlex.quote(self._shown)} --dbfilename {FILE}"
        return (
            f"start a server on it ({server_of(self._version)} or newer): {command_line}",
            f"or put {FILE} into the directory of a server that is stopped and has no append-only file",
        )

    def _put(self, file: IO[bytes], data: bytes) -> None:
        file.write(data)
        self._crc = checksum(data, self._crc)


class CommandsExporter(PlainExporter):
    """One file of commands in Redis' protocol. See ``drtool.sources.exporting.Exporter``."""

    layout = "redis-commands"
    concurrent = False

    def __init__(self, sink: ByteSink, shown: str) -> None:
        self._sink, self._shown = sink, shown
        self._version, self._type, self._crc = OLDEST_VERSION, 0, 0
        self._begun: list[bytes] = []

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """See ``Exporter.begin``."""
        self._version = _version(items)
        return _ordered(items)

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """A database, or the functions."""
        if item.stream.kind == FUNCTIONS:
            functions, loaded = _functions(chunks)
            for code in functions:
                self._sink.write(command(b"FUNCTION", b"LOAD", b"REPLACE", code))
            return loaded
        self._sink.write(command(b"SELECT", b"%d" % _database(item)))
        records = size = 0
        for chunk in chunks:
            for commands in restore_commands(chunk, self._take_part):
                self._sink.write(commands.data)
                records += commands.records
            # After them: a value that goes on in the next chunk is the last of this one.
            self._write_begun()
            size += len(chunk)
        return Loaded(records, size)

    def finish(self) -> Sequence[str]:
        """How it is read."""
        place = shlex.quote(self._shown) if self._shown != "-" else "FILE"
        return (f"load it into a server ({server_of(self._version)} or newer): redis-cli --pipe < {place}",)

    def _take_part(self, part: Part) -> None:
        """Parts of a value come one after the other: what a chunk holds of it is written when all of that is there."""
        if part.number == 0:
            self._type, self._crc = part.value[0], 0
            self._begun.append(restore_head(part.key, part.expiry, part.total))
        self._crc = checksum(part.value, self._crc)
        self._begun.append(part.value)
        if part.is_last:
            version = version_bytes(self._type)
            self._begun += [version, footer(checksum(version, self._crc)), RESTORE_TAIL]
            self._write_begun()

    def _write_begun(self) -> None:
        if self._begun:
            self._sink.write(b"".join(self._begun))
            self._begun.clear()


def _functions(chunks: Iterable[bytes]) -> tuple[Sequence[bytes], Loaded]:
    """The code of each library, of all chunks."""
    read = list(chunks)
    records = sum(1 for chunk in read for _ in split(chunk))
    return [entry.value for entry in entries(read)], Loaded(records, sum(map(len, read)))
