"""What doctor says of schedules, of whoever calls them, and of the people who are to hear of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drtool.config.loading import load_config
from drtool.operations.doctor.findings import Finding, Verdict
from drtool.operations.doctor.unattended import examine_unattended
from drtool.operations.unattended.attending.records import ledger_of
from drtool.scheduling.entries import entries_of
from drtool.scheduling.ledger import Outcome, RunState
from drtool.scheduling.standings import acquaint, tick
from tests.monitoring.targets.providers import Reply, Request
from tests.monitoring.targets.receiver import Receiver, receiving
from tests.operations.unattended.attended_host import AttendedHost

_NOW = datetime(2026, 8, 3, 12, 0, tzinfo=UTC)


@pytest.fixture
def host(tmp_path: Path) -> AttendedHost:
    return AttendedHost(tmp_path).set_up()


def _answering(request: Request) -> Reply:
    return Reply(404)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(_answering) as one:
        yield one


def _found(host: AttendedHost, now: datetime = _NOW) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine_unattended(load_config(host.file), lambda: now)}


def _schedule(host: AttendedHost, **more: Any) -> None:
    host.write({"schedule": "0 2 * * *", "timezone": "UTC", "retention": "standard", **more})


def test_a_job_that_nothing_repeats(host: AttendedHost) -> None:
    found = [one for one in examine_unattended(load_config(host.file)) if one.check == "job nightly"]
    assert [one.verdict for one in found] == [Verdict.WARNING] * 2
    assert "jobs.nightly.schedule" in found[0].hint
    assert "jobs.nightly.retention" in found[1].hint
    host.write(schedules={"all": {"task": "backup", "schedule": "@daily"}})
    assert "has no retention" in _found(host)["job nightly"].message, "but a schedule"


def test_a_schedule_that_nothing_calls(host: AttendedHost) -> None:
    _schedule(host)
    found = _found(host)["schedule"]
    assert (found.verdict, "drtool schedule install" in found.hint) == (Verdict.WARNING, True)


@pytest.mark.parametrize(("ago", "verdict"), [(1, Verdict.OK), (200, Verdict.FAILED)])
def test_when_it_was_called_last(host: AttendedHost, ago: int, verdict: Verdict) -> None:
    _schedule(host)
    with ledger_of(load_config(host.file)) as ledger:
        tick(ledger, _NOW - timedelta(minutes=ago))
    assert _found(host)["schedule"].verdict is verdict


def test_how_its_runs_stand(host: AttendedHost) -> None:
    _schedule(host)
    config = load_config(host.file)
    began = _NOW - timedelta(days=5)
    with ledger_of(config, lambda: began) as ledger:
        acquaint(ledger, entries_of(config), began)
        assert _found(host, began)["runs of nightly"].message.startswith("none so far")
        missed = _found(host)["runs of nightly"]
        assert (missed.verdict, missed.message) == (Verdict.FAILED, "missed 5 of its turns")
    with ledger_of(config, lambda: _NOW - timedelta(hours=1)) as ledger:
        ledger.begin("one", "backup", job="nightly", entry="nightly")
        ledger.end("one", Outcome(RunState.FAILED, 1, "unreachable", "the server does not answer", "Is it running?"))
        failed = _found(host)["runs of nightly"]
        assert (failed.verdict, failed.hint) == (Verdict.FAILED, "Is it running?")
        assert "failed: the server does not answer; next at" in failed.message
        ledger.begin("two", "backup", job="nightly", entry="nightly")
        ledger.end("two", Outcome(RunState.OK, 0))
        assert _found(host)["runs of nightly"].verdict is Verdict.OK
        three = ledger.begin("three", "backup", job="nightly", entry="nightly")
        assert _found(host)["runs of nightly"].verdict is Verdict.OK
        ledger.release(three)
        dead = _found(host)["runs of nightly"]
        assert (dead.verdict, "its process is gone" in dead.message) == (Verdict.FAILED, True)
        ledger.pause("nightly", None, "alice", "")
        assert _found(host)["runs of nightly"].hint == "drtool schedule resume nightly"


def test_nobody_is_told(host: AttendedHost) -> None:
    assert _found(host)["notifications"].verdict is Verdict.WARNING


def test_who_is_told_is_asked_without_a_message_and_without_the_secret(host: AttendedHost, receiver: Receiver) -> None:
    with socket.socket() as deaf:  # the port is taken, and nobody listens
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        host.write(
            {"ping": {"url": receiver.url("/ping/secret")}},
            notify=[
                {"type": "slack", "url": receiver.url("/services/secret")},
                {"type": "webhook", "url": f"http://127.0.0.1:{port}/hook"},
                {"type": "command", "command": ["/nowhere/at/all"]},
                {"type": "email", "host": "127.0.0.1", "port": port, "from": "a@b.org", "to": ["c@b.org"]},
            ],
        )
        found = _found(host)
    assert found["notification slack"].verdict is found["ping of nightly"].verdict is Verdict.OK
    for label in ("webhook", "command", "email"):
        assert found[f"notification {label}"].verdict is Verdict.FAILED, label
    assert {request.path for request in receiver.requests} == {"/"}
    assert not any(request.body for request in receiver.requests)
    assert "notifications" not in found
