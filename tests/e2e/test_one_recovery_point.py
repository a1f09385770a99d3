"""Documents and what refers to them, in two sources of one job: one snapshot, one proof, and relations between them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bson import ObjectId

from tests.operations.site import Site
from tests.sources.mongo import Client, unique_database

pytestmark = pytest.mark.heavy


@pytest.fixture
def databases(client: Client) -> Iterator[tuple[str, str]]:
    """Documents in one database, and what refers to them in another."""
    names = unique_database(client), unique_database(client)
    ids = [ObjectId() for _ in range(300)]
    client[names[0]].documents.insert_many([{"_id": one, "text": "x" * 50} for one in ids])
    client[names[1]]["parts.small"].insert_many(
        [{"_id": n, "meta": {"of": str(ids[n % 300])}, "all": [ids[n % 300], ids[n // 2]]} for n in range(600)]
    )
    yield names
    for name in names:
        client.drop_database(name)


def _relations(names: tuple[str, str]) -> list[dict[str, Any]]:
    documents, parts = f"app.{names[0]}.documents", f"parts.{names[1]}.parts.small"
    return [
        {"every": f"{parts}.meta.of", "exists_in": f"{documents}._id", "as": "objectid", "name": "no orphans"},
        {"every": f"{parts}.all", "exists_in": f"{documents}._id"},
        {"count": documents, "equals": parts, "slack": "50%"},
    ]


@pytest.fixture
def joint(tmp_path: Path, uri: str, databases: tuple[str, str]) -> Site:
    """A host whose job holds both, with relations between them."""
    site = Site(tmp_path, uri, {"app": (databases[0],), "parts": (databases[1],)}).set_up()
    content = yaml.safe_load(site.config.read_text())
    content["jobs"] = {"nightly": {"sources": ["parts", "app"]}, "alone": {"sources": ["app"]}}
    content["relations"] = _relations(databases)
    site.config.write_text(yaml.safe_dump(content))
    return site


def _use(site: Site, **sources: str) -> None:
    content = yaml.safe_load(site.config.read_text())
    for name, uri in sources.items():
        content["sources"][name]["uri"] = uri
    site.config.write_text(yaml.safe_dump(content))


def _lines(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == kind]


def test_the_whole_way(joint: Site, client: Client, databases: tuple[str, str]) -> None:
    taken = joint.backup("nightly")
    assert taken["records"] == 900
    assert taken["distance"] >= 0
    shown = joint.ok("show", taken["snapshot"])[-1]
    assert shown["source_distance"] == taken["distance"]
    assert [source["name"] for source in shown["sources"]] == ["parts", "app"]

    lines = joint.ok("verify", taken["snapshot"], "--level", "restored")
    relations = _lines(lines, "relation")
    assert [line["ok"] for line in relations] == [True, True, True]
    assert relations[0]["name"] == "no orphans"
    assert [line["checked"] for line in relations] == [600, 1200, 600]
    [verified] = _lines(lines, "verification")
    assert verified["checked"]["records"] == 900

    lost = client[databases[0]].documents.find_one_and_delete({})
    assert lost is not None
    later = joint.backup("nightly")
    assert later["incremental"]
    ended = joint.drtool("verify", later["snapshot"], "--level", "restored")
    assert ended.code == 4
    refused = _lines(ended.lines, "relation")
    assert [line["ok"] for line in refused] == [False, False, False]
    assert refused[0]["sample"] == [repr(str(lost["_id"]))]
    assert (refused[0]["unfit"], refused[0]["allowed"]) == (2, 0)
    [verified] = _lines(ended.lines, "verification")
    assert {problem["kind"] for problem in verified["problems"]} == {"relation"}


def test_a_source_that_is_gone(joint: Site, uri: str) -> None:
    _use(joint, parts="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200")
    ended = joint.drtool("backup", "nightly")
    assert (ended.code, ended.result["error"]["kind"]) == (3, "partial")
    [failure] = _lines(ended.lines, "failure")
    assert (failure["job"], failure["source"], failure["kind"]) == ("nightly", "parts", "unreachable")
    assert ended.result["snapshots"] == joint.snapshots() == []
    assert joint.objects("packs"), "what was read of the other is kept"
    _use(joint, parts=uri)
    taken = joint.backup("nightly")
    assert joint.snapshots() == [taken["snapshot"]]


def test_some_of_a_job_s_sources_are_no_snapshot_of_it(joint: Site) -> None:
    ended = joint.drtool("backup", "nightly", "--source", "app")
    assert (ended.code, ended.result["error"]["kind"]) == (2, "usage")
    assert ended.result["error"]["hint"] == "There is a job of just that: drtool backup alone"
    ended = joint.drtool("backup", "nightly", "--source", "parts")
    assert "sources: [parts]" in ended.result["error"]["hint"]
    assert not joint.objects("snapshots")
    [forecast] = _lines(joint.ok("backup", "nightly", "--source", "app", "--dry-run"), "forecast")
    assert forecast["source"] == "app"
    assert joint.backup("nightly", "--source", "app", "--source", "parts")["records"] == 900


def test_documents_and_files(joint: Site, client: Client, databases: tuple[str, str]) -> None:
    tree = joint.directory / "tree"
    tree.mkdir()
    for number in range(20):
        (tree / f"{number}.txt").write_text(f"file {number}")
    client[databases[0]].attached.insert_many([{"_id": n, "file": f"{n}.txt"} for n in range(20)])
    content = yaml.safe_load(joint.config.read_text())
    content["sources"]["code"] = {"type": "files", "paths": [str(tree)]}
    content["jobs"]["nightly"]["sources"] = ["code", "app"]
    content["relations"] = [
        {"one_to_one": f"app.{databases[0]}.attached.file", "with": f"code.{tree}.path", "optional": True}
    ]
    joint.config.write_text(yaml.safe_dump(content))
    told = joint.told("backup", "nightly")
    assert told.code == 0, told.err
    assert "the sources' instants lie" in told.out
    lines = joint.ok("verify", "nightly@latest", "--level", "restored")
    assert [(line["ok"], line["checked"]) for line in _lines(lines, "relation")] == [(True, 20)]

    (tree / "7.txt").unlink()
    joint.backup("nightly")
    ended = joint.told("verify", "nightly@latest", "--level", "restored")
    assert ended.code == 4
    assert "are one to one: 1 of 20 values do not fit; 0 may\n      for instance '7.txt'\n" in ended.out
    assert "its parts do not fit together" in ended.err
    shutil.rmtree(tree)
    ended = joint.drtool("backup", "nightly")
    assert ended.code == 3, ended.out + ended.err
    assert [line["source"] for line in _lines(ended.lines, "failure")] == ["code"]
    assert len(joint.snapshots()) == 2
