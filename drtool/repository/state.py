"""What a host remembers of a repository, so that it notices when the store goes back in time.

A SQLite file for each repository. Losing it costs freshness checks and what increments start from (one full read of
each job), no data.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import RepositoryError

_ELSEWHERE = "Put it elsewhere (repository.state_dir); a damaged file may be removed, for one full read."
#: When this host first saw the repository, among what is measured.
_SEEN = "first seen"
_ACQUAINTED_SECONDS = 24 * 3600.0
#: No pack is named so: its size is the number of the others.
_COUNT = b""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS repository (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS heads (
    origin TEXT NOT NULL, signer TEXT NOT NULL, job TEXT NOT NULL, number INTEGER NOT NULL, hash TEXT NOT NULL,
    snapshot TEXT NOT NULL, PRIMARY KEY (origin, signer, job)
);
CREATE TABLE IF NOT EXISTS measured (what TEXT PRIMARY KEY, value REAL NOT NULL);
CREATE TABLE IF NOT EXISTS stored_packs (sha256 BLOB PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bad_packs (sha256 BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copied_packs (sha256 BLOB PRIMARY KEY, signer BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copied_leaves (
    chain TEXT NOT NULL, page BLOB NOT NULL, snapshot TEXT NOT NULL, PRIMARY KEY (chain, page)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept_pages (
    job TEXT NOT NULL, page BLOB NOT NULL, used INTEGER NOT NULL, first BLOB NOT NULL, seal BLOB NOT NULL,
    data BLOB NOT NULL, bounds BLOB NOT NULL, PRIMARY KEY (job, page)
);
CREATE TABLE IF NOT EXISTS missed (
    job TEXT NOT NULL, source TEXT NOT NULL, stream TEXT NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
    PRIMARY KEY (job, source, stream)
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
    """A page as this host wrote it, and of a leaf its first record key, the encoded bounds of its chunks, and by what
    the key can be checked without them (``seal``). Nobody checked what is read back."""

    id: bytes
    data: bytes
    first: bytes
    bounds: bytes
    seal: bytes


@dataclass(frozen=True, slots=True)
class Missed:
    """Streams of a source of which it did not tell a change, and the snapshots of this host's chain, by their numbers
    from ``low`` to ``high``, that may lack it (none where `high` is less)."""

    streams: tuple[str, ...]
    low: int
    high: int


class LocalState:
    """Highest sequence and heads seen, and what this host's last snapshots consist of."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self.path = path
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
                " SET sequence = excluded.sequence WHERE excluded.sequence > sequence",
                (sequence,),
            )
            connection.execute("INSERT OR IGNORE INTO measured VALUES (?, ?)", (_SEEN, time.time()))

    def is_acquainted(self) -> bool:
        """Has this host known the repository for long enough to notice that it was put back? It has if it committed a
        snapshot itself, or first saw the repository a day ago or earlier."""
        with self._used():
            has_committed = self._connection.execute("SELECT 1 FROM relied LIMIT 1").fetchone() is not None
        since = self.measured(_SEEN)
        return has_committed or (since is not None and time.time() - since >= _ACQUAINTED_SECONDS)

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
                "INSERT OR REPLACE INTO kept_pages VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((job, page.id, number, page.first, page.seal, page.data, page.bounds) for page in pages),
            )

    def page(self, job: str, id_: bytes) -> KeptPage | None:
        """A page of a recent snapshot; None where this host does not have it."""
        with self._used():
            row = self._connection.execute(
                "SELECT data, first, bounds, seal FROM kept_pages WHERE job = ? AND page = ?", (job, id_)
            ).fetchone()
        return KeptPage(id_, *map(_blob, row)) if row else None

    def first_key(self, job: str, id_: bytes) -> tuple[bytes, bytes] | None:
        """The first record key of a leaf, and its seal; None where this host does not have it."""
        with self._used():
            row = self._connection.execute(
                "SELECT first, seal FROM kept_pages WHERE job = ? AND page = ?", (job, id_)
            ).fetchone()
        return (_blob(row[0]), _blob(row[1])) if row else None

    def rely(self, job: str, snapshot: str, number: int, pages: Iterable[bytes], packs: Mapping[bytes, int]) -> None:
        """A snapshot, the one with this number of its job's chain, consists of these pages and needs these packs (with
        their sizes). What only older ones than the one before it consist of is dropped."""
        with self._used(), self._connection as connection:
            connection.executemany(
                "UPDATE kept_pages SET used = ? WHERE job = ? AND page = ?", ((number, job, page) for page in pages)
            )
            connection.executemany(
                "INSERT OR REPLACE INTO relied VALUES (?, ?, ?, ?, ?)",
                ((job, snapshot, pack, number, size) for pack, size in [*packs.items(), (_COUNT, len(packs))]),
            )
            connection.execute("DELETE FROM kept_pages WHERE job = ? AND used < ?", (job, number - 1))
            connection.execute("DELETE FROM relied WHERE job = ? AND number < ?", (job, number - 1))

    def relied(self, job: str, snapshot: str) -> dict[bytes, int] | None:
        """The packs that a snapshot needs, with their sizes; None where this host did not take it lately, or some of
        them are lost to damage."""
        with self._used():
            rows = self._connection.execute(
                "SELECT pack, size FROM relied WHERE job = ? AND snapshot = ?", (job, snapshot)
            ).fetchall()
        packs = {_blob(pack): size for pack, size in rows}
        return packs if packs.pop(_COUNT, None) == len(packs) else None

    def note_missed(self, job: str, source: str, missed: Missed) -> None:
        """A source did not tell of changes in these streams. Once this returns the next run knows it, whatever becomes
        of this one."""
        with self._used(), self._connection as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO missed VALUES (?, ?, ?, ?, ?)",
                ((job, source, stream, missed.low, missed.high) for stream in missed.streams),
            )

    def missed(self, job: str) -> dict[str, Missed]:
        """What was noted of a job's sources, and not forgotten since."""
        with self._used():
            rows = self._connection.execute(
                "SELECT source, stream, low, high FROM missed WHERE job = ? ORDER BY source, stream", (job,)
            ).fetchall()
        found: dict[str, Missed] = {}
        for source, stream, low, high in rows:
            known = found.get(source, Missed((), low, high))
            found[source] = Missed((*known.streams, stream), min(known.low, low), max(known.high, high))
        return found

    def forget_missed(self, job: str, sources: Iterable[str]) -> None:
        """Snapshots of these sources rest on a full read again."""
        with self._used(), self._connection as connection:
            connection.executemany(
                "DELETE FROM missed WHERE job = ? AND source = ?", ((job, source) for source in sources)
            )

    def note_bad_packs(self, bad: Iterable[bytes], sound: Iterable[bytes]) -> None:
        """This host found some packs not to be what they were, and others sound: writers avoid the bad ones."""
        with self._used(), self._connection as connection:
            connection.executemany("INSERT OR IGNORE INTO bad_packs VALUES (?)", ((sha256,) for sha256 in bad))
            connection.executemany("DELETE FROM bad_packs WHERE sha256 = ?", ((sha256,) for sha256 in sound))

    def bad_packs(self) -> set[bytes]:
        """The packs that this host found bad and not sound since."""
        with self._used():
            return {bytes(row[0]) for row in self._connection.execute("SELECT sha256 FROM bad_packs")}

    def note_copied_pack(self, sha256: bytes, signer: bytes) -> None:
        """A pack that this host puts here as a copy holds what this signer had indexed where it came from."""
        with self._used(), self._connection as connection:
            connection.execute("INSERT OR REPLACE INTO copied_packs VALUES (?, ?)", (sha256, signer))

    def copied_packs(self) -> dict[bytes, bytes]:
        """The packs that were noted, with the signers."""
        with self._used():
            rows = self._connection.execute("SELECT sha256, signer FROM copied_packs").fetchall()
        return {_blob(sha256): _blob(signer) for sha256, signer in rows}

    def forget_copied_packs(self, packs: Iterable[bytes]) -> None:
        """These are gone, and with them the reason to take leaf pages for copied that were kept before."""
        with self._used(), self._connection as connection:
            connection.executemany("DELETE FROM copied_packs WHERE sha256 = ?", ((sha256,) for sha256 in packs))
            connection.execute("DELETE FROM copied_leaves")

    def keep_copied_leaves(self, chain: str, snapshot: str, pages: Iterable[bytes]) -> None:
        """The snapshot of a chain that was copied here last has these leaf pages."""
        with self._used(), self._connection as connection:
            connection.execute("DELETE FROM copied_leaves WHERE chain = ?", (chain,))
            connection.executemany(
                "INSERT INTO copied_leaves VALUES (?, ?, ?)", ((chain, page, snapshot) for page in pages)
            )

    def copied_leaves(self, chain: str) -> tuple[str, set[bytes]]:
        """The snapshot and its leaf pages; "" and none where nothing was kept."""
        with self._used():
            rows = self._connection.execute(
                "SELECT page, snapshot FROM copied_leaves WHERE chain = ?", (chain,)
            ).fetchall()
        return (rows[0][1] if rows else ""), {_blob(page) for page, _ in rows}

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
                    f"the local state {self.path} cannot be used: {error}",
                    hint=_ELSEWHERE,
                ) from error

    def close(self) -> None:
        """Close the file."""
        with self._used():
            self._connection.close()


def _blob(value: object) -> bytes:
    """A column's bytes; none of them where damage made something else of it."""
    return value if isinstance(value, bytes) else b""
