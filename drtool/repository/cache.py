"""The local copy of the index: a SQLite file that can be thrown away at any time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import RepositoryError
from drtool.repository.discardable import open_discardable
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import ROW_BYTES, PackEntry, Row, join_rows, split_rows

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS packs (
    id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, size INTEGER NOT NULL, header INTEGER NOT NULL,
    indexed_by BLOB NOT NULL, object INTEGER NOT NULL, rows BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS packs_by_object ON packs (object);
CREATE INDEX IF NOT EXISTS packs_by_sha256 ON packs (sha256);
CREATE TABLE IF NOT EXISTS chunks (
    key INTEGER NOT NULL, pack INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (key, pack, place)
) WITHOUT ROWID;
"""
_VERSION = 2
#: How long (seconds) to wait for other processes: none can do without the index.
_PATIENCE = 60.0
#: What SQLite may keep of the file in memory: chunks come in no order, so all of their tree is at work.
_CACHE_KIB = 64 * 1024
_REMOVE = "The file may be removed at any time: it is made anew from the store."


@dataclass(frozen=True, slots=True)
class Location:
    """Where a chunk lies, as far as the index knows."""

    pack: bytes
    pack_size: int
    pack_header: int
    indexed_by: bytes
    kind: ChunkKind
    slot: int
    counter: int
    offset: int
    stored: int
    length: int


class IndexCache:
    """What the index objects say, by chunk id. Safe to use from several threads and processes.

    A pack's rows stand there as in an index object; chunks are found by the first bytes of their ids, which say in
    which packs, and in which of their rows, to look.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._opened: sqlite3.Connection | None = None

    def object_names(self) -> set[str]:
        """The index objects that are in here."""
        with self._used() as connection:
            return {name for (name,) in connection.execute("SELECT name FROM objects")}

    def add(self, name: str, entries: Sequence[PackEntry]) -> None:
        """Take in an index object; nothing happens if it is in here."""
        self.add_all([(name, entries)])

    def add_all(self, objects: Iterable[tuple[str, Sequence[PackEntry]]]) -> None:
        """Take in several index objects at once, which costs less than one by one: each touches all of the file."""
        with self._used() as connection, connection:
            chunks: list[tuple[int, int, int]] = []
            for name, entries in objects:
                cursor = connection.execute("INSERT OR IGNORE INTO objects (name) VALUES (?)", (name,))
                if cursor.rowcount:
                    for entry in entries:
                        chunks += _insert(connection, entry, cursor.lastrowid)
            chunks.sort()
            connection.executemany("INSERT INTO chunks VALUES (?, ?, ?)", chunks)

    def drop(self, names: Iterable[str]) -> None:
        """Forget index objects that vanished from the store, and all they said."""
        with self._used() as connection, connection:
            for name in names:
                _forget(connection, name)
                connection.execute("DELETE FROM objects WHERE name = ?", (name,))

    def locations(self, id_: bytes) -> list[Location]:
        """Everywhere a chunk lies."""
        with self._used() as connection:
            found = connection.execute(
                "SELECT p.sha256, p.size, p.header, p.indexed_by, substr(p.rows, 1 + ? * c.place, ?)"
                " FROM chunks c JOIN packs p ON p.id = c.pack WHERE c.key = ? ORDER BY p.id, c.place",
                (ROW_BYTES, ROW_BYTES, _key(id_)),
            ).fetchall()
        return [
            Location(
                sha256, size, header, indexed_by, row.kind, row.slot, row.counter, row.offset, row.stored, row.length
            )
            for sha256, size, header, indexed_by, data in found
            for row in split_rows(data)
            if row.id == id_
        ]

    def rows(self, sha256: bytes) -> list[Row]:
        """The chunks of a pack, in the order in which they lie there."""
        with self._used() as connection:
            found = connection.execute("SELECT rows FROM packs WHERE sha256 = ?", (sha256,)).fetchall()
        return sorted({row for (data,) in found for row in split_rows(data)}, key=lambda row: row.offset)

    def objects_with(self, sha256: bytes) -> list[str]:
        """The index objects that describe a pack."""
        with self._used() as connection:
            rows = connection.execute(
                "SELECT o.name FROM objects o JOIN packs p ON p.object = o.id WHERE p.sha256 = ?", (sha256,)
            ).fetchall()
        return [name for (name,) in rows]

    def packs_indexed_by(self, signer: bytes) -> set[tuple[bytes, int]]:
        """The packs, with their sizes, that this signer indexed."""
        with self._used() as connection:
            rows = connection.execute(
                "SELECT DISTINCT sha256, size FROM packs WHERE indexed_by = ?", (signer,)
            ).fetchall()
        return {(bytes(sha256), size) for sha256, size in rows}

    def packs(self) -> Iterator[tuple[bytes, int]]:
        """Each pack's hash and size."""
        with self._used() as connection:
            rows = connection.execute("SELECT DISTINCT sha256, size FROM packs").fetchall()
        yield from rows

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @contextlib.contextmanager
    def _used(self) -> Iterator[sqlite3.Connection]:
        """By one thread at a time; opened at its first use, as listings need none of it. ``RepositoryError`` where the
        file cannot be read or written (a full disk, say)."""
        with self._lock:
            try:
                if self._opened is None:
                    self._opened = open_discardable(self._path, _SCHEMA, _VERSION, patience=_PATIENCE)
                    self._opened.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                yield self._opened
            except (OSError, sqlite3.Error) as error:
                raise RepositoryError(
                    f"the local index cache {self._path} cannot be used: {error}",
                    hint=_REMOVE,
                ) from error


def _insert(connection: sqlite3.Connection, entry: PackEntry, object_id: int | None) -> list[tuple[int, int, int]]:
    """Put in a pack; the rows of its chunks, to be put in together with others."""
    pack = connection.execute(
        "INSERT INTO packs (sha256, size, header, indexed_by, object, rows) VALUES (?, ?, ?, ?, ?, ?)",
        (entry.sha256, entry.size, entry.header, entry.indexed_by, object_id, join_rows(entry.rows)),
    ).lastrowid
    assert pack is not None
    return [(_key(row.id), pack, place) for place, row in enumerate(entry.rows)]


def _forget(connection: sqlite3.Connection, name: str) -> None:
    """Forget the packs of an index object, and their chunks."""
    of_it = "SELECT id, rows FROM packs WHERE object = (SELECT id FROM objects WHERE name = ?)"
    packs = connection.execute(of_it, (name,)).fetchall()
    for pack, data in packs:
        chunks = [(_key(row.id), pack, place) for place, row in enumerate(split_rows(data))]
        connection.executemany("DELETE FROM chunks WHERE key = ? AND pack = ? AND place = ?", chunks)
        connection.execute("DELETE FROM packs WHERE id = ?", (pack,))


def _key(id_: bytes) -> int:
    """The first bytes of a chunk id, as large a number as SQLite has."""
    return int.from_bytes(id_[:8], signed=True)
