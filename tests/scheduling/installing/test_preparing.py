"""From a shell to the call that cron makes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.errors import ConfigError
from drtool.scheduling.installing.preparing import prepare


def test_without_its_variables_it_would_fail_every_night(config: Config) -> None:
    with pytest.raises(ConfigError, match="takes MONGODB_URI, REDIS_URI from the environment") as caught:
        prepare(config, None)
    assert "--env-file FILE" in caught.value.hint
    assert "s3cret-word" not in caught.value.message


def test_a_file_is_made_of_this_shells_values_for_its_owner_only(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "kept" / "environment"
    prepared = prepare(config, path)
    assert not path.exists(), "not before it is agreed to"
    prepared.write_variables()
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text(encoding="utf-8")
    assert f"MONGODB_URI='{os.environ['MONGODB_URI']}'\n" in text
    assert "AWS_SECRET_ACCESS_KEY='k3y-of-the-bucket'\n" in text
    assert "AWS_SECRET_ACCESS_KEY" in prepared.handed_on
    assert prepared.call.env_file == path
    assert prepared.warnings == []


def test_a_file_that_is_there_stays_as_it_is(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "environment"
    path.write_text("MONGODB_URI=a\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="takes REDIS_URI from") as caught:
        prepare(config, path)
    assert str(path) in caught.value.hint
    path.write_text("MONGODB_URI=a\nREDIS_URI=b\n", encoding="utf-8")
    path.chmod(0o644)
    prepared = prepare(config, path)
    prepared.write_variables()
    assert path.read_text(encoding="utf-8") == "MONGODB_URI=a\nREDIS_URI=b\n"
    readable, credentials = sorted(prepared.warnings, key=lambda text: "not handed on" in text)
    assert readable == f"{path} can be read by other users: chmod 600 {path}"
    assert "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY of this shell is not handed on" in credentials


def test_the_call_is_absolute_and_has_this_shells_path(config: Config, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:relative::/nowhere/at/all:{tmp_path / 'bin'}:/usr/bin"}
    environment["PATH"] += f":/{'x' * 300}"  # stands for one that may not be looked at, which root always may
    call = prepare(config, tmp_path / "env", environment).call
    assert call.program.is_absolute()
    assert os.access(call.program, os.X_OK)
    assert call.variables["PATH"] == f"{tmp_path / 'bin'}:/usr/bin"
    assert call.words("schedule", "run")[1:] == ("--config", str(config.path), "--quiet", "schedule", "run")


def test_a_configuration_that_never_does_anything_is_noticed(config: Config, tmp_path: Path) -> None:
    config.path.write_text(config.path.read_text().replace(', schedule: "0 2 * * *"', ""), encoding="utf-8")
    [warning] = prepare(load_config(config.path), tmp_path / "env").warnings
    assert warning == "nothing in the configuration has a schedule: nothing will ever be due"
