"""The commands that repeat: each leaves a record with its figures, and what does not count leaves none."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from drtool.scheduling.ledger import RunState
from tests.cli.running import command, environment
from tests.monitoring.checks import checking
from tests.operations.unattended.attended_host import AttendedHost, python


@pytest.fixture
def host(tmp_path: Path) -> AttendedHost:
    return AttendedHost(tmp_path).set_up()


def logged(host: AttendedHost) -> list[dict[str, Any]]:
    """The lines of the log."""
    return [json.loads(line) for line in (host.directory / "drtool.log").read_text().splitlines()]


def test_each_leaves_a_record_and_its_lines(host: AttendedHost) -> None:
    host.write({"retention": {"last": 1}}, log={"file": "drtool.log"})
    backup = host.drtool("backup")
    assert backup.code == 0, backup.err
    for arguments in (["verify", "--level", "intact"], ["retention", "apply", "nightly"], ["prune"]):
        ended = host.drtool(*arguments)
        assert ended.code == 0, ended.err

    runs = host.runs()

    assert [(run.task, run.job, run.entry, run.state) for run in runs] == [
        ("backup", "nightly", "nightly", RunState.OK),
        ("verify", "", "", RunState.OK),
        ("retention apply", "nightly", "", RunState.OK),
        ("prune", "", "", RunState.OK),
    ]
    figures = [run.figures for run in runs]
    line = backup.lines[0]
    assert figures[0]["snapshot"] == line["snapshot"]
    assert (figures[0]["records"], figures[0]["stored_bytes"]) == (line["records"], line["bytes"]["stored"])
    assert (figures[0]["consistency"], figures[0]["incremental"]) == (line["consistency"], line["incremental"])
    assert (figures[1]["level"], figures[1]["verified"], figures[1]["failed"]) == ("intact", 1, [])
    assert figures[1]["bytes"] > 0
    assert figures[2]["removed"] == 0
    assert "freed_bytes" in figures[3]
    lines = logged(host)
    for run in runs:
        own = [line for line in lines if line["run"] == run.id]
        assert [line["message"].split(" ended")[0] for line in own if " begins" in line["message"]] == [
            f"{run.task} begins"
        ]
        assert own[-1]["message"].startswith(f"{run.task} ended with exit code 0 after ")
        assert own[-1]["exit_code"] == 0


def test_what_is_no_run_leaves_no_record(host: AttendedHost) -> None:
    for arguments in (["backup", "--dry-run"], ["backup", "--help"], ["backup", "nosuch"], ["prune", "--dry-run"]):
        host.drtool(*arguments)
    host.drtool("verify", "--sample", "200%")
    host.drtool("copy")
    assert host.runs() == []


def test_a_failure_is_on_record_and_in_the_log(host: AttendedHost) -> None:
    host.write(log={"file": "drtool.log"})
    (host.directory / "agent.key").unlink()
    assert host.drtool("backup").code == 12
    [run] = host.runs()
    assert (run.state, run.exit_code, run.kind) == (RunState.FAILED, 12, "key-file")
    [line] = [line for line in logged(host) if line["level"] == "error"]
    assert (line["kind"], line["message"], line["run"]) == ("key-file", run.message, run.id)


def test_jobs_are_runs_of_their_own(host: AttendedHost) -> None:
    host.write(jobs={"other": {"sources": ["gone"]}}, sources={"gone": {"type": "files", "paths": ["none"]}})
    assert host.drtool("backup").code == 3
    assert [(run.job, run.state) for run in host.runs()] == [("nightly", RunState.OK), ("other", RunState.FAILED)]
    assert len({run.id for run in host.runs()}) == 2


def test_one_that_is_skipped_is_no_failure_beside_others(host: AttendedHost) -> None:
    skipping = {"before": [python("exit(75)")]}
    host.write(jobs={"other": {"sources": ["code"], "hooks": skipping}})
    assert host.drtool("backup").code == 0
    assert host.drtool("backup", "other").code == 75
    host.write({"hooks": skipping}, jobs={"other": {"sources": ["code"], "hooks": skipping}})
    assert host.drtool("backup").code == 75
    assert {(run.job, run.state) for run in host.runs()} == {
        ("nightly", RunState.OK),
        ("nightly", RunState.SKIPPED),
        ("other", RunState.SKIPPED),
    }


def test_a_schedule_of_several_jobs_is_a_run_around_theirs(host: AttendedHost) -> None:
    with checking() as check:
        host.write(
            {"ping": {"url": f"{check.url}/nightly"}},
            jobs={"other": {"sources": ["code"]}},
            schedules={
                "both": {
                    "task": "backup",
                    "schedule": "@daily",
                    "jobs": ["nightly", "other"],
                    "ping": {"url": f"{check.url}/both"},
                }
            },
        )
        turn = {"DRTOOL_RUN_ID": "r1", "DRTOOL_SCHEDULE": "both", "DRTOOL_SLOT": "2026-11-22T00:00:00+00:00"}
        assert host.drtool("backup", "nightly", "other", env=turn).code == 0
        assert check.paths == ["/both/start", "/nightly/start", "/nightly", "/both"]
    runs = {(run.job, run.entry): run for run in host.runs()}
    assert runs.keys() == {("", "both"), ("nightly", "nightly"), ("other", "other")}
    assert (runs["", "both"].id, runs["", "both"].slot is not None) == ("r1", True)
    assert [run.slot for run in runs.values()].count(None) == 2


def test_a_signal_is_told_in_haste(host: AttendedHost) -> None:
    """A real process, stopped while a hook keeps it."""
    with checking() as check:
        waits = python("import sys, time; open(sys.argv[1], 'w').close(); time.sleep(600)")
        waits.append(str(host.directory / "up"))
        host.write(
            {"hooks": {"before": [waits], "on_error": [host.noting("noted")]}, "ping": {"url": f"{check.url}/x"}},
            log={"file": "drtool.log", "format": "text"},
        )
        process = subprocess.Popen(
            command("--config", str(host.file), "backup"),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            while not (host.directory / "up").exists():
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 130, err
        assert check.paths == ["/x/130"]
    [noted] = map(json.loads, (host.directory / "noted").read_text().splitlines())
    assert (noted["DRTOOL_STATE"], noted["DRTOOL_ERROR"]) == ("stopped", "stopped by SIGTERM")
    [run] = host.runs()
    assert (run.state, run.pid) == (RunState.STOPPED, process.pid)
    assert "stopped by SIGTERM" in (host.directory / "drtool.log").read_text()
