"""What became of each run on this host, and what is paused: the ledger that schedules, status and alerts go by."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drtool.errors import StateError
from drtool.local.clock import Clock, now
from drtool.local.database import Database
from drtool.scheduling.liveness import Liveness

_FILE = "runs.sqlite"
_STEPS = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, task TEXT NOT NULL, job TEXT NOT NULL, entry TEXT NOT NULL, slot REAL,
        started REAL NOT NULL, ended REAL, state TEXT NOT NULL, exit_code INTEGER, kind TEXT NOT NULL,
        message TEXT NOT NULL, hint TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, figures TEXT NOT NULL
    );
    CREATE INDEX runs_by_entry ON runs (entry, started);
    CREATE INDEX runs_by_task ON runs (task, job, started);
    CREATE INDEX runs_by_state ON runs (state, started);
    CREATE INDEX runs_by_start ON runs (started);
    CREATE TABLE pauses (
        entry TEXT PRIMARY KEY, since REAL NOT NULL, until REAL, who TEXT NOT NULL, reason TEXT NOT NULL
    );
    CREATE TABLE noted (what TEXT PRIMARY KEY, value TEXT NOT NULL)
    """,
)

_INSERT = "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, NULL, ?, NULL, '', '', '', ?, ?, '{}')"


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

    @property
    def has_no_snapshot(self) -> bool:
        """Is it a job's backup that took none? What ``partial`` says of one may be this, or that a hook failed
        afterwards."""
        return self.task == "backup" and bool(self.job) and not self.figures.get("snapshot")


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

    def lasts(self, now: datetime) -> bool:
        """Is it going on?"""
        return self.until is None or self.until > now


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
        self._database = Database(directory / _FILE, _STEPS)
        self._liveness = Liveness(directory / "locks")

    @staticmethod
    def is_in(directory: Path) -> bool:
        """Does this host keep one there? ``StateError`` where nobody may look."""
        try:
            return (directory / _FILE).exists()
        except OSError as error:
            raise StateError(f"the local state {directory} cannot be looked at: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing can be asked of it afterwards; a run that is not on record as ended then counts as lost."""
        self._liveness.let_all_go()
        self._database.close()

    def lock_of(self, task: str, name: str) -> Path:
        """The lock that a run of a task on a job (or schedule) of this name holds while it lives."""
        return self.directory / "locks" / f"{task.replace(' ', '-')}-{name or 'all'}.lock"

    def lock_of_run(self, run: RunRecord) -> Path:
        """The lock that this run holds while it lives. One that a person started, of no job, is alone with itself."""
        return self.lock_of(run.task, run.job or run.entry or run.id)

    def begin(self, id_: str, task: str, *, job: str = "", entry: str = "", slot: datetime | None = None) -> RunRecord:
        """A run begins, in this process; one that was begun by who started this process is taken over."""
        record = self._fresh(id_, task, job, entry, slot)
        with self._answering(id_), self._database.transaction() as connection:
            connection.execute(
                f"{_INSERT} ON CONFLICT (id) DO UPDATE SET pid = excluded.pid, host = excluded.host,"
                " state = excluded.state, ended = NULL WHERE state IN (?, ?)",
                (*_row(record), RunState.RUNNING, RunState.LOST),
            )
        return record

    def claim(self, id_: str, task: str, *, job: str, entry: str, slot: datetime, tried: int = 0) -> RunRecord | None:
        """Begin a run of an entry's slot, unless somebody else has: None where it was not tried just so many times."""
        record = self._fresh(id_, task, job, entry, slot)
        with self._answering(id_), self._database.transaction() as connection:
            attempts = "SELECT count(*) FROM runs WHERE entry = ? AND slot = ?"
            is_ours = connection.execute(attempts, (entry, _stamp(slot))).fetchone()[0] == tried
            if is_ours:
                connection.execute(_INSERT, _row(record))
        if not is_ours:
            self._liveness.let_go(id_, is_over=True)
        return record if is_ours else None

    def take_over(self, run: RunRecord) -> bool:
        """Answer for a run whose process is gone, to end it; False where it lives after all, or has ended."""
        if self._liveness.lives(run.id):
            return False
        with self._answering(run.id):
            found = self.run(run.id)
        if found is not None and found.state is RunState.RUNNING:
            return True
        self.release(run)
        return False

    def is_alive(self, run: RunRecord) -> bool:
        """Is it on record as running, and does a process answer for it?"""
        return run.state is RunState.RUNNING and self._liveness.lives(run.id)

    def release(self, run: RunRecord) -> None:
        """Answer for a run no more."""
        self._liveness.let_go(run.id, is_over=False)

    def restate(self, id_: str, outcome: Outcome) -> None:
        """Put on record how a run really ended, where it could not know."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE runs SET state = ?, exit_code = ?, kind = ?, message = ?, hint = ? WHERE id = ?",
                (outcome.state, outcome.exit_code, outcome.kind, outcome.message, outcome.hint, id_),
            )

    @contextmanager
    def _answering(self, id_: str) -> Iterator[None]:
        """Answer for a run from here on, unless an error keeps it from being on record."""
        self._liveness.hold(id_)
        try:
            yield
        except StateError:
            self._liveness.let_go(id_, is_over=True)
            raise

    def _fresh(self, id_: str, task: str, job: str, entry: str, slot: datetime | None) -> RunRecord:
        return RunRecord(
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
                    _json(figures or {}),
                    id_,
                    RunState.RUNNING,
                ),
            )
        self._liveness.let_go(id_, is_over=True)
        return changed.rowcount > 0

    def annotate(self, id_: str, figures: Mapping[str, Any]) -> None:
        """Replace the figures of a run, also of one that has ended."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE runs SET figures = ? WHERE id = ?", (_json(figures), id_))

    def runs(
        self,
        *,
        task: str | None = None,
        job: str | None = None,
        entry: str | None = None,
        state: RunState | None = None,
        but: RunState | None = None,
        since: datetime | None = None,
        limit: int = 1000,
    ) -> list[RunRecord]:
        """The runs of which all that is given holds, newest first; of any state `but` this one."""
        given = {"task": task, "job": job, "entry": entry, "state": state}
        wanted = {name: value for name, value in given.items() if value is not None}
        conditions = [f"{name} = ?" for name in wanted]
        values: list[object] = [*wanted.values()]
        for condition, value in (("state != ?", but), ("started >= ?", _stamp(since))):
            if value is not None:
                conditions.append(condition)
                values.append(value)
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

    def bring_back(self, now: datetime) -> int:
        """Runs that began after now, because the clock has been put back since, count as of now; how many there were.

        As they stand they would keep every slot up to their time from being due.
        """
        stamp = _stamp(now)
        with self._database.transaction() as connection:
            return connection.execute(
                "UPDATE runs SET started = :now, ended = min(ended, :now), slot = min(slot, :now) WHERE started > :now",
                {"now": stamp},
            ).rowcount

    def forget(self, before: datetime) -> int:
        """Drop the runs that ended before a time, but of each task and job (or schedule) the last of each kind of end;
        how many."""
        with self._database.transaction() as connection:
            return connection.execute(
                "DELETE FROM runs WHERE ended < ? AND EXISTS (SELECT 1 FROM runs AS later WHERE later.task = runs.task"
                " AND later.job = runs.job AND later.entry = runs.entry AND later.state = runs.state"
                " AND later.started > runs.started)",
                (_stamp(before),),
            ).rowcount

    def pause(self, entry: str, until: datetime | None, who: str, reason: str) -> None:
        """Nothing of this schedule is to be started, until then or until it is resumed."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO pauses VALUES (?, ?, ?, ?, ?)",
                (entry, _stamp(self._clock()), _stamp(until), who, reason),
            )

    def resume(self, entry: str) -> bool:
        """End a pause; False where there was none."""
        stamp = _stamp(self._clock())
        with self._database.transaction() as connection:
            ended = "UPDATE pauses SET until = ? WHERE entry = ? AND (until IS NULL OR until > ?)"
            return connection.execute(ended, (stamp, entry, stamp)).rowcount > 0

    def pauses(self) -> dict[str, Pause]:
        """What is paused just now, by the schedule's name."""
        now = self._clock()
        return {entry: pause for entry, pause in self.last_pauses().items() if pause.lasts(now)}

    def last_pauses(self) -> dict[str, Pause]:
        """The last pause of each schedule that was ever paused, by its name."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM pauses").fetchall()
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


def _row(run: RunRecord) -> tuple[object, ...]:
    slot, started = _stamp(run.slot), _stamp(run.started)
    return (run.id, run.task, run.job, run.entry, slot, started, run.state, run.host, run.pid)


def _json(figures: Mapping[str, Any]) -> str:
    return json.dumps(dict(figures), sort_keys=True)


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _at(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)


def _time(stamp: float | None) -> datetime | None:
    return None if stamp is None else _at(stamp)
