"""What is started when, by a clock that is set by hand."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drtool.errors import ConfigError, SkippedError, StateError, StorageError, UsageError
from drtool.operations.unattended.scheduling import scheduler
from drtool.operations.unattended.scheduling.children import Call
from drtool.scheduling.ledger import RunState
from tests.operations.unattended.attended_host import AttendedHost
from tests.operations.unattended.living import HandSet
from tests.operations.unattended.pretending import Happening, Stage
from tests.scheduling.samples import at


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host as it is set up, to be copied."""
    return AttendedHost(tmp_path_factory.mktemp("host")).set_up().directory


@pytest.fixture
def stage(template: Path, tmp_path: Path) -> Callable[..., Stage]:
    """Makes a host on 21 November at noon, seen by ``schedule run``, with settings of its job and further parts."""

    def make(nightly: dict[str, Any] | None = None, **more: Any) -> Stage:
        shutil.copytree(template, tmp_path, dirs_exist_ok=True)
        settings = {"schedule": "0 2 * * *", "timezone": "UTC", **(nightly or {})}
        host = AttendedHost(tmp_path).write(settings, **more)
        made = Stage(host.config, HandSet(at("20 12:00")))
        assert made.run_due() == []
        return made

    return make


def failing(_call: Call) -> Happening:
    return Happening(error=StorageError("the store does not answer"))


def test_what_is_due_is_started_once(stage: Callable[..., Stage]) -> None:
    host = stage(schedules={"clean": {"task": "prune", "schedule": "30 4 * * *", "timezone": "UTC"}})
    host.come("21 01:59", "21 02:00", "21 02:05", "21 04:30", "21 05:00", "22 02:00", "22 04:30")
    assert host.calls() == ["21 02:00 backup nightly", "21 04:30 prune", "22 02:00 backup nightly", "22 04:30 prune"]
    assert {run.state for run in host.runs()} == {RunState.OK}
    assert [run.slot for run in host.runs()] == [at("21 02:00"), at("21 04:30"), at("22 02:00"), at("22 04:30")]


def test_after_a_downtime_there_is_one_run_for_all_that_was_missed(stage: Callable[..., Stage]) -> None:
    host = stage(schedules={"often": {"task": "verify", "level": "listed", "schedule": "*/5 * * * *"}})
    host.come("24 09:01", "24 09:03")
    assert sorted(host.calls()) == ["24 09:01 backup nightly", "24 09:01 verify --level listed"]
    assert {run.slot for run in host.runs()} == {at("24 02:00"), at("24 09:00")}


def test_what_is_not_made_up_for_is_on_record_as_missed(stage: Callable[..., Stage]) -> None:
    host = stage({"catch_up": False})
    host.come("23 09:00", "23 09:05")
    (missed,) = host.runs()
    assert (missed.state, missed.kind, missed.slot) == (RunState.SKIPPED, "missed", at("23 02:00"))
    assert missed.message == "3 runs were missed, and catch_up is off"
    assert not host.calls()


def test_one_that_failed_waits_for_its_next_slot(stage: Callable[..., Stage]) -> None:
    host = stage()
    host.happens = failing
    host.come("21 02:00", "21 03:00", "21 23:00", "22 02:00")
    assert host.calls() == ["21 02:00 backup nightly", "22 02:00 backup nightly"]
    assert [(run.state, run.kind) for run in host.runs()] == [(RunState.FAILED, "storage")] * 2


def test_or_is_tried_again_as_often_as_configured(stage: Callable[..., Stage]) -> None:
    host = stage({"retries": 2, "retry_after": "1h"})
    host.happens = failing
    host.come("21 02:00", "21 03:00", "21 03:02", "21 04:02", "21 04:04", "21 06:00", "21 12:00")
    assert host.calls() == ["21 02:00 backup nightly", "21 03:02 backup nightly", "21 04:04 backup nightly"]
    assert {run.slot for run in host.runs()} == {at("21 02:00")}
    host.happens = lambda _call: Happening()
    host.come("22 02:00", "22 12:00")
    assert len(host.calls()) == 1


def test_a_long_run_keeps_its_own_next_one_from_starting_and_no_other(stage: Callable[..., Stage]) -> None:
    often = {"task": "verify", "level": "listed", "schedule": "*/5 * * * *", "timezone": "UTC"}
    host = stage({"schedule": "*/10 * * * *"}, schedules={"often": often})
    host.happens = lambda call: Happening(lasts=timedelta(minutes=13 if call.run.job else 1))
    host.come("21 02:00")
    assert host.calls() == [
        "21 02:00 backup nightly",
        "21 02:00 verify --level listed",
        "21 02:05 verify --level listed",
        "21 02:10 verify --level listed",
    ]
    skipped = [run for run in host.runs() if run.state is RunState.SKIPPED]
    assert [(run.entry, run.slot, run.kind) for run in skipped] == [("nightly", at("21 02:10"), "locked")]
    assert skipped[0].message == "the run before goes on, since 2026-11-21T02:00:00+00:00"


