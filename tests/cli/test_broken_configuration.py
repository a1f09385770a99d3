"""What the commands say while the configuration is broken, and who hears of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import command, environment
from tests.monitoring.targets import providers
from tests.monitoring.targets.receiver import Receiver, receiving
from tests.operations.unattended.attended_host import AttendedHost

ALERT = "configuration"


@pytest.fixture
def ops() -> Iterator[Receiver]:
    with receiving(providers.alertmanager) as receiver:
        yield receiver


@pytest.fixture
def host(tmp_path: Path, ops: Receiver) -> AttendedHost:
    """One whose configuration was used once, and that somebody then broke."""
    made = _sound(AttendedHost(tmp_path).set_up(), ops)
    assert made.drtool("schedule", "run").code == 0
    made.file.write_text(made.file.read_text().replace("schedule:", "scedule:"))
    return made


def _sound(host: AttendedHost, ops: Receiver) -> AttendedHost:
    return host.write({"schedule": "@yearly"}, notify=[{"type": "webhook", "name": "ops", "url": ops.url()}])


def _told(receiver: Receiver) -> list[tuple[str, str]]:
    return [
        (alert["labels"]["alert"], alert["annotations"]["kind"])
        for request in receiver.accepted
        for alert in request.json["alerts"]
    ]


def test_from_the_first_message_to_the_last(host: AttendedHost, ops: Receiver) -> None:
    plain = host.drtool("status")
    assert (plain.code, plain.result["error"]["hint"]) == (2, ""), "schedule run has not met it yet"
    ended = host.drtool("schedule", "run")
    assert (ended.code, ended.result["error"]["kind"]) == (2, "config")
    assert ended.result["error"]["message"] == plain.result["error"]["message"]
    assert _told(ops) == [(ALERT, "open")]

    for words in (("status",), ("doctor",), ("schedule", "run")):
        found = host.drtool(*words)
        assert found.code == 2
        assert f"has not been able to use {host.file} since " in found.result["error"]["hint"]
    assert host.drtool("status", "--nagios").code == 3
    assert _told(ops) == [(ALERT, "open")], "the cooldown is not over"

    alerts = host.drtool("notify", "list")
    assert "this goes by the last one that could be" in alerts.err
    (listed, target, _) = alerts.lines
    assert (listed["alert"], listed["severity"], target["ok"]) == (ALERT, "critical", True)
    assert host.drtool("notify", "acknowledge", ALERT, "--who", "alice").code == 0
    assert _told(ops)[1:] == [(ALERT, "acknowledged")]

    _sound(host, ops)
    assert host.drtool("schedule", "run").code == 0
    assert _told(ops)[2:] == [(ALERT, "recovered")]
    assert host.drtool("notify", "list").result["alerts"] == 0


def test_whoever_names_a_job_or_only_looks_sees_it_and_nobody_else_hears_of_it(
    host: AttendedHost, ops: Receiver
) -> None:
    for arguments in (("nightly",), ("--dry-run",)):
        assert host.drtool("schedule", "run", *arguments).code == 2
    assert _told(ops) == []


def test_a_configuration_that_is_gone(host: AttendedHost, ops: Receiver) -> None:
    host.file.unlink()
    assert host.drtool("schedule", "run").code == 2
    assert _told(ops) == [(ALERT, "open")]
    assert "has not been able to use" in host.drtool("status").result["error"]["hint"]
    assert host.drtool("notify", "acknowledge", ALERT).code == 0
    _sound(host, ops)
    (line, _) = host.drtool("audit", "show", "--command", "notify acknowledge").lines
    assert line["state"] == "ok"


def test_a_configuration_that_may_not_be_read_any_more(host: AttendedHost, ops: Receiver) -> None:
    prefix = []
    host.file.chmod(0)
    if os.geteuid() == 0:  # whom nothing is denied, unless the right to that is given up
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
        if shutil.which(prefix[0]) is None:
            pytest.skip("setpriv is not installed (Debian: util-linux)")
        host.file.chmod(0o600)
        os.chown(host.file, 12345, 12345)
    line = [*prefix, *command("--config", str(host.file), "schedule", "run")]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "cannot read the configuration" in done.stderr
    assert _told(ops) == [(ALERT, "open")]


def test_no_secret_is_told(host: AttendedHost, ops: Receiver) -> None:
    """Where somebody puts one into the place of a key, and it was one before."""
    host.write(
        notify=[{"type": "webhook", "name": "ops", "url": ops.url()}], sources={"db": _database("hunter2hunter2")}
    )
    assert host.drtool("schedule", "run").code == 0
    host.file.write_text(f"{host.file.read_text()}\nhunter2hunter2: x\n")
    ended = host.drtool("schedule", "run")
    assert ended.code == 2
    assert len(ops.accepted) == 1
    for text in (ended.err, ended.out, ops.accepted[0].body.decode(), host.drtool("notify", "list").out):
        assert "hunter2" not in text


def _database(password: str) -> dict[str, str]:
    return {"type": "mongodb", "uri": f"mongodb://u:{password}@127.0.0.1:1"}
