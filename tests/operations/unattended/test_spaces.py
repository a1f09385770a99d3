"""The room where drtool writes."""

from __future__ import annotations

from pathlib import Path

from drtool.operations.unattended.standing.spaces import spaces
from tests.operations.unattended.alarming import Host


def test_places_that_are_not_there_yet_are_those_that_will_hold_them(tmp_path: Path) -> None:
    found = {space.place: space for space in spaces(Host(tmp_path).config)}
    assert {"repository", "state", "cache"} == set(found)
    assert found["repository"].path == str(tmp_path / "repo")
    assert found["repository"].device == found["state"].device == tmp_path.stat().st_dev


def test_a_mount_that_is_dead_keeps_nobody_from_being_told(tmp_path: Path) -> None:
    host = Host(tmp_path)
    (tmp_path / "repo").symlink_to(tmp_path / "repo")  # which can be looked at as little as a stale mount
    assert "repository" not in {space.place for space in spaces(host.config)}
    host.tell()
    assert host.reporter.warnings == []
