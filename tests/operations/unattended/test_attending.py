"""A run and what goes with it: record, lock, hooks, pings; whatever becomes of it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drtool.config.masking import MASKER
from drtool.errors import (
    DrtoolError,
    HookError,
    InterruptedRunError,
    LockedError,
    PartialError,
    SkippedError,
    UnreachableError,
)
from drtool.local.locks import held
from drtool.operations.reporting import Silent
from drtool.operations.unattended.attending.attending import attended, end_dead, ledger_of
from drtool.operations.unattended.attending.records import fresh
from drtool.operations.unattended.attending.turn import Turn
from drtool.scheduling.ledger import Outcome, RunState, unattended_directory
from tests.monitoring.checks import Check, checking
from tests.operations.unattended.attended_host import AttendedHost, python

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    MASKER.start_over({})
    yield
    MASKER.start_over({})


@pytest.fixture
def host(tmp_path: Path) -> AttendedHost:
    return AttendedHost(tmp_path).set_up()


@pytest.fixture
def check() -> Iterator[Check]:
    with checking() as found:
        yield found


def hooks(host: AttendedHost) -> dict[str, Any]:
    """One hook of each kind, which writes down its environment."""
    return {name: [host.noting("noted")] for name in ("before", "after", "on_error")}


def noted(host: AttendedHost) -> list[dict[str, str]]:
    """What the hooks found, in order."""
    path = host.directory / "noted"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(host: AttendedHost, do: Callable[[], None] = lambda: None, **settings: Any) -> Silent:
    """A run of the job, by hand, within which `do` is called; what was remarked."""
    reporter = Silent()
    with attended(host.config, "backup", reporter, job="nightly", environment={"PATH": os.environ["PATH"]}, **settings):
        do()
    return reporter


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_run_that_succeeds(host: AttendedHost, check: Check) -> None:
    host.write({"hooks": hooks(host), "ping": {"url": f"{check.url}/secret"}})
    with attended(host.config, "backup", Silent(), job="nightly", run_id="the-id", environment={}) as ours:
        assert host.runs()[0].state is RunState.RUNNING
        assert check.paths == ["/secret/start"]
        ours.figures["snapshot"] = "s1"
    [record] = host.runs()
    assert (record.id, record.task, record.job, record.entry) == ("the-id", "backup", "nightly", "nightly")
    assert (record.state, record.exit_code, record.slot) == (RunState.OK, 0, None)
    assert record.figures["snapshot"] == "s1"
    assert [(one["hook"], one["exit_code"]) for one in record.figures["hooks"]] == [("before", 0), ("after", 0)]
    assert check.paths == ["/secret/start", "/secret"]
    common = {
        "DRTOOL_RUN_ID": "the-id",
        "DRTOOL_TASK": "backup",
        "DRTOOL_JOB": "nightly",
        "DRTOOL_SCHEDULE": "nightly",
        "DRTOOL_CONFIG": str(host.file),
    }
    assert noted(host) == [
        {**common, "DRTOOL_HOOK": "before"},
        {**common, "DRTOOL_HOOK": "after", "DRTOOL_SNAPSHOT": "s1", "DRTOOL_STATE": "ok", "DRTOOL_EXIT_CODE": "0"},
    ]


def test_a_run_that_fails(host: AttendedHost, check: Check) -> None:
    host.write({"hooks": hooks(host), "ping": {"url": f"{check.url}/secret"}})
    with pytest.raises(UnreachableError):
        run(host, failing(UnreachableError("db does not answer", hint="Start it.")))
    [record] = host.runs()
    assert (record.state, record.exit_code, record.kind) == (RunState.FAILED, 1, "unreachable")
    assert (record.message, record.hint) == ("db does not answer", "Start it.")
    assert check.paths == ["/secret/start", "/secret/1"]
    assert {body for _, _, body in check.pings} == {b""}
    before, on_error = noted(host)
    assert (before["DRTOOL_HOOK"], on_error["DRTOOL_HOOK"]) == ("before", "on_error")
    assert on_error["DRTOOL_STATE"] == "failed"
    assert on_error["DRTOOL_EXIT_CODE"] == "1"
    assert (on_error["DRTOOL_ERROR_KIND"], on_error["DRTOOL_ERROR"]) == ("unreachable", "db does not answer")


def test_text_goes_with_a_ping_where_that_is_wanted_and_no_secret_with_it(host: AttendedHost, check: Check) -> None:
    MASKER.add("hunter22")
    host.write({"ping": {"url": f"{check.url}/x", "log": True}})
    with pytest.raises(UnreachableError):
        run(host, failing(UnreachableError("no hunter22 here", hint="Start it.")))
    assert check.pings[-1][2] == b"no *** here\nStart it."
    assert host.runs()[0].message == "no *** here"


@pytest.mark.parametrize(
    ("error", "state", "exit_code", "kind"),
    [
        (PartialError("half of it"), RunState.PARTIAL, 3, "partial"),
        (KeyboardInterrupt("SIGTERM"), RunState.STOPPED, 130, "interrupted-run"),
        (KeyError("a bug"), RunState.FAILED, 1, "internal"),
        (InterruptedRunError("stopped"), RunState.STOPPED, 130, "interrupted-run"),
    ],
)
def test_other_ends(
    host: AttendedHost, check: Check, error: BaseException, state: RunState, exit_code: int, kind: str
) -> None:
    host.write({"hooks": hooks(host), "ping": {"url": f"{check.url}/x"}})
    with pytest.raises(type(error)):
        run(host, failing(error))
    [record] = host.runs()
    assert (record.state, record.exit_code, record.kind) == (state, exit_code, kind)
    assert check.paths == ["/x/start", f"/x/{exit_code}"]
    assert [one["DRTOOL_HOOK"] for one in noted(host)] == ["before", "on_error"]


def test_a_hook_keeps_it_from_starting(host: AttendedHost, check: Check) -> None:
    host.write({"hooks": {**hooks(host), "before": [python("exit(4)")]}, "ping": {"url": f"{check.url}/x"}})
    with pytest.raises(HookError):
        run(host, lambda: pytest.fail("it was started"))
    [record] = host.runs()
    assert (record.state, record.kind, record.exit_code) == (RunState.FAILED, "hook", 1)
    assert check.paths == ["/x/1"]
    assert [one["DRTOOL_HOOK"] for one in noted(host)] == ["on_error"]


def test_a_hook_skips_it_softly(host: AttendedHost, check: Check) -> None:
    host.write({"hooks": {**hooks(host), "before": [python("exit(75)")]}, "ping": {"url": f"{check.url}/x"}})
    with pytest.raises(SkippedError):
        run(host, lambda: pytest.fail("it was started"))
    [record] = host.runs()
    assert (record.state, record.exit_code) == (RunState.SKIPPED, 75)
    assert check.paths == []
    assert noted(host) == []


def test_a_hook_that_fails_afterwards_leaves_a_run_in_part(host: AttendedHost, check: Check) -> None:
    host.write({"hooks": {**hooks(host), "after": [python("exit(4)")]}, "ping": {"url": f"{check.url}/x"}})
    with pytest.raises(PartialError, match=r"backup nightly is done, but hook after: .* exited with 4"):
        run(host)
    assert host.runs()[0].state is RunState.PARTIAL
    assert check.paths == ["/x/start", "/x/3"]
    assert [one["DRTOOL_HOOK"] for one in noted(host)] == ["before", "on_error"]


def test_all_hooks_on_an_error_are_run(host: AttendedHost) -> None:
    host.write({"hooks": {"on_error": [python("exit(1)"), host.noting("noted")]}})
    reporter = Silent()
    with (
        pytest.raises(UnreachableError),
        attended(host.config, "backup", reporter, job="nightly", environment={}),
    ):
        raise UnreachableError("db does not answer")
    assert len(noted(host)) == 1
    assert any("hook on_error" in warning for warning in reporter.warnings)


def test_a_ping_that_fails_is_a_warning(host: AttendedHost, check: Check) -> None:
    check.answers = [404, 404]
    host.write({"ping": {"url": f"{check.url}/secret"}})
    warnings = run(host).warnings
    assert warnings == ["the ping to 127.0.0.1 failed: it answered 404"] * 2
    assert host.runs()[0].state is RunState.OK


def test_the_second_of_two_at_once_is_put_off(host: AttendedHost, check: Check) -> None:
    host.write({"hooks": hooks(host), "ping": {"url": f"{check.url}/x"}})

    def second() -> None:
        with pytest.raises(LockedError, match="backup nightly is being done by another process"):
            run(host, lambda: pytest.fail("it was started"))

    run(host, second)
    assert [(record.state, record.exit_code) for record in host.runs()] == [
        (RunState.OK, 0),
        (RunState.SKIPPED, 11),
    ]
    assert check.paths == ["/x/start", "/x"]
    run(host)


def test_what_people_call_beside_each_other(host: AttendedHost) -> None:
    config = host.config
    with attended(config, "verify", Silent(), environment={}), attended(config, "verify", Silent(), environment={}):
        pass
    assert [record.state for record in host.runs()] == [RunState.OK] * 2
    locks = unattended_directory(config.repository.state_dir, config.repository.url) / "locks"
    assert [path.name for path in locks.glob("verify*")] == []


def test_a_schedule_has_its_turn(host: AttendedHost, check: Check) -> None:
    weekly = {"task": "verify", "schedule": "@weekly", "level": "intact", "ping": {"url": f"{check.url}/weekly"}}
    host.write(schedules={"weekly": {**weekly, "hooks": hooks(host)}})
    environment = {"DRTOOL_RUN_ID": "r1", "DRTOOL_SCHEDULE": "weekly", "DRTOOL_SLOT": "2026-11-22T03:00:00+01:00"}
    with ledger_of(host.config, lambda: NOW - timedelta(minutes=1)) as ledger:
        ledger.begin("r1", "verify", entry="weekly", slot=NOW)
        with attended(host.config, "verify", Silent(), environment=environment):
            pass
    [record] = host.runs()
    assert (record.id, record.entry, record.slot, record.state) == ("r1", "weekly", NOW, RunState.OK)
    assert record.started == NOW - timedelta(minutes=1)
    assert check.paths == ["/weekly/start", "/weekly"]
    assert [(one["DRTOOL_SCHEDULE"], "DRTOOL_JOB" in one) for one in noted(host)] == [("weekly", False)] * 2


def test_what_a_hook_calls_is_a_run_of_its_own(host: AttendedHost) -> None:
    environment = {"DRTOOL_RUN_ID": "r1", "DRTOOL_SCHEDULE": "weekly", "DRTOOL_HOOK": "after"}
    assert Turn.of(environment) == Turn()
    with attended(host.config, "verify", Silent(), environment=environment) as ours:
        assert ours.id != "r1"


def test_its_time_was_over(host: AttendedHost) -> None:
    host.write({"max_duration": "1h"})
    times = iter([NOW, NOW])
    with pytest.raises(KeyboardInterrupt):
        run(host, failing(KeyboardInterrupt("SIGTERM")), clock=lambda: next(times, NOW + timedelta(hours=1)))
    [record] = host.runs()
    assert (record.state, record.kind) == (RunState.STOPPED, "time-limit")


def test_one_that_died_is_ended_by_others(host: AttendedHost, check: Check) -> None:
    host.write({"hooks": hooks(host), "ping": {"url": f"{check.url}/x"}})
    lost = Outcome(RunState.LOST, 1, "lost", "its process is gone")
    with ledger_of(host.config) as ledger:
        record = ledger.begin("r1", "backup", job="nightly", entry="nightly")
    for _ in range(2):
        end_dead(host.config, record, lost, Silent(), environment={})
    assert [(one.state, one.message) for one in host.runs()] == [(RunState.LOST, "its process is gone")]
    assert check.paths == ["/x/1"], "told once"
    assert [one["DRTOOL_STATE"] for one in noted(host)] == ["lost"]


@pytest.mark.parametrize("damage", ["newer", "broken", "unwritable"])
def test_a_backup_matters_more_than_its_record(host: AttendedHost, check: Check, damage: str) -> None:
    host.write({"hooks": hooks(host), "ping": {"url": f"{check.url}/x"}})
    run(host)
    check.pings.clear()
    config = host.config
    directory = unattended_directory(config.repository.state_dir, config.repository.url)
    file = directory / "runs.sqlite"
    if damage == "newer":
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
    elif damage == "broken":
        for path in directory.glob("runs.sqlite*"):
            path.write_bytes(b"no database at all" * 1000)
    else:
        for path in sorted(directory.rglob("*"), reverse=True):
            path.unlink() if not path.is_dir() else path.rmdir()
        directory.rmdir()
        directory.write_text("a file in its place")
    done = []
    reporter = run(host, lambda: done.append(1))
    assert done == [1]
    assert any("leaves no record" in warning for warning in reporter.warnings)
    assert check.paths == ["/x/start", "/x"]
    with pytest.raises(UnreachableError):
        run(host, failing(UnreachableError("db does not answer")))
    assert check.paths[-1] == "/x/1"


def test_a_lock_outlives_nobody(host: AttendedHost) -> None:
    """A process that is killed leaves its record, and no lock."""
    config = host.config
    with ledger_of(config) as ledger:
        path = ledger.lock_of_run(fresh("x", "backup", "nightly", "nightly", None, NOW))
    code = f"""
