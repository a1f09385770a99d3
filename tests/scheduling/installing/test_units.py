"""systemd takes the units as they are meant."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.scheduling.installing.calling import Call
from drtool.scheduling.installing.rhythm import rhythm
from drtool.scheduling.installing.units import configuration_of, units_of
from drtool.scheduling.installing.words import from_unit
from drtool.scheduling.installing.writable import writable

_AWKWARD = "o'clock 50% $HOME é"


def _units(config: Config, call: Call, *, user: bool) -> dict[str, str]:
    directories = writable(config, [Path("/srv/with space")])
    return units_of(
        config, call, rhythm(300), name="drtool-2", user=user, writable=directories, follow=["app", "other"]
    )


def _verify(directory: Path, units: Mapping[str, str], *, user: bool) -> str:
    """What systemd-analyze finds wrong: with an error it fails, of a key that it does not know it only warns."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    directory.mkdir(exist_ok=True)
    for name, text in units.items():
        (directory / name).write_text(text, encoding="utf-8")
    command = ["systemd-analyze", *(["--user"] if user else []), "--man=no", "verify", *(f"./{name}" for name in units)]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(directory)}
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=False)
    about_us = [line for line in done.stderr.splitlines() if "drtool" in line]  # not the machine's other units
    return "\n".join([*about_us, *([f"exit code {done.returncode}"] if done.returncode else [])])


def _program(directory: Path) -> Path:
    path = directory / _AWKWARD.replace("'", "") / "drtool"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return path


@pytest.mark.parametrize("user", [False, True], ids=["host", "user"])
def test_systemd_finds_nothing_wrong(config: Config, call: Call, tmp_path: Path, user: bool) -> None:
    call = replace(call, program=_program(tmp_path), config=tmp_path / _AWKWARD / "drtool.yaml")
    units = _units(config, call, user=user)
    assert units.keys() == {"drtool-2.service", "drtool-2.timer", "drtool-2-capture.service"}
    assert _verify(tmp_path / "units", units, user=user) == ""


def test_systemd_would_tell(config: Config, call: Call, tmp_path: Path) -> None:
    units = _units(config, call, user=False)
    told = _verify(tmp_path / "units", units, user=False)
    assert "Command /opt/drtool/bin/drtool is not executable" in told
    wrong = {name: text.replace("OOMPolicy", "OOMPolizy") for name, text in units.items()}
    assert "'OOMPolizy'" in _verify(tmp_path / "units", wrong, user=False)


def test_commands_and_variables_are_quoted(config: Config, call: Call) -> None:
    call = replace(call, config=Path(f"/etc/{_AWKWARD}.yaml"), variables={"PATH": '/a b:/"c"'})
    units = _units(config, call, user=False)
    service = units["drtool-2.service"].splitlines()
    [command] = [line.removeprefix("ExecStart=") for line in service if line.startswith("ExecStart=")]
    assert from_unit(command) == list(call.words("schedule", "run"))
    assert "$$HOME" in command
    assert 'Environment="PATH=/a b:/\\"c\\""' in service
    assert f"EnvironmentFile={call.env_file}" in service
    assert all(configuration_of(text) == call.config for text in units.values())
    capture = [line for line in units["drtool-2-capture.service"].splitlines() if line.startswith("ExecStart=")]
    assert capture[0].endswith("pitr capture --follow app other")


def test_what_drtool_writes_to_is_writable_and_nothing_else(
    config: Config, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/srv/cache")
    text = config.path.read_text(encoding="utf-8")
    text = text.replace("s3://acme-backups/prod", "/srv/backups").replace(
        "  cache: {",
        "  vectors: {type: chroma, path: /srv/chroma}\n  more: {type: milvus, uri: /srv/m/milvus.db}\n  cache: {",
    )
    text += "metrics: {textfile: /var/lib/node-exporter/drtool.prom}\nlog: {file: /var/log/drtool/drtool.log}\n"
    config.path.write_text(text, encoding="utf-8")
    config = load_config(config.path)
    found = writable(config, [Path("/srv/chroma/inner"), Path("/srv/hooks")])
    assert {str(path) for path in found} == {
        "/srv/backups",
        "/srv/cache/drtool",
        "/srv/chroma",
        "/srv/hooks",
        "/srv/m",
        "/tmp",
        "/var/lib/node-exporter",
        "/var/log/drtool",
        "/var/tmp",
    } | ({str(tmp_path / "state")} if not {Path("/tmp"), Path("/var/tmp")} & {*tmp_path.parents} else set())
    unit = units_of(config, call, rhythm(60), name="drtool", user=False, writable=found)["drtool.service"]
    [line] = [line for line in unit.splitlines() if line.startswith("ReadWritePaths=")]
    assert "-/srv/backups " in line


def test_attributes_that_only_the_mighty_see_are_read_where_there_are_files(config: Config, call: Call) -> None:
    assert "CAP_SYS_ADMIN" not in _units(config, call, user=False)["drtool-2.service"]
    config.path.write_text(
        config.path.read_text(encoding="utf-8").replace(
            "  cache: {", "  code: {type: files, paths: [/srv]}\n  cache: {"
        ),
        encoding="utf-8",
    )
    config = load_config(config.path)
    assert "CAP_SYS_ADMIN" in _units(config, call, user=False)["drtool-2.service"]
    assert "Capabilit" not in _units(config, call, user=True)["drtool-2.service"], "a user's manager cannot take them"
