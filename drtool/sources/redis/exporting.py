"""Snapshots in forms that Redis' own programs read: a dump that redis-server starts on, commands for redis-cli."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from drtool.errors import ExportError
from drtool.sources.exporting import ByteSink, ExportItem
from drtool.sources.plain import PlainExporter
from drtool.sources.redis.definitions import Definition
from drtool.sources.redis.naming import FUNCTIONS, database_of
from drtool.sources.redis.payloads import FOOTER, RESTORE_TAIL, command, restore_commands, restore_head, version_bytes
from drtool.sources.redis.rdb.checksum import extended
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.strings import length_bytes, string_bytes
from drtool.sources.redis.rdb.types import OLDEST_VERSION, server_of
from drtool.sources.redis.records import Entry, Part, entries, parts, split
from drtool.sources.restoring import Loaded

FILE = "dump.rdb"
_FUNCTION, _EXPIRES_MS, _DATABASE, _END = b"\xf5", b"\xfc", b"\xfe", b"\xff"


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
        read = _Counted(chunks)
        with self._path.open("ab") as file:
            if item.stream.kind == FUNCTIONS:
                for entry in entries(read):
                    self._put(file, _FUNCTION + string_bytes(entry.value))
            else:
                self._put(file, _DATABASE + length_bytes(_database(item)))
                for chunk in read:
                    self._put(file, b"".join(map(_in_dump, parts(chunk))))
        return read.loaded

    def finish(self) -> Sequence[str]:
        """The end, and its checksum."""
        with self._path.open("ab") as file:
            self._put(file, _END)
            file.write(self._crc.to_bytes(8, "little"))
        command_line = f"redis-server --dir {shlex.quote(self._shown)} --dbfilename {FILE}"
        return (
            f"start a server on it ({server_of(self._version)} or newer): {command_line}",
            f"or put {FILE} into the directory of a server that is stopped and has no append-only file",
        )

    def _put(self, file: IO[bytes], data: bytes) -> None:
        file.write(data)
        self._crc = extended(self._crc, data)


def _in_dump(part: Part) -> bytes:
    if part.number:
        return part.value
    expiry = b"" if part.expiry == NEVER else _EXPIRES_MS + part.expiry.to_bytes(8, "little", signed=True)
    return b"".join((expiry, part.value[:1], string_bytes(part.key), part.value[1:]))


class CommandsExporter(PlainExporter):
    """One file of commands in Redis' protocol. See ``drtool.sources.exporting.Exporter``."""

    layout = "redis-commands"
    concurrent = False

    def __init__(self, sink: ByteSink, shown: str) -> None:
        self._sink, self._shown = sink, shown
        self._version, self._type, self._crc = OLDEST_VERSION, 0, 0

    def begin(self, items: Sequence[ExportItem]) -> Sequence[ExportItem]:
        """See ``Exporter.begin``."""
        self._version = _version(items)
        return _ordered(items)

    def write(self, item: ExportItem, chunks: Iterable[bytes]) -> Loaded:
        """A database, or the functions."""
        read = _Counted(chunks)
        if item.stream.kind == FUNCTIONS:
            for entry in entries(read):
                self._sink.write(command(b"FUNCTION", b"LOAD", b"REPLACE", entry.value))
            return read.loaded
        self._sink.write(command(b"SELECT", b"%d" % _database(item)))
        for chunk in read:
            self._put(list(parts(chunk)))
        return read.loaded

    def finish(self) -> Sequence[str]:
        """How it is read."""
        place = shlex.quote(self._shown) if self._shown != "-" else "FILE"
        return (f"load it into a server ({server_of(self._version)} or newer): redis-cli --pipe < {place}",)

    def _put(self, found: Sequence[Part]) -> None:
        """Whole keys, their checksums side by side; parts one after the other."""
        whole: list[Entry] = []
        for part in found:
            if part.is_whole:
                whole.append(Entry(part.key, part.expiry, part.value))
            else:
                self._put_part(part)
        self._sink.write(restore_commands(whole))

    def _put_part(self, part: Part) -> None:
        if part.number == 0:
            self._type, self._crc = part.value[0], 0
            self._sink.write(restore_head(part.key, part.expiry, part.total + FOOTER))
        self._crc = extended(self._crc, part.value)
        self._sink.write(part.value)
        if part.is_last:
            version = version_bytes(self._type)
            self._sink.write(version + extended(self._crc, version).to_bytes(8, "little") + RESTORE_TAIL)


class _Counted:
    """Chunks on their way, counted."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.loaded = Loaded(0, 0)

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            yield chunk
            self.loaded = Loaded(self.loaded.records + sum(1 for _ in split(chunk)), self.loaded.bytes + len(chunk))
