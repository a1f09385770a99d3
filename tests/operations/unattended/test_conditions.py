"""Each thing that can be wrong: when it is, and when it is not any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drtool.errors import ExitCode
from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.unattended.alerting.conditions import Assessment, assess
from drtool.operations.unattended.alerting.of_host import how_low
from drtool.operations.unattended.standing.survey import JobSurvey, LogGap, LogSurvey, Space, Survey, Unanswered
from drtool.scheduling.ledger import Outcome, RunState
from drtool.scheduling.standings import tick
from tests.operations.unattended.alarming import FAILED, OK, START, Host

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
PARTIAL = Outcome(RunState.PARTIAL, ExitCode.PARTIAL, "partial", "1 of 2 sources failed")
SKIPPED = Outcome(RunState.SKIPPED, ExitCode.LOCKED, "locked", "backup nightly is being done")
STOPPED = Outcome(RunState.STOPPED, ExitCode.INTERRUPTED, "interrupted-run", "stopped by SIGINT")
LATE = Outcome(RunState.STOPPED, ExitCode.INTERRUPTED, "time-limit", "took longer than 60 s")
LOST = Outcome(RunState.LOST, ExitCode.FAILED)
DISPROVED = Outcome(RunState.FAILED, ExitCode.VERIFICATION_FAILED, "verification-failed", "3 problems")
ROOM = (Space("repository", "/srv", 10**12, 2 * 10**12), Space("state", "/var", 10**11, 2 * 10**11))
JOB = JobSurvey(
    snapshots=3,
    newest="20260802T020000Z-aaaa",
    created=START - 22 * HOUR,
    instant=START - 22 * HOUR,
    consistency="exact",
    records=10,
    bytes=1000,
    stored_bytes=500,
    level="readable",
    verified_at=START - 21 * HOUR,
    verification_failed=False,
    suspect=False,
    head="ab" * 32,
    verified={"readable": START - 21 * HOUR},
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def _survey(host: Host, *, logs: dict[str, LogSurvey] | None = None, **job: Any) -> Survey:
    return Survey(host.at, "repo", {"nightly": replace(JOB, **job)}, logs or {}, spaces=ROOM)


def _assess(host: Host, survey: Survey | None = None) -> Assessment:
    survey = survey or Survey(START - HOUR, "repo", spaces=ROOM)
    with host.ledger() as ledger:
        return assess(host.config, ledger, survey, host.clock)


def _found(host: Host, survey: Survey | None = None) -> dict[str, Condition]:
    return {condition.key: condition for condition in _assess(host, survey).conditions}


def _severities(host: Host, survey: Survey | None = None) -> dict[str, Severity]:
    return {key: condition.severity for key, condition in _found(host, survey).items()}


def test_nothing_is_wrong_with_a_new_host(host: Host) -> None:
    assert _found(host) == {}


@pytest.mark.parametrize(
    ("outcome", "severity"),
    [
        (FAILED, Severity.CRITICAL),
        (LATE, Severity.CRITICAL),
        (LOST, Severity.CRITICAL),
        (PARTIAL, Severity.CRITICAL),
    ],
)
def test_a_backup_that_failed(host: Host, outcome: Outcome, severity: Severity) -> None:
    host.run(outcome, slot=None if outcome is LATE else host.at)
    condition = _found(host)["failed/backup/nightly"]
    assert condition.severity is severity
    assert outcome.message in condition.title
    assert (condition.job, condition.run, condition.since) == ("nightly", "run0", host.at)
    assert condition.facts["Last good snapshot"] == "none"
    assert condition.facts["Next run"] == "2026-08-03 02:00 UTC"
    host.run(OK)
    assert _found(host) == {}


def test_failures_in_a_row_are_one(host: Host) -> None:
    host.run(OK, snapshot="20260802T000000Z-good")
    first = host.run(FAILED)
    for _ in range(3):
        host.run(FAILED)
    host.run(SKIPPED)
    host.run(STOPPED)  # by a person
    condition = _found(host)["failed/backup/nightly"]
    assert condition.title.startswith("Backup of nightly failed 4 times in a row: app")
    assert condition.since == first.started + MINUTE
    assert condition.facts["Last good snapshot"].startswith("20260802T000000Z-good (2026-08-03 00:00 UTC")


def test_a_backup_after_which_a_hook_failed(host: Host) -> None:
    host.run(PARTIAL, snapshot="20260802T000000Z-good")
    condition = _found(host)["failed/backup/nightly"]
    assert condition.severity is Severity.WARNING
    assert "was not done in full" in condition.title


def test_any_number_of_skipped_runs_is_no_recovery(host: Host) -> None:
    host.run(FAILED)
    for _ in range(60):
        host.run(SKIPPED)
    assert "failed/backup/nightly" in _found(host)


@pytest.mark.parametrize("outcome", [SKIPPED, STOPPED])
def test_what_says_nothing_opens_nothing(host: Host, outcome: Outcome) -> None:
    host.run(outcome)
    assert _found(host) == {}


def test_a_run_without_a_process_has_failed(host: Host) -> None:
    with host.ledger() as ledger:
        ledger.begin("run0", "backup", job="nightly", entry="nightly")
        assert "failed/backup/nightly" not in {c.key for c in assess(host.config, ledger, None, host.clock).conditions}
    assert "its process is gone" in _found(host)["failed/backup/nightly"].title


def test_other_tasks_are_less_bad_but_a_disproof(host: Host) -> None:
    host.more = {"schedules": {"tidy": {"task": "prune", "schedule": "@daily", "timezone": "UTC"}}}
    host.run(FAILED, task="prune", job="", entry="tidy")
    host.run(FAILED, task="verify")
    assert _severities(host) == {
        "failed/prune/tidy": Severity.WARNING,
        "failed/verify/nightly": Severity.WARNING,
    }
    assert _found(host)["failed/prune/tidy"].facts == {"Error": "unreachable", "Next run": "2026-08-04 00:00 UTC"}
    host.run(DISPROVED, task="verify")
    assert _severities(host)["failed/verify/nightly"] is Severity.CRITICAL


def test_missed_runs(host: Host) -> None:
    host.run(OK)
    host.at = START + 2 * HOUR + 4 * MINUTE
    assert _found(host) == {}
    host.at = START + 3 * HOUR
    assert _severities(host) == {"missed/nightly": Severity.WARNING}
    host.at = START + DAY + 3 * HOUR
    found = _found(host)
    assert found["missed/nightly"].severity is Severity.CRITICAL
    assert found["missed/nightly"].since == START + 2 * HOUR
    host.run(OK)
    assert _found(host) == {}


def test_a_scheduler_that_is_called_every_hour_has_missed_nothing_before_it_comes(host: Host) -> None:
    with host.ledger() as ledger:
        tick(ledger, START + HOUR + 30 * MINUTE)
    for minutes, missed in ((30, set()), (64, set()), (66, {"missed/nightly"})):
        host.at = START + 2 * HOUR + minutes * MINUTE
        assert set(_found(host)) == missed, minutes
    host.at = START + 2 * HOUR + 6 * MINUTE
    with host.ledger() as ledger:
        tick(ledger, START + 2 * HOUR)
    assert set(_found(host)) == {"missed/nightly"}, "it came, and did not start it"


def test_missed_prunes_are_no_reason_to_wake_anybody(host: Host) -> None:
    host.jobs = {"nightly": {}}
    host.more = {"schedules": {"tidy": {"task": "prune", "schedule": "0 * * * *"}}}
    host.ledger().close()
    host.at += 5 * HOUR
    assert _severities(host) == {"missed/tidy": Severity.WARNING}


def test_a_backup_that_is_always_skipped(host: Host) -> None:
    host.ledger().close()
    for day in range(3):
        host.at = START + day * DAY + 2 * HOUR
        host.run(SKIPPED, slot=host.at)
    assert _severities(host) == {"never/nightly": Severity.CRITICAL}
    host.run(OK)
    assert _found(host) == {}
    for day in range(3, 6):
        host.at = START + day * DAY + 2 * HOUR
        host.run(SKIPPED, slot=host.at)
    found = _found(host)["late/nightly"]
    assert "has not succeeded since 2026-08-05 02:01 UTC" in found.title
    assert "skipped" in found.text


def test_one_that_takes_very_long(host: Host) -> None:
    host.jobs = {"nightly": {"schedule": "0 */6 * * *"}}
    with host.ledger() as ledger:
        ledger.begin("run0", "backup", job="nightly", entry="nightly")
        for hours, keys in ((5, set()), (7, {"long/nightly", "missed/nightly"})):
            host.at = START + hours * HOUR
            found = {condition.key for condition in assess(host.config, ledger, None, host.clock).conditions}
            assert {key for key in found if not key.startswith("disk/")} == keys


def test_a_pause_of_more_than_a_week(host: Host) -> None:
    with host.ledger() as ledger:
        ledger.pause("nightly", None, "alice", "migration")
    host.at += 6 * DAY
    assert _found(host) == {}
    host.at += 2 * DAY
    found = _found(host)["paused/nightly"]
    assert found.severity is Severity.INFO
    assert "by alice" in found.title
    assert "migration" in found.text


def test_a_clock_that_was_set_back(host: Host) -> None:
    host.run(OK)
    host.at -= DAY
    assert _severities(host)["clock"] is Severity.WARNING


def test_the_objective(host: Host) -> None:
    host.jobs = {"nightly": {"objectives": {"rpo": "24h"}}}
    assert _found(host, _survey(host)) == {}
    host.at += 3 * HOUR
    found = _found(host, _survey(host))["rpo/nightly"]
    assert found.severity is Severity.CRITICAL
    assert found.since == JOB.instant + DAY
    assert "is 25 h old; at most 24 h is the objective" in found.title
    assert found.facts["Head"] == "ab" * 32
    assert found.facts["Verified"] == "readable since 2026-08-02 03:00 UTC"
    # What this host did itself counts while the repository does not answer.
    missing = Unanswered(host.at, host.at, "transient-storage", "no answer", "")
    survey = replace(_survey(host), unanswered=missing)
    assert set(_found(host, survey)) == {"rpo/nightly"}
    host.run(OK)
    assert _found(host, survey) == {}
    # What the repository was seen without since does not.
    assert set(_found(host, _survey(host))) == {"rpo/nightly"}


def test_a_snapshot_that_is_gone_although_the_run_said_ok(host: Host) -> None:
    survey = Survey(host.at, "repo", spaces=ROOM)
    host.run(OK, snapshot="20260803T000000Z-gone")
    assert _found(host, survey) == {}, "asked before it was taken"
    after = replace(survey, taken_at=host.at)
    assert _severities(host, after) == {"gone/nightly": Severity.CRITICAL}
    assert _found(host, after)["gone/nightly"].facts["Last good snapshot"] == "none"
    assert _found(host, replace(_survey(host), taken_at=host.at)) == {}


def test_a_snapshot_from_a_time_that_is_still_to_come(host: Host) -> None:
    assert _found(host, _survey(host, instant=START + 9 * MINUTE)) == {}
    ahead = _survey(host, created=START + 365 * DAY, instant=START + 365 * DAY)
    assert _severities(host, ahead) == {"clock/nightly": Severity.WARNING}
    assert _assess(host, replace(ahead, unanswered=Unanswered(START, START, "", "", ""))).is_unknown("clock/nightly")


def test_a_fortnight_without_verification(host: Host) -> None:
    survey = _survey(host)
    host.at += 15 * DAY
    assert _found(host, survey) == {}  # nobody asked for it
    host.jobs = {"nightly": {"verify": {"level": "intact"}}}
    found = _found(host, survey)["unverified/nightly"]
    assert found.severity is Severity.WARNING
    assert "verified to intact since 2026-08-02 03:00 UTC" in found.title
    recently = {**JOB.verified, "restored": host.at - DAY}
    assert _found(host, _survey(host, verified=recently)) == {}
    host.jobs = {"nightly": {"verify": {"level": "restored"}}}
    assert _found(host, _survey(host, verified={"readable": host.at})) == {}  # there have been no backups for so long


@pytest.mark.parametrize("part", [{"sample": "10%"}, {"shares": 7}])
def test_a_part_that_is_verified_each_night(host: Host, part: dict[str, Any]) -> None:
    """It raises no level, and is what the configuration asks for."""
    task = {"task": "verify", "schedule": "0 6 * * *", "level": "intact", **part}
    host.run(OK)
    host.more = {"schedules": {"check": task}}
    host.at += 15 * DAY
    survey = _survey(host, verified={})
    assert set(_found(host, survey)) >= {"unverified/nightly"}
    host.run(OK, task="verify", job="", entry="check")
    assert "unverified/nightly" not in _found(host, survey)
    host.at += 15 * DAY
    assert "unverified/nightly" in _found(host, survey)


def test_a_part_that_is_verified_after_each_backup(host: Host) -> None:
    host.jobs = {"nightly": {"verify": {"level": "intact", "sample": "10%"}}}
    host.run(OK)
    host.at += 15 * DAY
    survey = _survey(host, verified={})
    assert set(_found(host, survey)) == {"unverified/nightly"}
    host.run(OK, task="verify", entry="")
    assert _found(host, survey) == {}
    host.jobs = {"nightly": {"verify": {"level": "intact"}}}
    assert set(_found(host, survey)) == {"unverified/nightly"}, "all of it was asked for"


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"suspect": True}, "suspect/nightly"), ({"verification_failed": True}, "disproved/nightly")],
)
def test_a_newest_snapshot_that_is_no_good(host: Host, changes: dict[str, Any], key: str) -> None:
    assert _severities(host, _survey(host, **changes)) == {key: Severity.CRITICAL}


def test_something_wrong_in_the_repository(host: Host) -> None:
    survey = replace(_survey(host), problems=("snapshot x was signed by nobody we know",))
    assert _severities(host, survey) == {"repository/139a103e": Severity.CRITICAL}
    assert _found(host, survey)["repository/139a103e"].facts == {"Head of nightly": "ab" * 32}
    # Whoever sees to the one has not seen the other, which is listed before it.
    assert set(_found(host, replace(survey, problems=("another", *survey.problems)))) > {"repository/139a103e"}


@pytest.mark.parametrize(
    ("minutes", "severity"), [(14, None), (16, Severity.WARNING), (59, Severity.WARNING), (61, Severity.CRITICAL)]
)
def test_an_archive_that_lags(host: Host, minutes: int, severity: Severity | None) -> None:
    host.more = {"schedules": {"archive": {"task": "pitr capture", "schedule": "*/5 * * * *"}}}
    log = LogSurvey(host.at - minutes * MINUTE, minutes * 60.0, leads_on=True)
    assert _severities(host, _survey(host, logs={"app": log})).get("pitr-lag/app") is severity


def test_a_gap_matters_until_the_next_snapshot(host: Host) -> None:
    gap = LogGap(START - 5 * HOUR, START - 4 * HOUR)
    log = LogSurvey(host.at, 0.0, (gap,), leads_on=True)
    assert _severities(host, _survey(host, logs={"app": log})) == {"pitr-gap/app": Severity.WARNING}
    assert _found(host, _survey(host, logs={"app": log}, instant=START - HOUR)) == {}
    off = replace(log, gaps=(), leads_on=False)
    assert set(_found(host, _survey(host, logs={"app": off}))) == {"pitr-base/app"}


def test_a_repository_that_does_not_answer(host: Host) -> None:
    def unanswered(at: datetime) -> Survey:
        return replace(
            _survey(host, suspect=True), unanswered=Unanswered(START, at, "transient-storage", "no answer", "")
        )

    found = _assess(host, unanswered(START))
    assert found.conditions == ()  # once is no reason
    assert _found(host, unanswered(START + MINUTE)) == {}  # and neither is whoever asks again at once
    assert found.is_unknown("suspect/nightly")
    assert not found.is_unknown("failed/backup/nightly")
    host.at += HOUR
    assert _severities(host, unanswered(host.at)) == {"unreachable": Severity.WARNING}
    host.at += DAY
    assert _severities(host, unanswered(host.at))["unreachable"] is Severity.CRITICAL
    with host.ledger() as ledger:
        assert assess(host.config, ledger, None, host.clock).is_unknown("pitr-gap/app")


def test_a_backup_of_nothing(host: Host) -> None:
    host.run(OK, records=0, emptied={})
    assert _found(host) == {}  # and there never was anything
    host.run(OK, records=0, emptied={"app": "20260803T000000Z-full"})
    found = _found(host)["empty/nightly"]
    assert found.severity is Severity.WARNING
    assert "found nothing in app" in found.title
    assert "20260803T000000Z-full" in found.text
    host.run(OK, records=1234, emptied={})
    assert _found(host) == {}


@pytest.mark.parametrize(
    ("free", "total", "severity"),
    [
        (50e9, 100e9, None),
        (9e9, 100e9, Severity.WARNING),
        (1.9e9, 100e9, Severity.CRITICAL),
        (4e9, 30e9, Severity.WARNING),
        (1e9, 2e9, None),
        (0, 0, Severity.CRITICAL),
    ],
)
def test_little_room(host: Host, free: float, total: float, severity: Severity | None) -> None:
    space = Space("state", "/var/lib/drtool", int(free), int(total))
    assert how_low(space) is severity
    both = replace(_survey(host), spaces=(space, replace(space, place="repository"), Space("cache", "/", 0, 10**12)))
    assert _severities(host, both) == ({} if severity is None else {"disk/state": severity})
