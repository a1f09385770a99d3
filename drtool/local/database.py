"""SQLite files in the state directory, with the version of their tables in them."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from drtool.errors import StateError

_WAIT_SECONDS = 60.0


class Database:
    """A SQLite file that several processes and threads use.

    `steps` are the scripts that made its tables, oldest first: a file that has seen n of them is of version n, and gets
    the others when it is opened. ``StateError`` where it cannot be used, or a newer drtool made it.
    """

    def __init__(self, path: Path, steps: Sequence[str]) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            path.chmod(0o600)
        except (OSError, sqlite3.DatabaseError) as error:
            raise self._unusable(error) from error
        try:
            self._bring_up_to(steps)
        except BaseException:
            self._connection.close()
            raise

    def _bring_up_to(self, steps: Sequence[str]) -> None:
        with self.transaction() as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > len(steps):
                raise StateError(
                    f"the local state {self.path} is of a newer drtool (version {version} of it, this one knows"
                    f" {len(steps)})",
                    hint="Use one version of drtool on this host: cron may call another than the shell finds.",
                )
            for number in range(version, len(steps)):
                for statement in filter(str.strip, steps[number].split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number + 1}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes, alone among threads and processes; undone where an error leaves the block."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                raise self._unusable(error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """For queries."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.DatabaseError as error:
                raise self._unusable(error) from error

    def close(self) -> None:
        """Nothing can be asked of it afterwards."""
        with self._lock:
            self._connection.close()

    def _unusable(self, error: Exception) -> StateError:
        return StateError(
            f"the local state {self.path} cannot be used: {error}",
            hint="Is the disk full, or the file another user's? It can be put elsewhere: repository.state_dir.",
        )
