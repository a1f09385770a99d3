"""What became of each run on this host, and what is paused: the ledger that schedules, status and alerts go by."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drtool.local.clock import Clock, now
from drtool.local.database import Database

_STEPS = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, task TEXT NOT NULL, job TEXT NOT NULL, entry TEXT NOT NULL, slot REAL,
        started REAL NOT NULL, ended REAL, state TEXT NOT NULL, exit_code INTEGER, kind TEXT NOT NULL,
        message TEXT NOT NULL, hint TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, figures TEXT NOT NULL
    );
    CREATE INDEX runs_by_entry ON runs (entry, started);
    CREATE INDEX runs_by_task ON runs (task, job, started);
    CREATE TABLE pauses (
        entry TEXT PRIMARY KEY, since REAL NOT NULL, until REAL, who TEXT NOT NULL, reason TEXT NOT NULL
    );
    CREATE TABLE noted (what TEXT PRIMARY KEY, value TEXT NOT NULL)
    """,
)


class RunState(StrEnum):
    """How a run stands, or ended. ``LOST``: its process is gone and said nothing."""

    RUNNING = "running"
    OK = "ok"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run. ``entry`` is the schedule's name (a job's for its backups), empty for what was called by hand;
    ``slot`` the time that it was due, None for what no schedule asked for. ``figures`` are facts for people and metrics
    (``snapshot``, ``bytes``, …), never data or secrets.
    """

    id: str
    task: str
    job: str
    entry: str
    slot: datetime | None
    started: datetime
    ended: datetime | None
    state: RunState
    exit_code: int | None = None
    kind: str = ""
    message: str = ""
    hint: str = ""
    host: str = ""
    pid: int = 0
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.ended is None else max(0.0, (self.ended - self.started).total_seconds())


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    state: RunState
    exit_code: int
    kind: str = ""
    message: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """A schedule that starts nothing; ``until`` is None for as long as nobody resumes it."""

    entry: str
    since: datetime
    until: datetime | None
    who: str
    reason: str


def unattended_directory(state_dir: Path, repository_url: str) -> Path:
    """Where this host keeps what belongs to unattended runs for a repository.

    By its address, not its id: a store that does not answer must not keep a failure from being recorded.
    """
    return state_dir / "unattended" / hashlib.sha256(repository_url.encode()).hexdigest()[:16]


class Ledger:
    """The runs of one repository on this host. ``StateError`` from every call where it cannot be used."""

    def __init__(self, directory: Path, clock: Clock = now) -> None:
        self.directory = directory
        self._clock = clock
        self._database = Database(directory / "runs.sqlite", _STEPS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def lock_of(self, task: str, name: str) -> Path:
        """The lock that a run of a task on a job (or schedule) of this name holds while it lives."""
        return self.directory / "locks" / f"{task.replace(' ', '-')}-{name or 'all'}.lock"

    def begin(self, id_: str, task: str, *, job: str = "", entry: str = "", slot: datetime | None = None) -> RunRecord:
        """A run begins, in this process; one that was begun by who started this process is taken over."""
        record = RunRecord(
            id_,
            task,
            job,
            entry,
            slot,
            self._clock(),
            None,
            RunState.RUNNING,
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, NULL, ?, NULL, '', '', '', ?, ?, '{}')"
                " ON CONFLICT (id) DO UPDATE SET pid = excluded.pid, host = excluded.host",
                (id_, task, job, entry, _stamp(slot), _stamp(record.started), record.state, record.host, record.pid),
            )
        return record

    def end(self, id_: str, outcome: Outcome, figures: Mapping[str, Any] | None = None) -> bool:
        """A run ended; False where it had ended before, which stays as it is."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE runs SET ended = ?, state = ?, exit_code = ?, kind = ?, message = ?, hint = ?, figures = ?"
                " WHERE id = ? AND state = ?",
                (
                    _stamp(self._clock()),
                    outcome.state,
                    outcome.exit_code,
                    outcome.kind,
                    outcome.message,
                    outcome.hint,
                    json.dumps(dict(figures or {}), sort_keys=True),
                    id_,
                    RunState.RUNNING,
                ),
            )
            return changed.rowcount > 0

    def runs(
        self,
        *,
        task: str | None = None,
        job: str | None = None,
        entry: str | None = None,
        state: RunState | None = None,
        since: datetime | None = None,
        limit: int = 1000,
    ) -> list[RunRecord]:
        """The runs of which all that is given holds, newest first."""
        given = {"task": task, "job": job, "entry": entry, "state": state}
        wanted = {name: value for name, value in given.items() if value is not None}
        conditions = [f"{name} = ?" for name in wanted] + (["started >= ?"] if since is not None else [])
        values: list[object] = [*wanted.values(), *([_stamp(since)] if since is not None else [])]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT * FROM runs {where} ORDER BY started DESC, rowid DESC LIMIT ?",  # noqa: S608 - names of ours
                (*values, limit),
            ).fetchall()
        return [_record(row) for row in rows]

    def run(self, id_: str) -> RunRecord | None:
        """The run of an id."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM runs WHERE id = ?", (id_,)).fetchone()
        return None if row is None else _record(row)

    def forget(self, before: datetime) -> int:
        """Drop the runs that ended before a time; how many."""
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM runs WHERE ended < ?", (_stamp(before),)).rowcount

    def pause(self, entry: str, until: datetime | None, who: str, reason: str) -> None:
        """Nothing of this schedule is to be started, until then or until it is resumed."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?, ?)",
                (entry, _stamp(self._clock()), _stamp(until), who, reason),
            )

    def resume(self, entry: str) -> bool:
        """End a pause; False where there was none."""
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM pauses WHERE entry = ?", (entry,)).rowcount > 0

    def pauses(self) -> dict[str, Pause]:
        """What is paused just now, by the schedule's name."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM pauses WHERE until IS NULL OR until > ?", (_stamp(self._clock()),)
            ).fetchall()
        return {
            row["entry"]: Pause(row["entry"], _at(row["since"]), _time(row["until"]), row["who"], row["reason"])
            for row in rows
        }

    def note(self, what: str, value: Any) -> None:
        """Remember something small (JSON) by its name, in place of what was noted before."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO noted VALUES (?, ?)", (what, json.dumps(value)))

    def noted(self, what: str) -> Any:
        """What was noted under a name; None where nothing was."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM noted WHERE what = ?", (what,)).fetchone()
        return None if row is None else json.loads(row["value"])


def _record(row: Any) -> RunRecord:
    return RunRecord(
        id=row["id"],
        task=row["task"],
        job=row["job"],
        entry=row["entry"],
        slot=_time(row["slot"]),
        started=_at(row["started"]),
        ended=_time(row["ended"]),
        state=RunState(row["state"]),
        exit_code=row["exit_code"],
        kind=row["kind"],
        message=row["message"],
        hint=row["hint"],
        host=row["host"],
        pid=row["pid"],
        figures=json.loads(row["figures"]),
    )


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _at(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)


def _time(stamp: float | None) -> datetime | None:
    return None if stamp is None else _at(stamp)
