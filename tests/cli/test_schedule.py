"""``drtool schedule``, with commands that are started for real."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drtool.operations.unattended.attending.records import ledger_of
from drtool.operations.unattended.scheduling.children import Call, Ended
from drtool.operations.unattended.scheduling.processes import ProcessLauncher
from drtool.scheduling.ledger import RunRecord, RunState
from tests.cli.running import command, environment
from tests.operations.unattended.attended_host import AttendedHost, python
from tests.scheduling.samples import at, run

#: A hook that says that it has begun, and then waits to be let go, or for the end of the test, which removes the place.
WAITING = """
import pathlib, sys, time
here = pathlib.Path(sys.argv[1])
(here / "begun").touch()
while here.exists() and not (here / "go").exists():
    time.sleep(0.05)
"""


@pytest.fixture
def host(tmp_path: Path) -> AttendedHost:
    return AttendedHost(tmp_path).set_up().write({"schedule": "0 2 * * *", "timezone": "Europe/Berlin"})


def waiting(host: AttendedHost, **settings: Any) -> AttendedHost:
    """Its job waits before it backs up."""
    hooks = {"before": [[*python(WAITING), str(host.directory)]]}
    return host.write({"schedule": "0 2 * * *", "hooks": hooks, **settings})


@contextmanager
def running(host: AttendedHost, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command as a process of its own; what is left of it is let go at the end."""
    process = subprocess.Popen(
        command("--config", str(host.file), "--json", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        wait_for((host.directory / "begun").exists)
        yield process
    finally:
        (host.directory / "go").touch()
        if process.poll() is None:
            process.kill()
        process.communicate()
        wait_for(lambda: not alive(host))


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def alive(host: AttendedHost) -> list[RunRecord]:
    with ledger_of(host.config) as ledger:
        return [run for run in ledger.runs(state=RunState.RUNNING) if ledger.is_alive(run)]


def test_a_job_and_its_verification(host: AttendedHost) -> None:
    host.write({"schedule": "0 2 * * *", "verify": {"level": "intact"}})
    ended = host.drtool("schedule", "run", "nightly")
    assert ended.code == 0, ended.err
    backup, verify = ended.lines[:-1]
    assert (backup["type"], backup["name"], backup["task"], backup["state"]) == ("run", "nightly", "backup", "ok")
    assert (verify["name"], verify["task"], verify["job"], verify["state"]) == ("", "verify", "nightly", "ok")
    assert ended.result["runs"] == [backup["run"], verify["run"]]
    (snapshot,) = host.drtool("snapshots").lines[:-1]
    assert snapshot["level"] == "intact"
    assert [run.figures.get("snapshot") for run in host.runs()] == [snapshot["snapshot"], None]


def test_nothing_due_is_nothing_said(host: AttendedHost) -> None:
    for _ in range(2):
        ended = host.drtool("schedule", "run")
        assert (ended.code, ended.result["runs"], ended.err, len(ended.lines)) == (0, [], "", 1)
    assert host.drtool("schedule", "run", "--dry-run").lines[:-1] == []
    (line, _) = host.drtool("schedule", "run", "--dry-run", "nightly").lines
    assert (line["type"], line["name"], line["task"], line["slot"]) == ("due", "nightly", "backup", None)


def test_what_fails_is_said_and_on_record(host: AttendedHost) -> None:
    nightly = {"schedule": "0 2 * * *", "timezone": "UTC"}
    gone = {"sources": {"gone": {"type": "files", "paths": ["gone"]}}}
    host.write(nightly, **gone, jobs={"other": {"sources": ["gone"], **nightly}})
    ended = host.drtool("schedule", "run", "other")
    assert ended.code == 1
    assert ended.result["error"]["kind"] == "scheduled-run"
    assert ended.result["error"]["message"].startswith("other: ")
    (failed,) = host.runs()
    assert (failed.entry, failed.state) == ("other", RunState.FAILED)
    assert failed.message in ended.result["error"]["message"]
    both = host.drtool("schedule", "run", "other", "nightly")
    assert (both.code, both.result["error"]["kind"]) == (3, "partial")
    assert {line["state"] for line in both.lines[:-1]} == {"ok", "failed"}


def test_what_a_command_says_before_it_is_on_record_is_kept(host: AttendedHost) -> None:
    host.write(
        {"schedule": "0 2 * * *"},
        schedules={
            "some": {"task": "verify", "level": "intact", "snapshots": ["weekly@latest"], "schedule": "0 6 * * *"}
        },
    )
    ended = host.drtool("schedule", "run", "some")
    assert ended.code == 1
    (failed,) = host.runs()
    assert (failed.state, failed.exit_code) == (RunState.FAILED, 10)
    assert "weekly" in failed.message


def test_a_time_limit(host: AttendedHost) -> None:
    ended = waiting(host, max_duration="1s").drtool("schedule", "run", "nightly")
    assert ended.code == 1
    (stopped,) = host.runs()
    assert (stopped.state, stopped.kind) == (RunState.FAILED, "time-limit")
    assert stopped.message == "took longer than 1 s (max_duration), and was stopped"


def test_a_scheduler_that_is_stopped_stops_what_it_started(host: AttendedHost) -> None:
    with running(waiting(host), "schedule", "run", "nightly") as process:
        process.terminate()
        process.communicate()
        assert process.returncode == 130
        (stopped,) = host.runs()
        assert stopped.state is RunState.STOPPED


def test_a_command_outlives_a_scheduler_that_is_killed(host: AttendedHost) -> None:
    with running(waiting(host), "schedule", "run", "nightly") as process:
        process.kill()
        process.communicate()
        (theirs,) = alive(host)
        assert host.drtool("schedule", "run").result["runs"] == [], "it is neither lost nor started again"
        (listed, *_) = host.drtool("schedule", "list").lines
        assert listed["running"] == theirs.id
        (host.directory / "go").touch()
        wait_for(lambda: not alive(host))
    (done,) = host.runs()
    assert (done.id, done.state) == (theirs.id, RunState.OK)


def test_a_command_that_is_killed(host: AttendedHost) -> None:
    with running(waiting(host), "schedule", "run", "nightly") as process:
        (theirs,) = alive(host)
        assert theirs.pid != process.pid
        os.kill(theirs.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == 1
    (killed,) = host.runs()
    assert (killed.state, killed.kind, killed.exit_code) == (RunState.FAILED, "killed", 137)


def test_one_that_does_not_end_when_asked_is_killed(host: AttendedHost) -> None:
    launcher = ProcessLauncher(waiting(host).file, environment(), grace=0.5)
    child = launcher.start(Call(run(at("21 02:00"), RunState.RUNNING), ("backup", "nightly")))
    try:
        wait_for((host.directory / "begun").exists)
        (theirs,) = alive(host)
        os.kill(theirs.pid, signal.SIGSTOP)
        child.stop()
        ended: list[Ended] = []

        def has_ended() -> bool:
            launcher.wait(0.2)
            ended.extend(filter(None, [child.ended()]))
            return bool(ended)

        wait_for(has_ended)
    finally:
        (host.directory / "go").touch()
        for left in alive(host):
            os.kill(left.pid, signal.SIGKILL)
    assert (ended[0].exit_code, ended[0].signal, ended[0].too_long) == (137, "SIGKILL", False)


def test_pause_and_resume(host: AttendedHost) -> None:
    ended = host.drtool("schedule", "pause", "nightly", "--for", "8h", "--reason", "a move")
    assert (ended.code, ended.result["schedule"]) == (0, "nightly")
    (listed, _) = host.drtool("schedule", "list").lines
    assert listed["paused"]["reason"] == "a move"
    assert listed["paused"]["until"] == ended.result["until"] < listed["next_run"]
    resumed = host.drtool("schedule", "resume", "nightly")
    assert resumed.result["was_paused"] is True
    assert host.drtool("schedule", "resume", "nightly").result["was_paused"] is False
    assert host.drtool("schedule", "pause", "nightly").code == 0
    (listed, _) = host.drtool("schedule", "list").lines
    assert (listed["paused"]["until"], listed["next_run"]) == (None, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("pause", "weekly"),
        ("resume", "weekly"),
        ("run", "weekly"),
        ("run", "--dry-run", "weekly"),
        ("pause", "nightly", "--for", "soon"),
        ("pause", "nightly", "--until", "2020-01-01T00:00:00Z"),
        ("pause", "nightly", "--until", "2120-01-01T00:00:00Z", "--for", "8h"),
    ],
)
def test_what_makes_no_sense(host: AttendedHost, arguments: tuple[str, ...]) -> None:
    assert host.drtool("schedule", *arguments).code == 2
    assert not host.runs()


def test_a_run_without_a_process_is_not_listed_as_running(host: AttendedHost) -> None:
    with ledger_of(host.config) as ledger:
        ledger.release(ledger.begin("one", "backup", job="nightly", entry="nightly"))
    (listed, _) = host.drtool("schedule", "list").lines
    assert (listed["last_state"], listed["running"]) == ("running", None)


def test_the_list(host: AttendedHost) -> None:
    (line, result) = host.drtool("schedule", "list").lines
    next_run = line.pop("next_run")
    assert line == {
        "type": "schedule",
        "name": "nightly",
        "task": "backup",
        "job": "nightly",
        "schedule": "0 2 * * *",
        "timezone": "Europe/Berlin",
        "last_run": None,
        "last_state": None,
        "last_success": None,
        "missed": 0,
        "overdue_since": None,
        "paused": None,
        "running": None,
    }
    assert next_run is not None
    assert result["last_called"] is None
    host.write()
    assert host.drtool("schedule", "list").lines == [{**result, "last_called": None}]
