"""What is installed is found again, and whether it still fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drtool.config.root import Config
from drtool.scheduling.installing.calling import Call
from drtool.scheduling.installing.crontab import Crontab
from drtool.scheduling.installing.finding import Kind, cron_runs, installed
from drtool.scheduling.installing.rhythm import rhythm
from drtool.scheduling.installing.systemd import Systemd
from drtool.scheduling.installing.units import units_of
from tests.scheduling.installing.standins import crontab_in


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """Of a user, on a host that systemd does not run."""
    own = Systemd(tmp_path / "units", user=True, booted=False)
    monkeypatch.setattr(Systemd, "of_this_account", lambda: own)
    return own


def test_nothing_is_installed(
    config: Config, systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installed(config) == []


def test_both_kinds_are_found_for_their_configuration(
    config: Config, call: Call, systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crontab_in(tmp_path, monkeypatch)
    program = tmp_path / "drtool"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    call = replace(call, program=program)
    for own in (replace(call, config=Path("/etc/other.yaml")), call):
        crontab = Crontab()
        crontab.write(crontab.installing(own, rhythm(60)))
        units = units_of(config, own, rhythm(60), name=systemd.free_name(own.config), user=True, follow=["app"])
        systemd.write(systemd.edits(own.config, units))
    cron, capture, service = installed(config)
    assert [one.kind for one in (cron, capture, service)] == [Kind.CRON, Kind.SYSTEMD, Kind.SYSTEMD]
    assert [one.runs_schedules for one in (cron, capture, service)] == [True, False, True]
    assert capture.where == str(systemd.directory / "drtool-2-capture.service")
    for one in (cron, capture, service):
        assert one.program == program
        assert one.names_config
        assert not one.program_exists
    assert service.active is None, "systemd does not run this host"
    program.chmod(0o755)
    assert all(one.program_exists for one in installed(config))


def test_what_somebody_changed_in_the_block_is_seen(
    config: Config, call: Call, systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = crontab_in(tmp_path, monkeypatch)
    crontab = Crontab()
    crontab.write(crontab.installing(call, rhythm(60)))
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace(f"--config {config.path}", "--config /elsewhere"), encoding="utf-8")
    [found] = installed(config)
    assert not found.names_config
    table.write_text("\n".join(f"#{line}" if line[:1] == "*" else line for line in text.split("\n")), encoding="utf-8")
    [found] = installed(config)
    assert found.program is None
    assert [found.program_exists, found.names_config, found.runs_schedules] == [False, False, False]


def test_whether_a_daemon_runs_can_be_told_here() -> None:
    assert cron_runs() in (True, False)
