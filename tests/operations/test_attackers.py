"""Whoever can write to the store: what the commands say to old states, foreign objects and removed ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from drtool.repository.trust import REPOSITORY_NAME
from tests.operations.site import Site, fill
from tests.sources.mongo import Client, unique_database


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, uri: str, client: Client) -> Iterator[Site]:
    """A host with three snapshots."""
    name = unique_database(client)
    fill(client, name)
    site = Site(tmp_path_factory.mktemp("origin"), uri, {"nightly": (name,)}).set_up()
    for _ in range(3):
        site.backup()
    yield site
    client.drop_database(name)


@pytest.fixture
def site(origin: Site, tmp_path: Path) -> Site:
    """A copy of it."""
    return origin.copied(tmp_path / "site")


def _manifests(site: Site) -> list[Path]:
    """Those of the chain, in order."""
    heads = {line["snapshot"]: place for place, line in enumerate(site.drtool("snapshots").lines[:-1])}
    return sorted(site.objects("snapshots"), key=lambda path: heads[path.name])


def _error(site: Site, *arguments: str) -> tuple[int, str, str]:
    ended = site.drtool(*arguments)
    return ended.code, ended.result["error"]["kind"], ended.err


def test_the_newest_snapshot_is_removed(site: Site) -> None:
    newest = _manifests(site)[-1]
    data = newest.read_bytes()
    head = site.ok("snapshots")[2]["head"]
    newest.unlink()
    code, _, said = _error(site, "snapshots")
    assert (code, newest.name in said) == (4, True)
    assert "without an announced removal" in said
    assert _error(site, "verify", "--level", "listed")[0] == 4
    # Who restores is told, and may insist on what is noted elsewhere.
    assert "without an announced removal" in site.drtool("restore", "latest", "--dry-run").err
    assert _error(site, "restore", "latest", "--expect-head", head)[:2] == (4, "rolled-back")
    # A backup goes on, and the gap stays visible.
    taken = site.drtool("backup")
    assert (taken.code, "without an announced removal" in taken.err) == (0, True)
    assert site.drtool("snapshots").code == 4
    assert site.elsewhere("new").drtool("snapshots").code == 4
    newest.write_bytes(data)
    assert site.drtool("snapshots").code == 0


def test_a_snapshot_between_is_removed(site: Site) -> None:
    _manifests(site)[1].unlink()
    for one in (site, site.elsewhere("new")):
        code, _, said = _error(one, "snapshots")
        assert (code, "number 2 is gone without an announced removal" in said) == (4, True)


def test_a_manifest_under_another_name(site: Site) -> None:
    old = _manifests(site)[0]
    copy = old.with_name("20991231t235959z-ffffffffff")
    shutil.copy(old, copy)
    code, _, said = _error(site, "snapshots")
    assert (code, f"snapshots/{copy.name}" in said) == (4, True)
    assert site.ok("restore", "latest", "--dry-run")[-1]["snapshot"] != copy.name


def test_a_manifest_of_another_repository(site: Site, tmp_path: Path, client: Client) -> None:
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other", site.uri, site.jobs).set_up()
    other.backup()
    [foreign] = other.objects("snapshots")
    shutil.copy(foreign, site.store / "snapshots" / foreign.name)
    code, _, said = _error(site, "snapshots")
    assert (code, foreign.name in said) == (4, True)
    assert foreign.name not in [line.get("snapshot") for line in site.drtool("snapshots").lines]


def test_another_repository_in_its_place(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other", site.uri, site.jobs).set_up()
    shutil.rmtree(site.store)
    shutil.copytree(other.store, site.store)
    for arguments in (("snapshots",), ("backup",), ("verify",), ("restore", "latest")):
        assert _error(site, *arguments)[:2] == (12, "wrong-key")


def test_an_older_repository_json(site: Site) -> None:
    path = site.store / REPOSITORY_NAME
    old = path.read_bytes()
    with site.opened(reads_data=True) as repository:
        assert repository.identity is not None
        path.write_bytes(repository.document.next().sign(repository.identity.root_key))
    assert site.drtool("snapshots").code == 0
    path.write_bytes(old)
    for arguments in (("snapshots",), ("backup",), ("verify",), ("restore", "latest")):
        assert _error(site, *arguments)[:2] == (4, "rolled-back")
    # One who comes new cannot know.
    assert site.elsewhere("new").drtool("snapshots").code == 0


def test_a_newer_format(site: Site) -> None:
    path = site.store / REPOSITORY_NAME
    first, rest = path.read_text().split("\n", 1)
    fields = json.loads(first) | {"format": 2}
    path.write_text(json.dumps(fields) + "\n" + rest)
    for arguments in (("snapshots",), ("backup",), ("verify",), ("restore", "latest")):
        ended = site.drtool(*arguments)
        assert (ended.code, ended.result["error"]["kind"]) == (1, "format-version")
        assert "format 2" in ended.result["error"]["message"]
        assert "newer" in ended.result["error"]["hint"]


def test_the_whole_store_put_back_to_an_older_state(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.store, tmp_path / "older")
    site.backup()
    shutil.rmtree(site.store)
    shutil.copytree(tmp_path / "older", site.store)
    code, _, said = _error(site, "snapshots")
    assert (code, "without an announced removal" in said) == (4, True)
