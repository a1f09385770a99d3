"""Where the configuration is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.config.places import cache_home, find_config, state_home
from drtool.errors import ConfigError


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DRTOOL_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def put(path: Path) -> Path:
    """Make a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = put(tmp_path / "home/.config/drtool/drtool.yaml")
    assert find_config() == home
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    xdg = put(tmp_path / "xdg/drtool/drtool.yaml")
    assert find_config() == xdg
    put(tmp_path / "work/drtool.yaml")
    assert find_config() == Path("drtool.yaml")
    variable = put(tmp_path / "variable.yaml")
    monkeypatch.setenv("DRTOOL_CONFIG", str(variable))
    assert find_config() == variable
    named = put(tmp_path / "named.yaml")
    assert find_config(named) == named


def test_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no configuration") as caught:
        find_config()
    for place in ("./drtool.yaml", str(tmp_path / "home/.config/drtool/drtool.yaml"), "/etc/drtool/drtool.yaml"):
        assert place in caught.value.message
    assert "drtool init" in caught.value.hint


def test_what_is_named_is_not_looked_for_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "work/drtool.yaml")
    with pytest.raises(ConfigError, match=r"gone\.yaml does not exist \(--config names it\)"):
        find_config(Path("gone.yaml"))
    monkeypatch.setenv("DRTOOL_CONFIG", str(tmp_path))
    with pytest.raises(ConfigError, match=r"is not a file \(\$DRTOOL_CONFIG names it\)"):
        find_config()


def test_a_place_that_cannot_be_looked_at_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot look for the configuration"):
        find_config(Path("x" * 300))


def test_relative_base_directories_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    assert state_home() == tmp_path / "home/.local/state/drtool"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache_home() == Path("/var/cache/drtool")
