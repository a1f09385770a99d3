"""Units are put where they belong, and systemd is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drtool.config.root import Config
from drtool.errors import InstallationError
from drtool.scheduling.installing.calling import Call
from drtool.scheduling.installing.rhythm import rhythm
from drtool.scheduling.installing.systemd import Systemd
from drtool.scheduling.installing.units import units_of
from tests.scheduling.installing.standins import systemctl_in


def _units(config: Config, call: Call, systemd: Systemd, *follow: str) -> dict[str, str]:
    name = systemd.free_name(call.config)
    return units_of(config, call, rhythm(60), name=name, user=systemd.user, follow=follow)


def test_in_and_out_again(config: Config, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = systemctl_in(tmp_path, monkeypatch)
    systemd = Systemd(tmp_path / "units", user=True, booted=True)
    edits = systemd.edits(call.config, _units(config, call, systemd, "app"))
    systemd.write(edits)
    systemd.run(systemd.commands(edits))
    assert systemd.owned(call.config).keys() == {"drtool.service", "drtool.timer", "drtool-capture.service"}
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in systemd.directory.iterdir())
    told = calls.read_text(encoding="utf-8").splitlines()
    assert told == [
        "--user daemon-reload",
        "--user enable drtool-capture.service drtool.timer",
        "--user restart drtool-capture.service drtool.timer",
    ]
    calls.unlink()
    assert not any(edit.changes for edit in systemd.edits(call.config, _units(config, call, systemd, "app")))
    [gone] = [edit for edit in systemd.edits(call.config, _units(config, call, systemd)) if edit.changes]
    assert gone.name.endswith("drtool-capture.service")
    everything = systemd.edits(call.config, {})
    systemd.write(everything)
    systemd.run(systemd.commands(everything))
    assert not list(systemd.directory.iterdir())
    told = calls.read_text(encoding="utf-8").splitlines()
    assert told[-1] == "--user daemon-reload"
    assert "--user disable --now drtool.timer" in told


def test_another_configuration_has_units_of_its_own(config: Config, call: Call, tmp_path: Path) -> None:
    systemd = Systemd(tmp_path / "units", user=False, booted=False)
    systemd.write(systemd.edits(call.config, _units(config, call, systemd)))
    other = replace(call, config=Path("/etc/other.yaml"))
    assert systemd.free_name(other.config) == "drtool-2"
    systemd.write(systemd.edits(other.config, _units(config, other, systemd)))
    assert systemd.free_name(other.config) == "drtool-2"
    assert systemd.free_name(call.config) == "drtool"
    assert systemd.owned(other.config).keys() == {"drtool-2.service", "drtool-2.timer"}
    assert systemd.all().keys() == {"drtool.service", "drtool.timer", "drtool-2.service", "drtool-2.timer"}


def test_a_unit_of_somebody_elses_is_left_alone(config: Config, call: Call, tmp_path: Path) -> None:
    systemd = Systemd(tmp_path / "units", user=False, booted=False)
    systemd.directory.mkdir()
    (systemd.directory / "drtool.service").write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    assert systemd.all() == {}
    units = _units(config, call, systemd)
    assert units.keys() == {"drtool-2.service", "drtool-2.timer"}


def test_what_systemd_refuses_is_told(
    config: Config, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl_in(tmp_path, monkeypatch)
    (tmp_path / "failing").write_text("enable\n", encoding="utf-8")
    systemd = Systemd(tmp_path / "units", user=False, booted=True)
    edits = systemd.edits(call.config, _units(config, call, systemd))
    systemd.write(edits)
    with pytest.raises(InstallationError, match=r"systemctl enable drtool.timer failed: it would not"):
        systemd.run(systemd.commands(edits))


def test_a_directory_that_cannot_be_written(config: Config, call: Call, tmp_path: Path) -> None:
    (tmp_path / "units").write_text("a file", encoding="utf-8")
    systemd = Systemd(tmp_path / "units" / "system", user=False, booted=False)
    with pytest.raises(InstallationError, match="cannot write"):
        systemd.write(systemd.edits(call.config, _units(config, call, systemd)))
