"""What alerts are open on this host, and what each target has been told of them: a small database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drtool.local.database import Database
from drtool.monitoring.alerting.messages import Kind, Notice
from drtool.monitoring.conditions import Condition, Severity

FILE = "alerts.sqlite"
_STEPS = (
    """
    CREATE TABLE alerts (
        key TEXT PRIMARY KEY, severity INTEGER NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL, since REAL NOT NULL,
        job TEXT NOT NULL, run TEXT NOT NULL, facts TEXT NOT NULL, opened REAL NOT NULL, ended REAL, who TEXT NOT NULL
    );
    CREATE TABLE delivered (
        key TEXT NOT NULL, target TEXT NOT NULL, at REAL NOT NULL, times INTEGER NOT NULL, severity INTEGER NOT NULL,
        acknowledged INTEGER NOT NULL, recovered INTEGER NOT NULL, PRIMARY KEY (key, target)
    );
    CREATE TABLE targets (
        target TEXT PRIMARY KEY, succeeded REAL, failing_since REAL, failures INTEGER NOT NULL, error TEXT NOT NULL,
        next REAL NOT NULL
    );
    CREATE TABLE events (
        key TEXT NOT NULL, target TEXT NOT NULL, at REAL NOT NULL, condition TEXT NOT NULL, PRIMARY KEY (key, target)
    )
    """,
)
_SINCE = 4
#: For so long it is tried to tell a target of what has ended, or happened once.
_LATE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that was noticed at ``opened``; gone since ``ended``; ``who`` has acknowledged it (empty: nobody)."""

    condition: Condition
    opened: datetime
    ended: datetime | None = None
    who: str = ""


