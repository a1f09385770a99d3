"""SQLite files of what the store holds anyway: private, shared by processes, thrown away where they are damaged."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def open_discardable(path: Path, schema: str, version: int, *, patience: float) -> sqlite3.Connection:
    """A connection for any thread, used by one at a time; it waits `patience` seconds for other processes. What is
    there but cannot be read, or was made by another `version` of the schema, is replaced by an empty file.

    ``OSError`` or ``sqlite3.Error`` where nothing can be opened: no right to, a full disk, locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return _connect(path, schema, version, patience)
    except sqlite3.OperationalError:
        raise  # it is locked, or the disk is full: no reason to take it away from whoever uses it
    except sqlite3.DatabaseError:
        discard(path)
        return _connect(path, schema, version, patience)


def discard(path: Path) -> None:
    """Remove the file. Who has it open goes on with what was in it."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _connect(path: Path, schema: str, version: int, patience: float) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=patience, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # with WAL a power cut loses the newest rows, not the file
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, version):
            raise sqlite3.DatabaseError("made by another version")
        connection.executescript(schema)
        if found != version:
            connection.execute(f"PRAGMA user_version = {version}")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
