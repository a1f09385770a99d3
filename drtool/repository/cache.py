"""The local copy of the index: a SQLite file that can be thrown away at any time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import RepositoryError
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import PackEntry, Row

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS packs (
    id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, size INTEGER NOT NULL, header INTEGER NOT NULL,
    indexed_by BLOB NOT NULL, object INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS packs_by_object ON packs (object);
CREATE INDEX IF NOT EXISTS packs_by_sha256 ON packs (sha256);
CREATE TABLE IF NOT EXISTS chunks (
    chunk BLOB NOT NULL, kind INTEGER NOT NULL, pack INTEGER NOT NULL REFERENCES packs (id) ON DELETE CASCADE,
    slot INTEGER NOT NULL, counter INTEGER NOT NULL, offset INTEGER NOT NULL, stored INTEGER NOT NULL,
    length INTEGER NOT NULL, PRIMARY KEY (chunk, pack)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS chunks_by_pack ON chunks (pack);
"""
_USER_VERSION = 1
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
    """What the index objects say, by chunk id. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._connection = _open(path)

    def object_names(self) -> set[str]:
        """The index objects that are in here."""
        with self._used():
            return {name for (name,) in self._connection.execute("SELECT name FROM objects")}

    def add(self, name: str, entries: Iterable[PackEntry]) -> None:
        """Take in an index object; nothing happens if it is in here."""
        with self._used(), self._connection as connection:
            cursor = connection.execute("INSERT OR IGNORE INTO objects (name) VALUES (?)", (name,))
            if cursor.rowcount == 0:
                return
            object_id = cursor.lastrowid
            for entry in entries:
                pack = connection.execute(
                    "INSERT INTO packs (sha256, size, header, indexed_by, object) VALUES (?, ?, ?, ?, ?)",
                    (entry.sha256, entry.size, entry.header, entry.indexed_by, object_id),
                ).lastrowid
                connection.executemany(
                    "INSERT OR IGNORE INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        (row.id, int(row.kind), pack, row.slot, row.counter, row.offset, row.stored, row.length)
                        for row in entry.rows
                    ),
                )

    def drop(self, names: Iterable[str]) -> None:
        """Forget index objects that vanished from the store, and all they said."""
        with self._used(), self._connection as connection:
            connection.executemany("DELETE FROM objects WHERE name = ?", ((name,) for name in names))

    def forget_pack(self, sha256: bytes) -> None:
        """Forget a pack that is not where the index says, so that nothing new refers to it."""
        with self._used(), self._connection as connection:
            connection.execute("DELETE FROM packs WHERE sha256 = ?", (sha256,))

    def locations(self, id_: bytes) -> list[Location]:
        """Everywhere a chunk lies."""
        with self._used():
            rows = self._connection.execute(
                "SELECT p.sha256, p.size, p.header, p.indexed_by,"
                " c.kind, c.slot, c.counter, c.offset, c.stored, c.length"
                " FROM chunks c JOIN packs p ON p.id = c.pack WHERE c.chunk = ? ORDER BY p.id",
                (id_,),
            ).fetchall()
        return [_location(row) for row in rows]

    def rows(self, sha256: bytes) -> list[Row]:
        """The chunks of a pack, in the order in which they lie there."""
        with self._used():
            rows = self._connection.execute(
                "SELECT DISTINCT c.chunk, c.kind, c.slot, c.counter, c.offset, c.stored, c.length"
                " FROM chunks c JOIN packs p ON p.id = c.pack WHERE p.sha256 = ? ORDER BY c.offset",
                (sha256,),
            ).fetchall()
        return [Row(row[0], ChunkKind(row[1]), *row[2:]) for row in rows]

    def objects_with(self, sha256: bytes) -> list[str]:
        """The index objects that describe a pack."""
        with self._used():
            rows = self._connection.execute(
                "SELECT o.name FROM objects o JOIN packs p ON p.object = o.id WHERE p.sha256 = ?", (sha256,)
            ).fetchall()
        return [name for (name,) in rows]

    def packs_indexed_by(self, signer: bytes) -> set[tuple[bytes, int]]:
        """The packs, with their sizes, that this signer indexed."""
        with self._used():
            rows = self._connection.execute(
                "SELECT DISTINCT sha256, size FROM packs WHERE indexed_by = ?", (signer,)
            ).fetchall()
        return {(bytes(sha256), size) for sha256, size in rows}

    def packs(self) -> Iterator[tuple[bytes, int]]:
        """Each pack's hash and size."""
        with self._used():
            rows = self._connection.execute("SELECT DISTINCT sha256, size FROM packs").fetchall()
        yield from rows

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        """By one thread at a time; ``RepositoryError`` where the file cannot be read or written (a full disk, say)."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise RepositoryError(
                    f"the local index cache {self._path} cannot be used: {error}",
                    hint=_REMOVE,
                ) from error

    def close(self) -> None:
        """Close the file."""
        with self._used():
            self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return _connect(path)
        except sqlite3.OperationalError:
            raise  # it is locked, or the disk is full: no reason to take it away from whoever uses it
        except sqlite3.DatabaseError:
            # A cache that cannot be read is no loss: it is made anew from the store.
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            return _connect(path)
    except (OSError, sqlite3.DatabaseError) as error:
        raise RepositoryError(f"the local index cache {path} cannot be used: {error}", hint=_REMOVE) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # with WAL a power cut loses the newest rows, not the file
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _USER_VERSION):
            raise sqlite3.DatabaseError("made by another version")
        connection.executescript(_SCHEMA)
        if version != _USER_VERSION:
            connection.execute(f"PRAGMA user_version = {_USER_VERSION}")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _location(row: tuple[bytes, int, int, bytes, int, int, int, int, int, int]) -> Location:
    sha256, size, header, indexed_by, kind, slot, counter, offset, stored, length = row
    return Location(sha256, size, header, indexed_by, ChunkKind(kind), slot, counter, offset, stored, length)
