"""``drtool notify``, from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Ended
from tests.monitoring.targets import providers
from tests.monitoring.targets.providers import Reply
from tests.monitoring.targets.receiver import Receiver, receiving
from tests.operations.site import drtool
from tests.operations.unattended.alarming import FAILED, Host


@pytest.fixture
def ops() -> Iterator[Receiver]:
    with receiving(providers.alertmanager) as receiver:
        yield receiver


@pytest.fixture
def host(tmp_path: Path, ops: Receiver) -> Host:
    return Host(tmp_path, [{"type": "webhook", "name": "ops", "url": ops.url()}])


def _notify(host: Host, *arguments: str) -> Ended:
    return drtool("--config", str(host.config.path), "notify", *arguments, cwd=host.directory)


def test_a_test_message(host: Host, ops: Receiver) -> None:
    ended = _notify(host, "test")
    assert (ended.code, ended.out) == (0, "✓ ops: delivered\n")
    (alert,) = ops.accepted[0].json["alerts"]
    assert alert["annotations"]["kind"] == "test"
    assert alert["annotations"]["summary"] == "drtool can reach you here"


def test_each_target_says_what_became_of_it(host: Host, ops: Receiver) -> None:
    with receiving(lambda _request: Reply(404, b"no_service")) as gone:
        host.notify = [*host.notify, {"type": "slack", "url": gone.url()}]
        ended = _notify(host, "test", "--json")
        lines = {line["target"]: line for line in ended.lines[:-1]}
        assert ended.code == 1
        assert lines["ops"]["ok"] is True
        assert lines["slack"] | {"message": "127.0.0.1 answered 404: no_service", "ok": False} == lines["slack"]
        assert ended.lines[-1]["error"]["kind"] == "notification"
        assert "1 of 2 notification targets did not take the test: slack" in ended.lines[-1]["error"]["message"]
        assert "secretsecret" not in ended.out + ended.err
        assert _notify(host, "test", "ops").code == 0


def test_there_must_be_a_target(host: Host) -> None:
    assert "there is no notification target 'op'" in _notify(host, "test", "op").err
    host.notify = []
    ended = _notify(host, "test")
    assert ended.code == 2
    assert "no notification target is configured" in ended.err


def test_alerts_are_listed_and_acknowledged(host: Host, ops: Receiver) -> None:
    ended = _notify(host, "list")
    assert (ended.code, ended.out) == (0, "✓ no alert is open\nops: nothing was delivered yet\n")
    host.run(FAILED)
    host.tell()
    ended = _notify(host, "list", "--json")
    alert, target, result = ended.lines
    assert (alert["type"], alert["alert"], alert["severity"]) == ("alert", "failed/backup/nightly", "critical")
    assert (alert["job"], alert["run"], alert["acknowledged"]) == ("nightly", "run0", "")
    assert (target["type"], target["target"], target["ok"], target["failures"]) == ("target", "ops", True, 0)
    assert result["alerts"] == 1
    ended = _notify(host, "acknowledge", "failed/backup/nightly", "--who", "alice")
    assert ended.code == 0, ended.err
    assert "alice sees to it: Backup of nightly failed" in ended.out
    assert "alice" in _notify(host, "list").out
    kinds = [alert["annotations"]["kind"] for request in ops.requests for alert in request.json["alerts"]]
    assert "acknowledged" in kinds


def test_only_what_is_open_can_be_acknowledged(host: Host) -> None:
    ended = _notify(host, "acknowledge", "failed/backup/nightly")
    assert ended.code == 2
    assert "no alert 'failed/backup/nightly' is open" in ended.err