#: What is back after having been right for so long is told at once, as what is new: somebody thought it mended.
SETTLED = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a target was told of an alert: last at ``at`` (that it is over, too), so many ``times``, when it was so bad.

    ``acknowledged``: does it know that somebody sees to it? ``recovered``: or that it is over?
    """

    at: datetime
    times: int
    severity: Severity
    acknowledged: bool = False
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class TargetState:
    """How deliveries to a target go. Nothing is tried before ``next``, which is None where nothing failed."""

    succeeded: datetime | None = None
    failing_since: datetime | None = None
    failures: int = 0
    error: str = ""
    next: datetime | None = None


class AlertStore:
    """The alerts of one repository on this host. ``StateError`` from every call where it cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / FILE, _STEPS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def observe(self, conditions: Iterable[Condition], is_unknown: Callable[[str], bool], at: datetime) -> None:
        """These conditions are there. Alerts of others end, but those whose key `is_unknown`, of which nobody can tell.

        What gets worse is not acknowledged any more. What comes back before everybody was told of its end goes on.
        """
        present = {condition.key: condition for condition in conditions}
        with self._database.transaction() as connection:
            rows = {row["key"]: row for row in connection.execute("SELECT * FROM alerts").fetchall()}
            for key, condition in present.items():
                values = (*_values(condition), at.timestamp(), None, "")
                if (known := rows.get(key)) is not None:
                    values = _going_on(known, condition, at)
                connection.execute("INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            for key, row in rows.items():
                if key not in present and row["ended"] is None and not is_unknown(key):
                    connection.execute("UPDATE alerts SET ended = ? WHERE key = ?", (at.timestamp(), key))

    def alerts(self) -> list[Alert]:
        """Those that are open, and those that ended and are not forgotten yet; the worst and oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM alerts ORDER BY severity DESC, opened, key").fetchall()
        return [_alert(row) for row in rows]

    def acknowledge(self, key: str, who: str) -> bool:
        """Somebody sees to it; False where no such alert is open."""
        with self._database.transaction() as connection:
            changed = connection.execute("UPDATE alerts SET who = ? WHERE key = ? AND ended IS NULL", (who, key))
            return changed.rowcount > 0

    def delivered(self, target: str) -> dict[str, Delivered]:
        """What a target was told, by the alert's key."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM delivered WHERE target = ?", (target,)).fetchall()
        return {row["key"]: _delivered(row) for row in rows}

    def announce(self, condition: Condition, targets: Iterable[str], at: datetime) -> None:
        """Something happened that these targets are to hear of once."""
        kept = json.dumps(_values(condition))
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)",
                [(condition.key, target, at.timestamp(), kept) for target in targets],
            )

    def events(self, target: str) -> list[Notice]:
        """What a target is still to hear of, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT * FROM events WHERE target = ? ORDER BY at, key", (target,)).fetchall()
        return [Notice(Kind.EVENT, _condition(json.loads(row["condition"])), _at(row["at"])) for row in rows]

    def told(self, target: str, notices: Sequence[Notice], at: datetime) -> None:
        """A target has taken these."""
        with self._database.transaction() as connection:
            for notice in notices:
                key, severity = notice.condition.key, notice.condition.severity
                if notice.kind is Kind.EVENT:
                    connection.execute("DELETE FROM events WHERE key = ? AND target = ?", (key, target))
                elif notice.kind is Kind.RECOVERED:
                    connection.execute(
                        "UPDATE delivered SET recovered = 1, at = ? WHERE key = ? AND target = ?",
                        (at.timestamp(), key, target),
                    )
                elif notice.kind is Kind.ACKNOWLEDGED:
                    connection.execute(
                        "UPDATE delivered SET acknowledged = 1 WHERE key = ? AND target = ?", (key, target)
                    )
                else:
                    connection.execute(
                        "INSERT INTO delivered VALUES (?, ?, ?, 1, ?, 0, 0) ON CONFLICT (key, target) DO UPDATE SET"
                        " at = excluded.at, times = CASE"
                        " WHEN excluded.severity > severity OR recovered AND ? - at >= ? THEN 1 ELSE times + 1 END,"
                        " severity = excluded.severity, acknowledged = 0, recovered = 0",
                        (key, target, at.timestamp(), severity, notice.opened.timestamp(), SETTLED.total_seconds()),
                    )
            connection.execute("INSERT OR REPLACE INTO targets VALUES (?, ?, NULL, 0, '', 0)", (target, at.timestamp()))

    def failed(self, target: str, error: str, at: datetime, next_: datetime) -> None:
        """A target has not taken what it was told; nothing is to be tried before `next_`."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO targets VALUES (?, NULL, ?, 1, ?, ?) ON CONFLICT (target) DO UPDATE SET"
                " failing_since = COALESCE(failing_since, excluded.failing_since), failures = failures + 1,"
                " error = excluded.error, next = excluded.next",
                (target, at.timestamp(), error, next_.timestamp()),
            )

    def target(self, target: str) -> TargetState:
        """How deliveries to a target go."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM targets WHERE target = ?", (target,)).fetchone()
        if row is None:
            return TargetState()
        next_ = _at(row["next"]) if row["failures"] else None
        return TargetState(_time(row["succeeded"]), _time(row["failing_since"]), row["failures"], row["error"], next_)

    def forget(self, targets: Iterable[str], at: datetime, recovered_for: timedelta) -> None:
        """Drop what none of these targets is still to be told, or could not be for a day, and recoveries of so long ago
        that what comes back is told like something that never was."""
        configured = json.dumps(list(targets))
        late, old = (at - _LATE).timestamp(), (at - recovered_for).timestamp()
        with self._database.transaction() as connection:
            for table in ("delivered", "targets", "events"):
                connection.execute(
                    f"DELETE FROM {table} WHERE target NOT IN (SELECT value FROM json_each(?))",  # noqa: S608 - ours
                    (configured,),
                )
            connection.execute("DELETE FROM events WHERE at < ?", (late,))
            connection.execute(
                "DELETE FROM alerts WHERE ended < ?"
                " OR ended IS NOT NULL AND key NOT IN (SELECT key FROM delivered WHERE recovered = 0)",
                (late,),
            )
            connection.execute(
                "DELETE FROM delivered WHERE recovered = 1 AND at <= ?"
                " OR recovered = 0 AND key NOT IN (SELECT key FROM alerts)",
                (old,),
            )


def open_alerts(directory: Path) -> list[Alert]:
    """The alerts that are open, the worst first, from the directory that they are kept in; none where nothing is."""
    if not (directory / FILE).exists():
        return []
    with AlertStore(directory) as store:
        return [alert for alert in store.alerts() if alert.ended is None]


def _values(condition: Condition) -> tuple[Any, ...]:
    return (
        condition.key,
        int(condition.severity),
        condition.title,
        condition.text,
        condition.since.timestamp(),
        condition.job,
        condition.run,
        json.dumps(dict(condition.facts)),
    )


def _going_on(row: Any, condition: Condition, at: datetime) -> tuple[Any, ...]:
    """What is kept of an alert that was known already."""
    values = list(_values(condition))
    is_same = row["ended"] is None
    if is_same:
        values[_SINCE] = min(row["since"], values[_SINCE])
    is_seen_to = is_same and condition.severity <= row["severity"]
    return (*values, min(row["opened"], at.timestamp()), None, row["who"] if is_seen_to else "")


def _condition(values: Sequence[Any]) -> Condition:
    key, severity, title, text, since, job, run, facts = values
    return Condition(key, Severity(severity), title, text, _at(since), job, run, json.loads(facts))


def _alert(row: Any) -> Alert:
    return Alert(_condition(tuple(row)[:8]), _at(row["opened"]), _time(row["ended"]), row["who"])


def _delivered(row: Any) -> Delivered:
    severity = Severity(row["severity"])
    return Delivered(_at(row["at"]), row["times"], severity, bool(row["acknowledged"]), bool(row["recovered"]))


def _at(stamp: float) -> datetime:
    return datetime.fromtimestamp(stamp, UTC)


def _time(stamp: float | None) -> datetime | None:
    return None if stamp is None else _at(stamp)
