"""From a failed run to a message, and to the message that it is over."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from drtool.local.locks import held
from drtool.monitoring.alerting.messages import Message
from drtool.monitoring.alerting.store import FILE, open_alerts
from drtool.monitoring.conditions import Condition, Severity
from drtool.monitoring.targets.command import Command
from drtool.operations.unattended.alerting.alerts import acknowledge, alerts_directory, reached
from drtool.operations.unattended.alerting.telling import announce, tell
from tests.monitoring.targets import providers
from tests.monitoring.targets.providers import Reply
from tests.monitoring.targets.receiver import Receiver, receiving
from tests.operations.unattended.alarming import FAILED, START, Host

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture
def ops() -> Iterator[Receiver]:
    with receiving(providers.alertmanager) as receiver:
        yield receiver


@pytest.fixture
def host(tmp_path: Path, ops: Receiver) -> Host:
    return Host(tmp_path, [{"type": "webhook", "name": "ops", "url": ops.url()}])


def _told(receiver: Receiver) -> list[tuple[str, str]]:
    """Of every alert of every message: its key, and what was told of it."""
    return [
        (alert["labels"]["alert"], alert["annotations"]["kind"])
        for request in receiver.accepted
        for alert in request.json["alerts"]
    ]


FAILURE = "failed/backup/nightly"


def test_a_failure_and_its_end(host: Host, ops: Receiver) -> None:
    host.run()
    host.tell()
    assert _told(ops) == []
    host.at += DAY
    host.run(FAILED)
    host.tell()
    assert _told(ops) == [(FAILURE, "open")]
    (alert,) = ops.requests[0].json["alerts"]
    assert alert["annotations"]["summary"] == "Backup of nightly failed: app: the server does not answer"
    assert alert["annotations"]["description"].startswith("Is it running?")
    assert alert["annotations"]["run"] == "run1"
    assert alert["labels"] == {
        "alertname": "drtool_failed",
        "alert": FAILURE,
        "instance": socket.gethostname(),
        "severity": "critical",
        "job": "nightly",
    }
    host.run()
    host.minutes(30, 10)
    assert _told(ops) == [(FAILURE, "open"), (FAILURE, "recovered")]
    assert host.reporter.warnings == []


def test_an_hour_of_failure(host: Host, ops: Receiver) -> None:
    host.run(FAILED)
    host.minutes(60, 5)
    # After 5 minutes, and 5, 15 and 35 minutes later.
    assert _told(ops) == [(FAILURE, "open")] + 3 * [(FAILURE, "still open")]


def test_a_failure_an_hour_after_the_last_one_was_mended(host: Host, ops: Receiver) -> None:
    def kinds() -> list[str]:
        return [kind for key, kind in _told(ops) if key == FAILURE]

    host.run(FAILED)
    host.minutes(300, 5)
    host.run()
    host.minutes(60, 5)
    before = kinds()
    assert before[-1] == "recovered"
    host.run(FAILED)
    host.minutes(15, 5)
    assert kinds()[len(before) :] == ["open", "still open"], "nothing of the long cooldown before"


def test_deliveries_are_tried_again_until_they_succeed(host: Host, ops: Receiver) -> None:
    host.run(FAILED)
    ops.answers = [Reply(500), Reply(429, headers=(("Retry-After", "300"),))]
    assert host.tell().failed == {"ops": "127.0.0.1 answered 500"}
    host.minutes(1)
    assert len(ops.requests) == 2
    host.minutes(4)
    assert len(ops.requests) == 2  # it asked to wait
    host.minutes(1)
    assert [kind for _, kind in _told(ops)][2:] == ["open"]
    assert len(host.reporter.warnings) == 2


def test_what_was_over_before_it_could_be_told_is_not_told(host: Host, ops: Receiver) -> None:
    host.run(FAILED)
    ops.answers = [Reply(503)]
    host.tell()
    host.run()
    host.minutes(10, 5)
    assert len(ops.requests) == 1


def test_escalation_and_acknowledgement(host: Host, ops: Receiver) -> None:
    with receiving(providers.alertmanager) as boss:
        host.notify = [*host.notify, {"type": "webhook", "name": "boss", "url": boss.url(), "after": "30m"}]
        host.run(FAILED)
        host.minutes(1)
        host.minutes(28, 14)
        assert _told(boss) == []
        host.minutes(2)
        assert _told(boss) == [(FAILURE, "open")]
        acknowledge(host.config, FAILURE, "alice")
        host.minutes(60, 15)
        assert _told(boss)[1:] == [(FAILURE, "acknowledged")]
        assert _told(ops)[-1] == (FAILURE, "acknowledged")
        assert "alice" in ops.requests[-1].json["alerts"][0]["annotations"]["description"]
        host.run()
        host.tell()
        assert _told(boss)[-1] == _told(ops)[-1] == (FAILURE, "recovered")


def test_one_that_hangs_holds_up_nobody(host: Host, ops: Receiver) -> None:
    slow = {"type": "command", "name": "slow", "command": ["/bin/sleep", "60"], "timeout": "300ms"}
    host.notify = [slow, *host.notify]
    host.run(FAILED)
    told = host.tell()
    assert told.failed == {"slow": "/bin/sleep did not end within 0.3 s"}
    assert told.delivered == {"ops": 1}
    assert host.tell().failed == {}  # not yet again
    host.at += MINUTE
    assert host.tell().failed


def test_a_target_that_cannot_be_reached_is_told_elsewhere(host: Host, ops: Receiver) -> None:
    with receiving(lambda _request: Reply(404, b"no_service")) as gone:
        host.notify = [*host.notify, {"type": "slack", "url": gone.url()}]
        host.run(FAILED)
        host.minutes(20, 4)
        mine = [kind for key, kind in _told(ops) if key == "notifications/slack"]
        assert mine == ["open"]
        gone.provider = providers.slack
        host.minutes(20, 10)
        mine = [kind for key, kind in _told(ops) if key == "notifications/slack"]
        assert mine == ["open", "recovered"]
    assert "secretsecret" not in "".join(host.reporter.warnings)


def test_many_at_once_are_one_message(host: Host, ops: Receiver) -> None:
    host.jobs = {f"job{number}": {} for number in range(110)}
    with receiving(providers.slack) as slack, receiving(providers.pagerduty) as pager:
        host.notify = [
            *host.notify,
            {"type": "slack", "url": slack.url()},
            {"type": "pagerduty", "url": pager.url(), "routing_key": "a" * 32},
        ]
        with host.ledger() as ledger:
            for job in host.jobs:
                ledger.begin(job, "backup", job=job, entry=job)
                ledger.end(job, FAILED)
        host.tell()
        assert len(ops.accepted) == len(slack.accepted) == 1
        assert ops.requests[0].json["truncatedAlerts"] == 10
        assert "and 100 more" in slack.requests[0].json["blocks"][-1]["elements"][0]["text"]
        assert len(pager.accepted) == 20
        host.minutes(4)
        assert len(slack.accepted) == 1
        assert len(pager.accepted) == 100


def test_no_secret_gets_into_a_message(host: Host, ops: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_PASSWORD", "hunter2hunter2")
    host.more = {"sources": {"app": {"type": "mongodb", "uri": "mongodb://me:${APP_PASSWORD}@127.0.0.1:1"}}}
    host.tell(Condition("x/1", Severity.CRITICAL, "no hunter2hunter2 here", "nor hunter2hunter2", START))
    assert b"hunter2" not in ops.requests[0].body
    assert b"no *** here" in ops.requests[0].body


def test_an_event_is_told_once(host: Host, ops: Receiver) -> None:
    event = Condition("event/playbook/run1", Severity.WARNING, "The playbook mongo-rollback ended", "", START)
    ops.answers = [Reply(500)]
    announce(host.config, event, host.reporter, host.clock)
    host.minutes(30, 10)
    assert _told(ops)[1:] == [("event/playbook/run1", "event")]
    announce(host.config, Condition("event/2", Severity.INFO, "A drill began", "", START), host.reporter, host.clock)
    assert len(ops.requests) == 2


def test_another_process_that_tells_finds_what_this_one_left(host: Host, ops: Receiver) -> None:
    directory = alerts_directory(host.config)
    host.tell()
    host.run(FAILED)
    with held(directory / "locks" / "tell.lock", "alerts are being told", ""):
        assert host.tell().left
        assert (directory / "tell.again").exists()
    assert ops.requests == []
    # Whoever had the lock looks for the mark when it is done, which is this:
    assert host.tell().delivered == {"ops": 1}
    assert not (directory / "tell.again").exists()


def test_a_clock_set_back_silences_nothing(host: Host, ops: Receiver) -> None:
    host.run(FAILED)
    host.tell()
    host.at -= 30 * DAY
    host.minutes(10, 5)
    mine = [kind for key, kind in _told(ops) if key == FAILURE]
    assert mine.count("still open") >= 1
    assert ("clock", "open") in _told(ops)


def test_what_is_critical_is_told_without_state(host: Host, ops: Receiver, tmp_path: Path) -> None:
    host.run(FAILED)
    directory = alerts_directory(host.config)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / FILE).mkdir()  # which no database can be opened in
    host.minutes(28, 4)
    assert _told(ops) == [("state", "open")]
    host.minutes(30, 6)
    assert _told(ops) == 2 * [("state", "open")]
    assert all("alerts cannot be kept" in warning for warning in host.reporter.warnings)
    # What the ledger could not be told of is told each time: it happened just now.
    host.tell(Condition("failed/backup/weekly", Severity.CRITICAL, "Backup of weekly failed", "", host.at))
    assert _told(ops)[2:] == [("state", "open"), ("failed/backup/weekly", "open")]
    (directory / FILE).rmdir()
    host.minutes(3)
    assert _told(ops)[4:] == [(FAILURE, "open"), ("state", "recovered")]


def test_what_nobody_took_without_state_is_told_by_the_next_call(host: Host, ops: Receiver) -> None:
    directory = alerts_directory(host.config)
    directory.mkdir(parents=True)
    (directory / FILE).mkdir()
    ops.answers = [Reply(500)]
    host.minutes(3)
    assert len(ops.requests) == 2
    assert ("state", "open") in _told(ops)


def test_a_target_that_took_a_test_is_not_told_to_fail(host: Host, ops: Receiver) -> None:
    with receiving(providers.alertmanager) as other:
        host.notify = [*host.notify, {"type": "webhook", "name": "other", "url": other.url()}]
        other.answers = [Reply(500)] * 9
        host.run(FAILED)
        host.minutes(30, 5)
        host.run()  # so that nothing waits for it, and nothing is tried
        host.minutes(20, 10)
        assert ("notifications/other", "open") in _told(ops)
        assert ("notifications/other", "recovered") not in _told(ops)
        reached(host.config, "other", host.clock)
        host.tell()
        assert _told(ops)[-1] == ("notifications/other", "recovered")


def test_what_a_library_makes_of_one_target_does_not_tell_the_others_twice(
    host: Host, ops: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.notify = [*host.notify, {"type": "command", "command": ["true"]}]

    def broken(_self: Command, _message: Message) -> str:
        raise UnicodeEncodeError("ascii", "ü", 0, 1, "a bug")

    monkeypatch.setattr(Command, "deliver", broken)
    host.run(FAILED)
    host.tell()
    host.minutes(2)
    assert _told(ops) == [(FAILURE, "open")]
    assert host.reporter.warnings[0] == "notification target command: cannot be told: UnicodeEncodeError"


def test_a_state_directory_that_is_none(
    host: Host, ops: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "state").write_text("a file")
    host.tell()
    host.at += MINUTE
    host.tell()
    assert _told(ops) == [("state", "open")]
    (tmp_path / "state").unlink()
    host.minutes(3)
    assert _told(ops) == [("state", "open"), ("state", "recovered")]


def test_nobody_to_tell_is_no_error(host: Host) -> None:
    host.notify = []
    host.run(FAILED)
    assert tell(host.config, host.reporter, host.clock).delivered == {}
    assert [alert.condition.key for alert in open_alerts(alerts_directory(host.config))] == [FAILURE]