def test_what_is_about_one_job_is_done_one_after_the_other(stage: Callable[..., Stage]) -> None:
    at_two = {"schedule": "0 2 * * *", "timezone": "UTC"}
    host = stage(
        jobs={"other": {"sources": ["code"], **at_two}},
        schedules={"rotate": {"task": "retention apply", "jobs": ["nightly"], **at_two}},
    )
    host.clock.time = at("21 02:00")
    host.run_due()
    assert host.calls() == ["21 02:00 backup nightly", "21 02:00 backup other", "21 02:02 retention apply nightly"]


def test_no_more_than_a_few_run_at_once(stage: Callable[..., Stage]) -> None:
    jobs = {f"job{number}": {"sources": ["code"], "schedule": "0 2 * * *", "timezone": "UTC"} for number in range(9)}
    host = stage(jobs=jobs)
    host.clock.time = at("21 02:00")
    assert len(host.run_due()) == 10
    assert host.most_at_once == 4
    assert len({call.split()[-1] for call in host.calls()}) == 10


def test_a_snapshot_is_verified_once_it_is_taken(stage: Callable[..., Stage]) -> None:
    host = stage({"verify": {"level": "intact", "sample": "10%"}})
    host.happens = lambda call: Happening(snapshot="taken" if call.run.task == "backup" else "")
    host.come("21 02:00", "21 03:00", "22 02:00")
    verify = "verify taken --level intact --sample 10%"
    assert host.calls() == [
        "21 02:00 backup nightly",
        f"21 02:02 {verify}",
        "22 02:00 backup nightly",
        f"22 02:02 {verify}",
    ]
    verified = host.runs()[1]
    assert (verified.task, verified.job, verified.entry, verified.slot) == ("verify", "nightly", "", None)
    host.happens = failing
    host.come("23 02:00", "23 03:00")
    assert host.calls() == ["23 02:00 backup nightly"]


def test_each_share_has_its_turn_until_it_went_well(stage: Callable[..., Stage]) -> None:
    check = {"task": "verify", "level": "readable", "shares": 3, "schedule": "0 6 * * *", "timezone": "UTC"}
    host = stage({"schedule": None}, schedules={"check": check})
    host.come("21 06:00", "22 06:00")
    host.happens = failing
    host.come("23 06:00")
    host.happens = lambda _call: Happening()
    host.come("24 06:00", "25 06:00")
    assert [call.rpartition(" ")[2] for call in host.calls()] == ["1/3", "2/3", "3/3", "3/3", "1/3"]


def test_a_command_that_dies_is_put_on_record(stage: Callable[..., Stage]) -> None:
    host = stage()
    host.happens = lambda _call: Happening(dies=True)
    host.clock.time = at("21 02:00")
    (run,) = host.run_due()
    assert (run.state, run.kind, run.exit_code) == (RunState.FAILED, "killed", 137)
    assert run.message == "its process was ended by SIGKILL"


def test_a_run_whose_processes_are_all_gone_is_lost_and_made_up_for(stage: Callable[..., Stage]) -> None:
    host = stage()
    host.clock.time = at("21 02:00")
    with host.ledger() as ledger:
        ledger.claim("gone", "backup", job="nightly", entry="nightly", slot=at("21 02:00"))
        host.clock.time = at("21 02:01")
        assert host.run_due() == [], "somebody answers for it still"
    host.clock.time = at("21 05:00")
    host.run_due()
    assert host.calls() == ["21 05:00 backup nightly"]
    assert [(run.id == "gone", run.state) for run in host.runs()] == [(True, RunState.LOST), (False, RunState.OK)]


def test_a_clock_that_was_ahead(stage: Callable[..., Stage]) -> None:
    host = stage()
    host.come("29 02:00", "21 01:00", "21 02:00", "21 03:00", "22 02:00", "23 02:00", "29 02:00")
    assert host.calls() == [
        "29 02:00 backup nightly",
        "21 02:00 backup nightly",
        "22 02:00 backup nightly",
        "23 02:00 backup nightly",
        "29 02:00 backup nightly",
    ]
    (told,) = [text for text in host.warnings if "clock" in text]
    assert told == (
        "this host's clock was put back: a run is on record up to 2026-11-29T02:00:00+00:00, which is still to come;"
        " they count as of now"
    )


