"""Small objects that this host has read before: a file beside the index cache, so that a listing need not read them all
from the store each time.

Objects lie there as in the store, sealed. Only those are kept whose signature held, with a mark that only who has the
id key can make, so that the signature need not be checked again; all other checks are made each time.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from drtool.repository.discardable import discard, open_discardable
from drtool.repository.sealed import Kind
from drtool.storage.base import ObjectInfo

#: What never changes under its name. Index objects have a cache of their own.
IMMUTABLE = ("snapshots/", "removals/", "pins/", "distrust/", "evidence/", "oplog/", "audit/")
#: Nothing is added to a file that is larger (bytes).
_LARGEST_FILE = 256 * 1024 * 1024
#: How long (seconds) to wait for other processes, before all is read from the store.
_PATIENCE = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS held (
    name TEXT PRIMARY KEY, listed BLOB NOT NULL, kind INTEGER NOT NULL, mark BLOB NOT NULL, data BLOB NOT NULL
);
"""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Held:
    """An object that was found: its kind, when its signature was checked, and its bytes."""

    kind: int
    data: bytes


class HeldObjects:
    """Objects as the store listed them. Safe to use from several threads and processes.

    A file that cannot be used (no right to, a full disk) holds nothing: everything is read from the store then.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._found: dict[str, _Held] = {}
        self._read: dict[str, tuple[bytes, bytes]] = {}
        self._proven: list[tuple[str, bytes, int, bytes, bytes]] = []
        with contextlib.suppress(OSError, sqlite3.Error):
            self._connection = open_discardable(path, _SCHEMA, _VERSION, patience=_PATIENCE)

    def find(self, objects: Sequence[ObjectInfo]) -> dict[str, bytes]:
        """The content of those that are held and listed as they were, by name."""
        self._found = {}
        with self._used() as connection:
            if connection is not None:
                for info in objects:
                    row = connection.execute(
                        "SELECT listed, kind, mark, data FROM held WHERE name = ?", (info.name,)
                    ).fetchone()
                    listed = _listed(info)
                    if row and row[0] == listed and row[2] == self._mark(row[1], listed, row[3]):
                        self._found[info.name] = _Held(row[1], row[3])
        return {name: held.data for name, held in self._found.items()}

    def read(self, info: ObjectInfo, data: bytes) -> None:
        """This one was read from the store as it is listed; it is kept if it proves to be signed."""
        self._read[info.name] = _listed(info), data

    def vouches(self, kind: Kind, name: str, data: bytes) -> bool:
        """Is this one that was found here, so that its signature has held before?"""
        held = self._found.get(name)
        return held is not None and held.kind == kind and held.data == data

    def proved(self, kind: Kind, name: str, data: bytes) -> None:
        """The signature of an object holds."""
        listed, read = self._read.pop(name, (b"", None))
        if read == data:
            self._proven.append((name, listed, int(kind), self._mark(kind, listed, data), data))

    def keep(self) -> None:
        """Write down what was read and proved."""
        proven, self._proven, self._read = self._proven, [], {}
        with self._used() as connection:
            if connection is not None and proven and _size(connection) < _LARGEST_FILE:
                connection.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?)", proven)

    def drop_others(self, prefix: str, names: Iterable[str]) -> None:
        """Forget what begins with `prefix`, but for `names`."""
        there = set(names)
        with self._used() as connection:
            if connection is not None:
                here = connection.execute(
                    "SELECT name FROM held WHERE name >= ? AND name < ?", (prefix, prefix + "\x7f")
                ).fetchall()
                gone = [row for row in here if row[0] not in there]
                connection.executemany("DELETE FROM held WHERE name = ?", gone)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _mark(self, kind: int, listed: bytes, data: bytes) -> bytes:
        return blake3(bytes([kind]) + len(listed).to_bytes(4) + listed + data, key=self._key).digest()

    @contextlib.contextmanager
    def _used(self) -> Iterator[sqlite3.Connection | None]:
        """By one thread at a time, as one transaction. None from the first error on; a damaged file goes."""
        with self._lock:
            try:
                if self._connection is None:
                    yield None
                else:
                    with self._connection:
                        yield self._connection
            except sqlite3.Error as error:
                assert self._connection is not None
                self._connection.close()
                self._connection = None
                if not isinstance(error, sqlite3.OperationalError):
                    discard(self._path)


def _listed(info: ObjectInfo) -> bytes:
    """What a listing tells of an object. A store's etag and times change when something else is put in its place."""
    version = info.version or ""
    return f"{info.name}\n{info.size}\n{info.modified.isoformat()}\n{version}\n{info.etag}".encode()


def _size(connection: sqlite3.Connection) -> int:
    pages, page = (connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    return int(pages * page)
