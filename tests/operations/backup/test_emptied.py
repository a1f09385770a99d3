"""A source that holds nothing, where it held something before: backed up, told, and no reason to forget the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operations.site import Site, fill
from tests.sources.mongo import Client

RULES = {"last": 1}
_ALL = {"q": {}, "limit": 0}


def _configure(site: Site, sources: dict[str, Any]) -> None:
    config = yaml.safe_load(site.config.read_text())
    config["sources"] = sources
    config["jobs"] = {"nightly": {"sources": list(sources), "retention": RULES}}
    site.config.write_text(yaml.safe_dump(config))


@pytest.fixture
def trees(tmp_path: Path) -> Site:
    """A host that backs up two trees, of which the first is to be unmounted."""
    site = Site(tmp_path, "", {}).set_up()
    for name in ("volume", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    _configure(site, {"code": {"type": "files", "paths": [str(tmp_path / "volume"), str(tmp_path / "other")]}})
    return site


def test_an_unmounted_volume_is_named_and_the_last_good_snapshot_stays(trees: Site, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    trees.backup()
    good = trees.backup()
    assert (good["emptied"], good["warnings"]) == ({}, [])
    (volume / "file").unlink()
    for _ in range(2):  # the second is no less told than the first
        line = trees.backup()
        assert line["emptied"] == {"code": good["snapshot"]}
        [told, _] = [each["message"] for each in line["warnings"]]
        assert told.startswith(f"{volume} holds nothing, and snapshot {good['snapshot']} held something of it")
        decisions = {each["snapshot"]: each for each in trees.ok("retention", "plan")[:-1]}
        assert decisions[good["snapshot"]]["reasons"] == ["newest snapshot in which code is not empty"]
    people = trees.told("backup")
    assert "NOTHING was there of code" in people.out
    assert people.err.count("is its volume mounted?") == 1
    (volume / "file").write_text("there again")
    assert trees.backup()["emptied"] == {}
    assert [each for each in trees.ok("retention", "plan")[:-1] if "not empty" in str(each["reasons"])] == []


def test_what_was_always_empty_is_none_that_was_emptied(trees: Site, tmp_path: Path) -> None:
    (tmp_path / "volume" / "file").unlink()
    for _ in range(2):
        assert trees.backup()["emptied"] == {}
    (tmp_path / "other" / "file").unlink()
    assert list(trees.backup()["emptied"]) == ["code"]


@pytest.mark.parametrize("command", ["drop", "delete"])
def test_a_database_with_nothing_but_its_users(site: Site, client: Client, database: str, command: str) -> None:
    fill(client, database, collections=1)
    client[database].command({"createUser": "u", "pwd": "x", "roles": []})
    try:
        good = site.backup()["snapshot"]
        client[database].command({"drop": "c0"} if command == "drop" else {"delete": "c0", "deletes": [_ALL]})
        line = site.backup()
        assert (line["records"], line["emptied"]) == (1, {"nightly": good})
        client[database].others.insert_one({})
        assert site.backup()["emptied"] == {}
    finally:
        client[database].command({"dropUser": "u"})
