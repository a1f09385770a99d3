"""``drtool export``: what it tells, and what it refuses to begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operations.site import Site, fill
from tests.sources.mongo import Client

FIELDS = {"snapshot", "path", "layout", "streams", "records", "bytes", "seconds"}


@pytest.fixture
def taken(site: Site, client: Client, database: str) -> Site:
    """A host with one snapshot."""
    fill(client, database)
    site.backup()
    return site


def test_for_programs(taken: Site, tmp_path: Path) -> None:
    path = tmp_path / "new" / "d"
    path.parent.mkdir()
    ended = taken.drtool("export", "latest", str(path))
    assert ended.result.keys() >= FIELDS
    assert (ended.result["path"], ended.result["streams"], ended.result["records"]) == (str(path), 2, 24)
    assert ended.result["bytes"] == sum(file.stat().st_size for file in path.rglob("*.bson"))
    assert ended.result["snapshot"] == taken.snapshots()[0]
    assert f"what is written to {path} is NOT encrypted" in ended.err


def test_for_people(taken: Site, tmp_path: Path) -> None:
    told = taken.told("export", "latest", "--archive", str(tmp_path / "a b"))
    assert told.code == 0
    assert "✓ exported 24 records" in told.out
    assert f"restore it with: mongorestore --archive='{tmp_path}/a b'" in told.out
    assert "warning: " in told.err


@pytest.mark.parametrize("arguments", [(), ("d", "--archive", "a")])
def test_exactly_one_place_is_named(taken: Site, arguments: tuple[str, ...]) -> None:
    ended = taken.drtool("export", "latest", *arguments)
    assert (ended.code, ended.result["error"]["kind"]) == (2, "usage")


def test_a_pattern_must_fit_something(taken: Site, tmp_path: Path) -> None:
    ended = taken.drtool("export", "latest", str(tmp_path / "d"), "--only", "nowhere")
    assert (ended.code, ended.result["error"]["message"]) == (2, "--only nowhere fits nothing in the snapshot")
    assert not (tmp_path / "d").exists()


def test_it_needs_the_identity(taken: Site, tmp_path: Path) -> None:
    ended = taken.elsewhere("agent", has_identity=False).drtool("export", "latest", str(tmp_path / "d"))
    assert (ended.code, ended.result["error"]["kind"]) == (2, "config")
    assert not (tmp_path / "d").exists()


def test_the_directory_above_must_exist(taken: Site, tmp_path: Path) -> None:
    ended = taken.drtool("export", "latest", str(tmp_path / "nowhere" / "d"))
    assert (ended.code, ended.result["error"]["kind"]) == (1, "export")
    assert "No such file or directory" in ended.result["error"]["message"]


def test_the_run_is_registered(taken: Site, tmp_path: Path) -> None:
    before = len(taken.objects("runs"))
    taken.ok("export", "latest", str(tmp_path / "d"))
    assert len(taken.objects("runs")) == before + 1