import os, signal
from drtool.config.loading import load_config
from drtool.operations.reporting import Silent
from drtool.operations.unattended.attending.attending import attended
from pathlib import Path
with attended(load_config(Path({str(host.file)!r})), "backup", Silent(), job="nightly"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert [record.state for record in host.runs()] == [RunState.RUNNING]
    with held(path, "", ""):
        pass
    run(host)
    assert [record.state for record in host.runs()] == [RunState.RUNNING, RunState.OK]


def test_nothing_secret_is_on_record(host: AttendedHost) -> None:
    MASKER.add("hunter22")
    host.write({"hooks": {"before": [python("print('hunter22')")], "on_error": [python("print('hunter22')")]}})
    with (
        pytest.raises(DrtoolError),
        attended(host.config, "backup", Silent(), job="nightly", environment={}) as ours,
    ):
        ours.figures["odd"] = {"hunter22": ["hunter22"]}
        raise DrtoolError("hunter22", hint="hunter22")
    with ledger_of(host.config) as ledger:
        directory = ledger.directory
    assert not any(b"hunter22" in path.read_bytes() for path in directory.rglob("*") if path.is_file())
    assert [one["output"] for one in host.runs()[0].figures["hooks"]] == ["***", "***"]


def test_a_password_of_digits_does_not_spoil_what_is_read_again(host: AttendedHost) -> None:
    MASKER.add("2026")
    instant = "2026-08-03T00:00:00+00:00"
    with attended(host.config, "backup", Silent(), job="nightly", environment={}) as ours:
        ours.figures |= {"instant": instant, "snapshot": "20260803T000000Z-aaaa", "note": "2026"}
    assert host.runs()[0].figures == {"instant": instant, "snapshot": "20260803T000000Z-aaaa", "note": "***"}


def test_the_files_are_this_user_s(host: AttendedHost) -> None:
    run(host)
    config = host.config
    directory: Path = unattended_directory(config.repository.state_dir, config.repository.url)
    assert {path.stat().st_mode & 0o077 for path in directory.rglob("*.sqlite")} == {0}
