"""What a check makes of a status."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drtool.cli.nagios import check
from drtool.monitoring.alerting.store import Alert
from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.unattended.standing.courses import Course
from drtool.operations.unattended.standing.status import JobStatus, ScheduleStatus, Status
from drtool.operations.unattended.standing.survey import Space, Survey, Unanswered
from drtool.scheduling.ledger import Pause, RunRecord, RunState
from tests.operations.unattended.test_conditions import JOB

_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_FINE = Course(_NOW - 10 * _HOUR, next_run=_NOW + 14 * _HOUR, interval=86400.0)
_FAILED = RunRecord(
    "r", "backup", "nightly", "nightly", None, _NOW - _HOUR, _NOW - _HOUR, RunState.FAILED, 1, message="no | disk"
)
_ROOM = Space("state", "/var/lib/drtool", 50, 100)


def _job(course: Course, **changes: Any) -> JobStatus:
    return replace(JobStatus("nightly", course, None, None, None, None, has_schedule=True), **changes)


def _status(*jobs: JobStatus, **changes: Any) -> Status:
    well = Status(
        at=_NOW,
        jobs=jobs or (_job(_FINE),),
        schedules=(),
        alerts=(),
        survey=Survey(_NOW, spaces=(_ROOM,)),
        runs_known=True,
        ticked=_NOW - timedelta(minutes=1),
        problems=(),
        configuration_valid=True,
    )
    return replace(well, **changes)


def _alert(severity: Severity) -> tuple[Alert, ...]:
    return (Alert(Condition("k", severity, "Mind the gap", "", _NOW), _NOW),)


def _prune(course: Course) -> tuple[ScheduleStatus, ...]:
    return (ScheduleStatus("clean", "prune", course),)


def _silent(hours: float) -> Survey:
    return Survey(_NOW, unanswered=Unanswered(_NOW - hours * _HOUR, _NOW, "storage", "refused", ""))


_PAUSED = replace(_FINE, paused=Pause("nightly", _NOW, None, "root", ""))
_LATE = replace(_FINE, late_since=_NOW - 2 * _HOUR)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (_status(), 0, "nightly: all snapshots in time"),
        (_status(_job(replace(_FINE, last_run=_FAILED))), 1, "nightly failed 1 h ago: no / disk"),
        (_status(_job(replace(_FINE, last_run=_FAILED, behind=2))), 2, "2 slots without a success"),
        (_status(_job(replace(_LATE, missed=1))), 1, "nightly did not run since 2 h ago: 1 missed"),
        (_status(_job(replace(_LATE, missed=2))), 2, "2 missed"),
        (_status(_job(_FINE, too_old_since=_NOW - _HOUR)), 2, "older than objectives.rpo for 1 h"),
        (_status(_job(Course())), 1, "nightly has never succeeded"),
        (_status(_job(Course()), runs_known=False, survey=Survey(None)), 1, "nightly is not known: neither"),
        (_status(_job(_PAUSED)), 1, "nightly is paused"),
        (_status(schedules=_prune(_LATE)), 1, "clean (prune) is late by 2 h"),
        (_status(schedules=_prune(Course())), 0, "all snapshots in time"),
        (_status(schedules=_prune(replace(_FINE, missed=1))), 0, "all snapshots in time"),
        (_status(_job(_FINE, survey=replace(JOB, suspect=True))), 2, "the newest snapshot of nightly is suspect"),
        (_status(_job(_FINE, survey=replace(JOB, verification_failed=True))), 2, "nightly failed its verification"),
        (_status(alerts=_alert(Severity.INFO)), 0, "all snapshots in time"),
        (_status(alerts=_alert(Severity.WARNING)), 1, "alert: Mind the gap"),
        (_status(alerts=_alert(Severity.CRITICAL)), 2, "alert: Mind the gap"),
        (_status(survey=_silent(0.5)), 1, "the repository cannot be asked: refused"),
        (_status(survey=_silent(2)), 2, "the repository cannot be asked: refused"),
        (_status(survey=Survey(_NOW, problems=("gone",))), 2, "1 problem of the repository: gone"),
        (_status(ticked=None), 1, "nothing has called drtool schedule run"),
        (_status(ticked=_NOW - 3 * _HOUR), 2, "drtool schedule run was last called 3 h ago"),
        (_status(ticked=None, runs_known=False), 0, "all snapshots in time"),
        (_status(survey=Survey(_NOW, spaces=(replace(_ROOM, free=5),))), 1, "5% free for the state (/var/lib/drtool)"),
        (_status(survey=Survey(_NOW, spaces=(replace(_ROOM, free=1),))), 2, "1% free for the state"),
        (_status(problems=("no right to look",)), 1, "no right to look"),
    ],
)
def test_what_is_wrong_and_how_bad_it_is(status: Status, code: int, said: str) -> None:
    found = check(status)
    assert said in found.line
    assert found.code == code
    assert found.line.startswith(f"DRTOOL {('OK', 'WARNING', 'CRITICAL')[code]} - ")


def test_what_an_alert_says_is_not_said_twice() -> None:
    disproved = Alert(Condition("disproved/nightly", Severity.CRITICAL, "It failed its verification", "", _NOW), _NOW)
    found = check(_status(_job(_FINE, survey=replace(JOB, verification_failed=True)), alerts=(disproved,)))
    assert (found.code, found.text) == (2, "alert: It failed its verification")


def test_the_worst_comes_first() -> None:
    assert check(_status(_job(_PAUSED), ticked=_NOW - 3 * _HOUR)).text.startswith("drtool schedule run was last")


def test_figures_are_as_the_guidelines_have_them() -> None:
    figures = check(_status(_job(_FINE, pitr_lag=75.0))).line.partition(" | ")[2]
    value = r"'[^'=]+'=-?\d+(s|B|%|c)?;[\d:]*;[\d:]*;\d*(;\d*)?"
    assert re.fullmatch(f"{value}( {value})*", figures), figures
    assert "'nightly age'=36000s;86400;172800;0" in figures
    assert "'nightly pitr lag'=75s;;;0" in figures
    assert "'state free'=50B;10:;2:;0;100" in figures