def test_while_it_is_paused_nothing_is_started_but_what_somebody_asks_for(stage: Callable[..., Stage]) -> None:
    host = stage()
    with host.ledger() as ledger:
        ledger.pause("nightly", at("22 12:00"), "alice", "a move")
    host.come("21 02:00", "21 12:00")
    assert not host.calls()
    with host.scheduler() as scheduler:
        (run,) = scheduler.run_now(["nightly"])
    assert (run.entry, run.slot, run.state) == ("nightly", None, RunState.OK)
    host.come("22 02:00", "22 12:00", "23 02:00")
    assert host.calls() == ["21 12:00 backup nightly", "23 02:00 backup nightly"]


def test_names_that_are_not_there_start_nothing(stage: Callable[..., Stage]) -> None:
    host = stage()
    with host.scheduler() as scheduler, pytest.raises(UsageError, match="weekly"):
        scheduler.run_now(["nightly", "weekly"])
    assert not host.calls()


def test_what_would_be_started_is_told_and_not_started(stage: Callable[..., Stage]) -> None:
    host = stage()
    host.clock.time = at("21 09:00")
    for _ in range(2):
        with host.scheduler() as scheduler:
            assert [(entry.name, slot) for entry, slot in scheduler.due()] == [("nightly", at("21 02:00"))]
            assert [(entry.name, slot) for entry, slot in scheduler.due(["nightly"])] == [("nightly", None)]
    assert not host.runs()


def test_a_hook_that_skips_is_the_slot_s_attempt(stage: Callable[..., Stage]) -> None:
    host = stage({"retries": 3})
    host.happens = lambda _call: Happening(error=SkippedError("not on battery"))
    host.come("21 02:00", "21 12:00")
    assert host.calls() == ["21 02:00 backup nightly"]
    assert [run.state for run in host.runs()] == [RunState.SKIPPED]


def test_a_configuration_that_changes_meanwhile_is_read_again(stage: Callable[..., Stage]) -> None:
    every = {"task": "retention apply", "jobs": ["other"], "timezone": "UTC"}
    other = {"other": {"sources": ["code"]}}
    host = stage(jobs=other, schedules={"old": {**every, "schedule": "*/5 * * * *"}})

    def change(call: Call) -> Happening:
        if call.run.task == "backup":
            nightly = {"schedule": "0 2 * * *", "timezone": "UTC"}
            new = {**every, "schedule": "*/10 * * * *"}
            AttendedHost(host.config.path.parent).write(nightly, jobs=dict(other), schedules={"new": new})
        return Happening(lasts=timedelta(minutes=22 if call.run.task == "backup" else 1))

    host.happens = change
    host.come("21 02:00")
    apply = "retention apply other"
    assert sorted(host.calls()) == [
        "21 02:00 backup nightly",
        f"21 02:00 {apply}",
        f"21 02:10 {apply}",
        f"21 02:20 {apply}",
    ]
    assert [run.entry for run in host.runs() if run.task != "backup"] == ["old", "new", "new"]


def test_while_it_is_broken_nothing_more_is_started(stage: Callable[..., Stage]) -> None:
    host = stage({"schedule": "*/5 * * * *"})

    def break_(_call: Call) -> Happening:
        host.config.path.write_text(host.config.path.read_text() + "\nbad: [")
        return Happening(lasts=timedelta(minutes=8))

    host.happens = break_
    host.come("21 02:00")
    assert [run.slot for run in host.runs()] == [at("21 02:00")], "none is skipped, either"
    assert [type(problem) for problem in host.problems] == [ConfigError]


def test_what_its_end_left_to_tell_is_told_before_the_call_ends(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = stage()
    told: list[datetime] = []
    monkeypatch.setattr(scheduler, "watch", lambda *_: told.append(host.clock()))
    host.happens = lambda _call: Happening(lasts=timedelta(seconds=20))
    host.come("21 02:00")
    assert told == [at("21 02:00"), at("21 02:00") + timedelta(seconds=20)]


def test_what_cannot_be_put_on_record_is_not_started_and_made_up_for_later(stage: Callable[..., Stage]) -> None:
    host = stage()
    with host.ledger() as ledger:
        path = ledger.directory / "runs.sqlite"
    _execute(path, "CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(FAIL, 'the disk is full'); END")
    host.come("21 02:00", "22 02:00")
    assert [(type(problem), problem.message.endswith("the disk is full")) for problem in host.problems] == [
        (StateError, True)
    ]
    assert not host.calls()
    assert not list(ledger.directory.glob("locks/*.run"))
    _execute(path, "DROP TRIGGER full")
    host.come("22 09:00", "22 10:00")
    assert host.calls() == ["22 09:00 backup nightly"]
    assert not host.problems


def _execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
