"""``drtool repair`` on a host: what is lost, what can be restored all the same, and how the next backup heals it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from drtool.operations.contents import Contents
from drtool.repository.chain import read_catalogue
from drtool.repository.packs import pack_name
from drtool.repository.reader import ChunkReader
from tests.operations.site import Site, fill, flip, hashes
from tests.sources.mongo import Client


def _packs_of(site: Site, name: str) -> set[Path]:
    """The packs that a collection's records lie in."""
    with site.opened() as repository, contextlib.closing(ChunkReader(repository)) as reader:
        contents = Contents(reader, read_catalogue(repository).snapshots[-1].manifest)
        [entry] = [entry for entry in contents.streams() if entry.name.endswith(name)]
        ids = [ref.id for ref in contents.refs(entry)]
        return {site.store / pack_name(place.pack) for id_ in ids for place in repository.cache.locations(id_)}


def test_from_loss_to_healing(site: Site, client: Client, database: str) -> None:
    fill(client, database, collections=1)
    site.backup()
    client[database].c1.insert_many([{"_id": number, "x": "y" * 500} for number in range(100)])
    site.backup()
    lost = _packs_of(site, ".c1") - _packs_of(site, ".c0")
    for pack in lost:
        pack.unlink()

    refused = site.drtool("restore", "latest", "--rename", f"{database}={database}_r")
    assert (refused.code, refused.result["error"]["kind"]) == (4, "missing-object")
    assert "drtool repair snapshots" in refused.result["error"]["hint"]
    assert f"{database}_r" not in client.list_database_names()
    # What is whole comes back all the same.
    site.ok("restore", "latest", "--only", f"{database}.c0", "--rename", f"{database}={database}_r")
    assert hashes(client, f"{database}_r")["c0"] == hashes(client, database)["c0"]
    site.ok("export", "latest", str(site.directory / "out"), "--only", f"{database}.c0")

    seen = site.drtool("repair", "snapshots", "--dry-run")
    assert (seen.code, site.objects("distrust")) == (3, [])
    [damage] = [line for line in seen.lines if line["type"] == "damage"]
    assert damage["streams"]["whole"] == damage["streams"]["total"] - 1
    [loss] = [loss for loss in damage["losses"] if loss["what"] == "records"]
    assert (loss["stream"], loss["records"], loss["heals"]) == (f"nightly/{database}.c1", 100, True)
    said = site.told("repair", "snapshots", "--dry-run")
    assert f"{database}.c1: records 1 to 100, keys 0 to 99" in said.out
    assert "drtool backup nightly" in said.err

    for _ in range(2):
        assert site.drtool("repair", "snapshots").code == 3
        assert len(site.objects("distrust")) == 1
    assert site.backup()["incremental"]
    healed = site.ok("repair", "snapshots")[-1]
    assert (healed["snapshots"], healed["damaged"]) == (3, 0)
    assert {line["ok"] for line in site.ok("verify", "--level", "readable")[:-1]} == {True}


def test_an_index_from_packs(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    site.backup()
    first, *others = site.objects("index")
    flip(first)
    for path in others:
        path.unlink()
    fresh = site.elsewhere("fresh")
    assert fresh.drtool("verify", "--level", "listed").code == 4
    dry = fresh.ok("repair", "index", "--dry-run")[-1]
    assert (dry["bad"], dry["unindexed"]) == (1, len(site.objects("packs")))
    assert site.objects("index") == [first]
    done = fresh.ok("repair", "index")[-1]
    assert (done["rebuilt"], done["problems"]) == (len(site.objects("packs")), [])
    assert first not in site.objects("index")
    assert fresh.ok("repair", "index")[-1]["unindexed"] == 0
    assert {line["ok"] for line in site.ok("verify", "--level", "readable")[:-1]} == {True}
    assert site.backup()["chunks"]["new"] == 0


def test_the_archived_log_is_verified(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    site.backup()
    site.ok("pitr", "capture")
    client[database].c0.update_one({"_id": 0}, {"$set": {"n": 100}})
    site.ok("pitr", "capture")
    for level in ("listed", "intact", "readable"):
        [line] = [line for line in site.ok("verify", "--level", level) if line.get("log")]
        assert (line["log"], line["ok"], line["problems"]) == ("nightly", True, [])
    assert "the archived log of nightly: listed" in site.told("verify", "--level", "listed").out
    before = site.objects("oplog")
    flip(before[-1])
    ended = site.drtool("verify", "--level", "listed")
    [line] = [line for line in ended.lines if line.get("log")]
    name = before[-1].relative_to(site.store).as_posix()
    assert (ended.code, line["ok"], name in {problem["object"] for problem in line["problems"]}) == (4, False, True)
    # A snapshot that is named is verified alone.
    assert site.drtool("verify", "latest", "--level", "listed").code == 0


def test_a_lost_snapshot_is_acknowledged(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    first = site.backup()["snapshot"]
    site.backup()
    (site.store / "snapshots" / first).unlink()
    assert site.drtool("snapshots").code == 4
    result = site.ok("repair", "snapshots", "--acknowledge")[-1]
    assert result["acknowledged"]["snapshots"] == [{"job": "nightly", "number": 1}]
    assert site.drtool("snapshots").code == 0
    assert site.elsewhere("new").drtool("snapshots").code == 0
