"""What this host knows of the ends of locks: a SQLite file that can be thrown away, at one request for each object."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from drtool.errors import RepositoryError

_SCHEMA = "CREATE TABLE IF NOT EXISTS locks (name TEXT PRIMARY KEY, until REAL NOT NULL, version TEXT) WITHOUT ROWID"


class LockNotes:
    """Ends of locks by name, with the version that is locked. Safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def note(self, name: str, until: datetime, version: str | None) -> None:
        """A version of `name` is locked until then."""
        with self._used() as connection, connection:
            connection.execute("INSERT OR REPLACE INTO locks VALUES (?, ?, ?)", (name, until.timestamp(), version))

    def find(self, name: str) -> tuple[datetime, str | None] | None:
        """What was noted of `name`: the end of its lock, and the version."""
        with self._used() as connection:
            row = connection.execute("SELECT until, version FROM locks WHERE name = ?", (name,)).fetchone()
        return (datetime.fromtimestamp(row[0], UTC), row[1]) if row else None

    def close(self) -> None:
        """Close the file."""
        with self._guard:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @contextlib.contextmanager
    def _used(self) -> Iterator[sqlite3.Connection]:
        """By one thread at a time. The file is made at its first use: most repositories have no locks."""
        with self._guard:
            try:
                if self._opened is None:
                    self._opened = _connect(self._path)
                yield self._opened
            except (OSError, sqlite3.Error) as error:
                raise RepositoryError(
                    f"the local notes of locks {self._path} cannot be used: {error}",
                    hint="The file may be removed at any time: what it says is asked of the store again.",
                ) from error


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
