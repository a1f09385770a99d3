"""Somebody hears of a configuration that cannot be used, and of its being mended; nothing is run meanwhile."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.operations.reporting import Silent
from drtool.operations.unattended.attending.attending import attended
from drtool.operations.unattended.scheduling.children import Call
from tests.monitoring.targets.receiver import Receiver
from tests.operations.unattended.configuration.calling import CalledHost, NamedHost
from tests.operations.unattended.pretending import Happening


def test_broken_at_five_and_mended_in_the_morning(host: CalledHost) -> None:
    host.damage()
    error = host.call("20 17:00")
    assert error is not None
    assert host.told() == ["open"]
    texts = host.last()
    assert texts["summary"] == f"drtool schedule run cannot use its configuration: {error.message.splitlines()[0]}"
    assert "jobs.nightly.scedule: unknown key; did you mean 'schedule'?" in texts["summary"]
    assert "nightly (backup) is due at 2026-11-21 02:00 UTC" in texts["description"]
    assert texts["last_used"] == "2026-11-20 16:00 UTC"
    assert host.exposed()["drtool_configuration_valid"] == "0"

    host.call_every(5, "20 17:05", "20 18:00")
    assert host.told() == ["open", *3 * ["still open"]], "after 5 minutes, and 10 and 20 minutes later"
    assert host.last()["since"].startswith("2026-11-20 17:00")
    host.call_every(60, "20 18:15", "21 04:15")
    assert host.started == [], "nothing is run by the last good configuration"
    assert host.told("missed/nightly")[0] == "open", "the rest of its alerts go on"

    host.write()
    host.call("21 08:00")
    assert host.started == ["21 08:00 backup nightly"], "what was missed is made up for"
    host.call("21 08:05")
    assert host.told()[-1] == "recovered"
    assert host.told().count("recovered") == 1
    assert host.exposed()["drtool_configuration_valid"] == "1"
    assert host.reporter.warnings == []


def test_several_problems(host: CalledHost) -> None:
    text = host.host.file.read_text()
    host.host.file.write_text(text.replace("schedule:", "scedule:").replace("metrics:", "metriks:"))
    host.call("20 17:00")
    texts = host.last()
    first, other = ("metriks", "scedule") if "metriks" in texts["summary"] else ("scedule", "metriks")
    assert first in texts["summary"]
    assert texts["description"].startswith("Also: ")
    assert other in texts["description"]


@pytest.mark.parametrize("how", ["unparsable", "not text", "gone", "a directory", "empty", "too deep"])
def test_whatever_became_of_the_file(host: CalledHost, how: str) -> None:
    file = host.host.file
    text = file.read_text()
    file.unlink()
    match how:
        case "unparsable":
            file.write_text(f"{text}\njobs: [")
        case "too deep":
            file.write_text("[" * 1000)
        case "not text":
            file.write_bytes(b"\xff\xfe\x00")
        case "a directory":
            file.mkdir()
        case "empty":
            file.write_text("")
    assert host.call("20 17:00") is not None
    assert host.told() == ["open"]
    if how == "a directory":
        file.rmdir()
    host.write()
    assert host.call("20 17:01") is None
    assert host.told() == ["open", "recovered"]


def test_a_file_whose_name_is_no_text(host: CalledHost) -> None:
    sound = host.host.file.read_text()
    file = host.host.directory / os.fsdecode(b"drtool-\xff.yaml")
    named = replace(host, host=NamedHost(host.host.directory, file))
    file.write_text(sound)
    assert named.call("20 16:30") is None
    file.write_text(sound.replace("schedule:", "scedule:"))
    assert named.call("20 17:00") is not None
    assert named.told() == ["open"]
    file.write_text(sound)
    assert named.call("20 17:01") is None
    assert named.told() == ["open", "recovered"]


def test_another_configuration_of_the_same_repository_takes_no_alarm_back(host: CalledHost) -> None:
    sound = host.host.file.read_text()
    other = replace(host, host=NamedHost(host.host.directory, host.host.directory / "other.yaml"))
    other.host.file.write_text(sound)
    assert other.call("20 16:30") is None
    host.damage()
    for minute in range(3):
        host.call(f"20 17:0{minute}")
        other.call(f"20 17:0{minute}")
    assert host.told() == ["open"]
    host.host.file.write_text(sound)
    host.call("20 17:04")
    assert host.told() == ["open", "recovered"]


def test_one_that_nobody_goes_by_any_more_is_not_told_for_ever(host: CalledHost) -> None:
    """Somebody renames it, and tells cron a little later."""
    other = replace(host, host=NamedHost(host.host.directory, host.host.directory / "other.yaml"))
    host.host.file.rename(other.host.file)
    host.call("20 17:00")
    other.call("20 17:01")
    assert host.told() == ["open"]
    other.call("20 17:20")
    assert host.told()[-1] == "recovered"


def test_a_variable_that_is_gone_silences_only_who_needs_it(
    host: CalledHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOKEN", "secretsecretsecret")
    host.write(
        notify=[{"type": "webhook", "name": "other", "url": host.ops.url("/${TOKEN}")}],
        sources={"db": {"type": "mongodb", "uri": "mongodb://u:${TOKEN}@127.0.0.1:1"}},
    )
    host.happens = lambda _call: Happening(dies=True)
    host.call("21 02:00")
    host.call("21 02:05")
    assert "recovered" not in host.told("failed/backup/nightly")
    assert host.told("failed/backup/nightly")[:2] == ["open", "open"], "both targets"
    before = host.exposed()
    monkeypatch.delenv("TOKEN")
    error = host.call("21 03:00")
    assert error is not None
    assert "TOKEN is not set" in error.message
    assert host.reporter.warnings == ["notification target other cannot be told: environment variable TOKEN is not set"]
    assert host.told() == ["open"]
    assert "recovered" not in host.told("failed/backup/nightly"), "of it nobody can tell"
    assert host.exposed() == before | {"drtool_configuration_valid": "0"}
    monkeypatch.setenv("TOKEN", "secretsecretsecret")
    host.call("21 03:01")
    assert host.told()[:2] == ["open", "recovered"]


def test_a_secret_that_is_gone_silences_only_who_needs_it(host: CalledHost, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(host.ops.url("/other"))
    host.write(notify=[{"type": "webhook", "name": "other", "url": {"file": "token"}}])
    host.call("20 16:30")
    (tmp_path / "token").unlink()
    host.damage()
    host.call("20 17:00")
    assert host.told() == ["open"]
    assert [text.partition(":")[0] for text in host.reporter.warnings] == ["notification target other"]


def test_who_had_not_been_told_is_not_told_of_the_end(host: CalledHost, ops: Receiver) -> None:
    host.write(notify=[{"type": "webhook", "name": "later", "after": "30m", "url": ops.url("/later")}])
    host.call("20 16:30")
    host.damage()
    host.call_every(10, "20 17:00", "20 17:20")
    assert not [one for one in ops.requests if one.path == "/later"]
    host.call("20 17:30")
    assert len([one for one in ops.requests if one.path == "/later"]) == 1, "it was open for long enough"


def test_it_breaks_while_a_run_goes_on(host: CalledHost) -> None:
    """Whoever was started before has the configuration as it was, and must not take the alarm back."""
    sound = host.host.file.read_text()

    def break_it(_call: Call) -> Happening:
        host.damage()
        return Happening()

    host.happens = break_it
    host.call("21 02:00")
    assert host.started == ["21 02:00 backup nightly"]
    assert host.told() == ["open"]
    host.call("21 02:03")
    assert "recovered" not in host.told()
    host.host.file.write_text(sound)
    host.happens = lambda _call: Happening()
    host.call("21 02:04")
    assert host.told()[-1] == "recovered"


def test_a_state_that_cannot_be_used_is_told_in_its_place(host: CalledHost) -> None:
    (place,) = (host.host.directory / "state" / "unattended").iterdir()
    for path in place.glob("*.sqlite*"):
        path.unlink()
    (place / "runs.sqlite").mkdir()
    host.damage()
    host.call("20 17:00")
    assert host.told("state") == ["open"]


def test_a_variable_that_cron_never_had(fresh: CalledHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """It worked in the operator's shell."""
    fresh.write(sources={"db": {"type": "mongodb", "uri": "mongodb://u:${TOKEN}@127.0.0.1:1"}})
    monkeypatch.setenv("TOKEN", "secretsecretsecret")
    with attended(fresh.host.config, "backup", Silent(), job="nightly", clock=fresh.clock, environment={}):
        pass
    monkeypatch.delenv("TOKEN")
    assert fresh.call("20 17:00") is not None
    assert fresh.told() == ["open"]
    assert "TOKEN is not set" in fresh.last()["summary"]


def test_without_a_last_good_one_that_is_said(host: CalledHost) -> None:
    for path in (host.host.directory / "state" / "configurations").iterdir():
        path.write_text("{")
    host.damage()
    assert host.call("20 17:00") is not None
    assert host.told() == []
    assert len(host.reporter.warnings) == 1
    assert host.reporter.warnings[0].startswith("nobody is told")
