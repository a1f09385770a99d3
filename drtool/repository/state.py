"""What a host remembers of a repository, so that it notices when the store goes back in time.

A SQLite file for each repository. Losing it costs freshness checks and what increments start from (one full read of
each job), no data.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import RepositoryError

_ELSEWHERE = "Put it elsewhere (repository.state_dir); a damaged file may be removed, for one full read."
_SCHEMA = """
CREATE TABLE IF NOT EXISTS repository (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS heads (
    origin TEXT NOT NULL, signer TEXT NOT NULL, job TEXT NOT NULL, number INTEGER NOT NULL, hash TEXT NOT NULL,
    snapshot TEXT NOT NULL, PRIMARY KEY (origin, signer, job)
);
CREATE TABLE IF NOT EXISTS measured (what TEXT PRIMARY KEY, value REAL NOT NULL);
CREATE TABLE IF NOT EXISTS stored_packs (sha256 BLOB PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bad_packs (sha256 BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pages (
    job TEXT NOT NULL, page BLOB NOT NULL, used INTEGER NOT NULL, first BLOB NOT NULL, data BLOB NOT NULL,
    bounds BLOB NOT NULL, PRIMARY KEY (job, page)
);
CREATE TABLE IF NOT EXISTS relied (
    job TEXT NOT NULL, snapshot TEXT NOT NULL, pack BLOB NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (job, snapshot, pack)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest manifest seen of one chain (a repository of origin, a signer, a job); `hash` is hex."""

    origin: str
    signer: str
    job: str
    number: int
    hash: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A page as this host wrote it, and of a leaf its first record key and the encoded bounds of its chunks."""

    id: bytes
    data: bytes
    first: bytes
    bounds: bytes


class LocalState:
    """Highest sequence and heads seen, and what this host's last snapshots consist of."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.executescript(_SCHEMA)
            path.chmod(0o600)
        except (OSError, sqlite3.DatabaseError) as error:
            raise RepositoryError(
                f"the local state {path} cannot be used: {error}",
                hint=_ELSEWHERE,
            ) from error

    def sequence(self) -> int:
        """The highest sequence of repository.json seen; 0 before the first."""
        with self._used():
            row = self._connection.execute("SELECT sequence FROM repository").fetchone()
        return int(row[0]) if row else 0

    def saw_sequence(self, sequence: int) -> None:
        """Remember it, if it is the highest."""
        with self._used(), self._connection as connection:
            connection.execute(
                "INSERT INTO repository VALUES (1, ?) ON CONFLICT (one) DO UPDATE"
                " SET sequence = max(sequence, excluded.sequence)",
                (sequence,),
            )

    def heads(self) -> list[Head]:
        """The newest manifest seen of each chain."""
        with self._used():
            rows = self._connection.execute("SELECT origin, signer, job, number, hash, snapshot FROM heads").fetchall()
        return [Head(*row) for row in rows]

    def saw_heads(self, heads: Iterable[Head]) -> None:
        """Remember those that are newer than what was seen."""
        with self._used(), self._connection as connection:
            connection.executemany(
                "INSERT INTO heads VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (origin, signer, job) DO UPDATE"
                " SET number = excluded.number, hash = excluded.hash, snapshot = excluded.snapshot"
                " WHERE excluded.number > number",
                ((h.origin, h.signer, h.job, h.number, h.hash, h.snapshot) for h in heads),
            )

    def keep_pages(self, job: str, number: int, pages: Iterable[KeptPage]) -> None:
        """Keep pages of the snapshot with this number of a job's chain."""
        with self._used(), self._connection as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?)",
                ((job, page.id, number, page.first, page.data, page.bounds) for page in pages),
            )

    def page(self, job: str, id_: bytes) -> KeptPage | None:
        """A page of a recent snapshot; None where this host does not have it."""
        with self._used():
            row = self._connection.execute(
                "SELECT data, first, bounds FROM pages WHERE job = ? AND page = ?", (job, id_)
            ).fetchone()
        return KeptPage(id_, *map(bytes, row)) if row else None

    def first_key(self, job: str, id_: bytes) -> bytes | None:
        """The first record key of a leaf; None where this host does not have it."""
        with self._used():
            row = self._connection.execute("SELECT first FROM pages WHERE job = ? AND page = ?", (job, id_)).fetchone()
        return bytes(row[0]) if row else None

    def rely(self, job: str, snapshot: str, number: int, pages: Iterable[bytes], packs: Mapping[bytes, int]) -> None:
        """A snapshot, the one with this number of its job's chain, consists of these pages and needs these packs (with
        their sizes). What only older ones than the one before it consist of is dropped."""
        with self._used(), self._connection as connection:
            connection.executemany(
                "UPDATE pages SET used = ? WHERE job = ? AND page = ?", ((number, job, page) for page in pages)
            )
            connection.executemany(
                "INSERT OR REPLACE INTO relied VALUES (?, ?, ?, ?, ?)",
                ((job, snapshot, pack, number, size) for pack, size in packs.items()),
            )
            connection.execute("DELETE FROM pages WHERE job = ? AND used < ?", (job, number - 1))
            connection.execute("DELETE FROM relied WHERE job = ? AND number < ?", (job, number - 1))

    def relied(self, job: str, snapshot: str) -> dict[bytes, int] | None:
        """The packs that a snapshot needs, with their sizes; None where this host did not take it lately."""
        with self._used():
            rows = self._connection.execute(
                "SELECT pack, size FROM relied WHERE job = ? AND snapshot = ?", (job, snapshot)
            ).fetchall()
        return {bytes(pack): size for pack, size in rows} or None

    def note_bad_packs(self, bad: Iterable[bytes], sound: Iterable[bytes]) -> None:
        """This host found some packs not to be what they were, and others sound: writers avoid the bad ones."""
        with self._used(), self._connection as connection:
            connection.executemany("INSERT OR IGNORE INTO bad_packs VALUES (?)", ((sha256,) for sha256 in bad))
            connection.executemany("DELETE FROM bad_packs WHERE sha256 = ?", ((sha256,) for sha256 in sound))

    def bad_packs(self) -> set[bytes]:
        """The packs that this host found bad and not sound since."""
        with self._used():
            return {bytes(row[0]) for row in self._connection.execute("SELECT sha256 FROM bad_packs")}

    def keep_measured(self, what: str, value: float) -> None:
        """Keep a figure of this host's last run of something (``restore``: bytes per second), for predictions."""
        with self._used(), self._connection as connection:
            connection.execute("INSERT OR REPLACE INTO measured VALUES (?, ?)", (what, value))

    def measured(self, what: str) -> float | None:
        """The figure kept; None where nothing was measured here."""
        with self._used():
            row = self._connection.execute("SELECT value FROM measured WHERE what = ?", (what,)).fetchone()
        return float(row[0]) if row else None

    def note_pack(self, sha256: bytes, entry: bytes) -> None:
        """Note a pack that is being stored and that no index object knows yet: a run that is killed loses nothing."""
        with self._used(), self._connection as connection:
            connection.execute("INSERT OR IGNORE INTO stored_packs VALUES (?, ?)", (sha256, entry))

    def noted_packs(self) -> list[bytes]:
        """The entries that `note_pack` took and `forget_packs` did not."""
        with self._used():
            return [bytes(row[0]) for row in self._connection.execute("SELECT entry FROM stored_packs")]

    def forget_packs(self, packs: Iterable[bytes]) -> None:
        """These packs are indexed, or gone."""
        with self._used(), self._connection as connection:
            connection.executemany("DELETE FROM stored_packs WHERE sha256 = ?", ((sha256,) for sha256 in packs))

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        """By one thread at a time; ``RepositoryError`` where the file cannot be read or written (a full disk, say)."""
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise RepositoryError(
                    f"the local state {self._path} cannot be used: {error}",
                    hint=_ELSEWHERE,
                ) from error

    def close(self) -> None:
        """Close the file."""
        with self._used():
            self._connection.close()
