"""Point in time on a real server: archive, see what it covers, find what went wrong, go back to just before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.operations.pitr_site import next_second
from tests.operations.site import Site, connect, fill, flip, hashes
from tests.servers.mongod import shared
from tests.sources.mongo import Client, unique_database


@pytest.fixture(scope="module")
def uri() -> str:
    """A set that only these tests write to, so that little is archived."""
    return shared("pitr").uri


@pytest.fixture(scope="module")
def client(uri: str) -> Iterator[Client]:
    """A client of it."""
    with connect(uri) as found:
        yield found


@pytest.fixture
def database(client: Client) -> Iterator[str]:
    """A new database; whatever begins with its name goes afterwards."""
    name = unique_database(client)
    yield name
    for found in client.list_database_names():
        if found.startswith(name):
            client.drop_database(found)


@pytest.fixture
def site(tmp_path: Path, uri: str, client: Client, database: str) -> Site:
    """A host with one snapshot, from which an archive leads on."""
    fill(client, database)
    site = Site(tmp_path, uri, {"nightly": (database,)}).set_up()
    site.backup()
    capture(site)
    return site


def capture(site: Site, *arguments: str) -> dict[str, Any]:
    """One pass; its line."""
    line = site.ok("pitr", "capture", *arguments)[0]
    assert line["type"] == "capture"
    return line


def state(site: Site) -> dict[str, Any]:
    """What status says of the only source."""
    return site.ok("pitr", "status")[0]


def back(site: Site, client: Client, database: str, *arguments: str) -> dict[str, str]:
    """Restore under another name; the digests there."""
    client.drop_database(f"{database}_b")
    site.ok("restore", "latest", "--rename", f"{database}={database}_b", *arguments)
    return hashes(client, f"{database}_b")


def test_a_pass_goes_on_where_the_one_before_ended(site: Site, client: Client, database: str) -> None:
    client[database].c0.insert_one({"_id": "new"})
    first = capture(site)
    assert (first["segments"], first["new_timeline"], first["lost"]) == (1, "", "")
    next_second(client)
    second = capture(site)
    assert second["timeline"] == first["timeline"]
    third = capture(site)  # the server may have written a no-op in between
    assert (third["segments"] == 0) == (third["position"] == second["position"])
    spans = [path.name.split("-") for path in site.objects("oplog")]
    assert [end for _, end in spans][:-1] == [start for start, _ in spans][1:]
    [line] = site.ok("snapshots")[:-1]
    found = state(site)
    [timeline] = found["timelines"]
    [reachable] = timeline["ranges"]
    assert reachable["snapshots"] == [line["snapshot"]]
    assert timeline["archived"]["from"] <= line["instant"] <= reachable["from"] <= timeline["archived"]["to"]
    assert (timeline["segments"], timeline["gaps"], timeline["current"]) == (len(spans), [], True)
    assert found["problems"] == []
    _outside(site, client, database, reachable)


def _outside(site: Site, client: Client, database: str, reachable: dict[str, str]) -> None:
    first, last = datetime.fromisoformat(reachable["from"]), datetime.fromisoformat(reachable["to"])
    for moment in (first - timedelta(seconds=1), last + timedelta(seconds=9), last + timedelta(days=9)):
        ended = site.drtool("restore", "latest", "--at", moment.isoformat())
        assert (ended.code, ended.result["error"]["kind"]) == (10, "out-of-reach"), ended.out
        assert last.isoformat() in ended.result["error"]["message"] + ended.result["error"]["hint"]
    assert not [name for name in client.list_database_names() if name.startswith(f"{database}_")]


def test_without_a_snapshot_there_is_nothing_to_go_back_to(tmp_path: Path, uri: str, database: str) -> None:
    site = Site(tmp_path, uri, {"nightly": (database,)}).set_up()
    assert state(site)["lag"] is None
    assert "no log of nightly is archived" in state(site)["problems"][0]
    assert capture(site)["entries"] == 1
    assert state(site)["timelines"][0]["ranges"] == []
    assert "take one" in state(site)["problems"][0]
    ended = site.drtool("restore", "latest", "--at", "2026-01-01T00:00:00Z")
    assert (ended.code, ended.result["error"]["kind"]) == (10, "no-such-snapshot")


def test_to_a_moment(site: Site, client: Client, database: str) -> None:
    states = []
    for number in range(2):
        client[database].c0.update_many({"n": number}, {"$set": {"touched": number}})
        client[database][f"made{number}"].insert_one({"_id": number})
        states.append((next_second(client), hashes(client, database)))
    client[database].c1.drop()
    next_second(client)
    capture(site)
    for moment, held in states:
        assert back(site, client, database, "--at", moment.isoformat()) == held


def test_to_just_before_an_operation(site: Site, client: Client, database: str) -> None:
    client[database].c0.insert_many([{"_id": 1000 + number} for number in range(10)])
    held = hashes(client, database)
    client[database].c0.drop()
    client[database].c1.delete_many({"n": {"$lt": 3}})
    capture(site)
    found = site.ok("pitr", "find", "--ns", f"{database}.c0", "--op", "drop")
    assert (found[-1]["candidates"], found[0]["count"], found[0]["op"]) == (1, 22, "drop")
    assert back(site, client, database, "--before", found[0]["position"]) == held
    ended = site.ok("restore", "latest", "--before", found[0]["position"], "--rename", f"{database}={database}_c")[-1]
    assert ended["replayed"] >= 10
    assert datetime.fromisoformat(ended["recovered_to"]) <= datetime.fromisoformat(found[0]["time"])


def test_one_collection_only(site: Site, client: Client, database: str) -> None:
    client[database].c0.insert_one({"_id": "new"})
    client[database].c1.insert_one({"_id": "new"})
    held = hashes(client, database)
    client[database].c1.drop()
    capture(site)
    [found, _] = site.ok("pitr", "find", "--ns", f"{database}.c1", "--op", "drop")
    only = back(site, client, database, "--before", found["position"], "--only", f"{database}.c1")
    assert only == {"c1": held["c1"]}


def test_what_is_found(site: Site, client: Client, database: str) -> None:
    since = next_second(client)
    client[database].c0.delete_many({"n": 1})
    client[database].c1.rename("moved")
    client[database].create_collection("target")
    client[database].moved.rename("target", dropTarget=True)
    with client.start_session() as session, session.start_transaction():
        client[database].c0.insert_one({"_id": "t"}, session=session)
        client[database].c0.delete_many({"n": 2}, session=session)
    client.drop_database(database)
    capture(site)

    def told(*arguments: str) -> list[tuple[str, str, int | None]]:
        lines = site.ok("pitr", "find", "--since", since.isoformat(), *arguments)[:-1]
        return [(line["op"], line["namespace"].removeprefix(f"{database}."), line["count"]) for line in lines]

    everything = told("--ns", f"{database}.*")
    assert everything[0] == ("delete", "c0", 2)
    assert ("rename", "c1", None) in everything
    assert ("drop", "target", 0) in everything
    assert ("delete", "c0", 2) in everything[1:]
    assert {("drop", "c0", 9), ("drop", "target", 12)} <= set(everything)
    assert told("--ns", database, "--op", "dropDatabase") == [("dropDatabase", database, None)]
    assert told("--ns", f"{database}.c0", "--op", "insert") == [("insert", "c0", 1)]
    assert told("--ns", f"{database}.c0", "--until", since.isoformat()) == []
    assert site.drtool("pitr", "find", "--ns", "x", "--op", "explode").code == 2


def test_a_transaction_that_spans_segments(site: Site, client: Client, database: str) -> None:
    with client.start_session() as session, session.start_transaction():
        for number in range(18):  # over 16 MB, so that it takes several entries
            client[database].big.insert_one({"_id": number, "x": b"x" * 1_000_000}, session=session)
    held = hashes(client, database)
    client[database].big.delete_many({})
    with mock.patch("drtool.operations.pitr.capturing.SEGMENT_BYTES", 1):
        assert capture(site)["segments"] > 1
    [found, _] = site.ok("pitr", "find", "--ns", f"{database}.big", "--op", "delete")
    assert (found["count"], found["transaction"]) == (18, False)
    [inserted, _] = site.ok("pitr", "find", "--ns", f"{database}.big", "--op", "insert")
    assert (inserted["count"], inserted["transaction"]) == (18, True)
    assert back(site, client, database, "--before", found["position"]) == held
    assert "big" not in back(site, client, database, "--before", inserted["position"])


def test_what_is_no_moment_and_no_operation(site: Site, client: Client, database: str) -> None:
    wrong: list[tuple[str, ...]] = [
        ("--before", "yesterday"),
        ("--before", "1:2:3"),
        ("--at", "14:03"),
        ("--at", "2026-01-01T00:00:00Z", "--before", "1:1"),
        ("--timeline", "abc"),
    ]
    for arguments in wrong:
        assert site.drtool("restore", "latest", *arguments).code == 2
    at = next_second(client)
    next_second(client)
    capture(site)
    ended = site.drtool("restore", "latest", "--before", f"{int(at.timestamp())}:4000000", "--to", site.uri)
    assert (ended.code, ended.result["error"]["kind"]) == (2, "usage")
    assert "pitr find" in ended.result["error"]["hint"]


def _three_more(site: Site, client: Client, database: str) -> datetime:
    """Three segments; the moment after the last."""
    for number in range(3):
        client[database].c0.insert_one({"_id": f"more{number}"})
        moment = next_second(client)
        capture(site)
    return moment


def test_a_segment_is_missing(site: Site, client: Client, database: str) -> None:
    moment = _three_more(site, client, database)
    site.objects("oplog")[-2].unlink()
    ended = site.drtool("pitr", "status")
    assert (ended.code, ended.result["error"]["kind"]) == (4, "tampered")
    [gap] = ended.lines[0]["timelines"][0]["gaps"]
    restored = site.drtool("restore", "latest", "--at", moment.isoformat(), "--to", site.uri)
    assert (restored.code, restored.result["error"]["kind"]) == (10, "out-of-reach")
    for told in (gap["from"], gap["to"]):
        assert told in restored.result["error"]["message"]
    assert not [name for name in client.list_database_names() if name.startswith(f"{database}_")]


@pytest.mark.parametrize("kind", ["oplog", "packs"])
def test_something_was_altered(site: Site, client: Client, database: str, kind: str) -> None:
    before = set(site.objects(kind))
    moment = _three_more(site, client, database)
    for path in sorted(set(site.objects(kind)) - before)[: -1 if kind == "oplog" else None]:
        flip(path)
    rename = ("--rename", f"{database}={database}_b")
    ended = site.drtool("restore", "latest", "--at", moment.isoformat(), *rename)
    expected = (10, "out-of-reach") if kind == "oplog" else (4, "damaged-object")
    assert (ended.code, ended.result["error"]["kind"]) == expected
    assert f"{database}_b" not in client.list_database_names()


def test_a_backup_host_cannot_look_into_it(site: Site, client: Client, database: str) -> None:
    host = site.elsewhere("host", has_identity=False)
    client[database].c0.insert_one({"_id": "new"})
    assert capture(host)["segments"] == 1
    assert state(host)["timelines"][0]["gaps"] == []
    assert host.drtool("pitr", "find", "--ns", "x").code == 2
    for path in site.objects("oplog"):
        assert database.encode() not in path.read_bytes()


def test_a_server_without_an_oplog(tmp_path: Path, database: str) -> None:
    site = Site(tmp_path, shared(None).uri, {"nightly": (database,)}).set_up()
    ended = site.drtool("pitr", "capture")
    assert (ended.code, "replica set of one node" in ended.result["error"]["hint"]) == (1, True)
    assert site.drtool("pitr", "capture", "nobody").code == 2


def test_a_snapshot_can_be_named(site: Site, client: Client, database: str) -> None:
    client[database].c0.insert_one({"_id": "new"})
    moment = next_second(client)
    held = hashes(client, database)
    second = site.backup()["snapshot"]
    capture(site)
    first = site.snapshots()[0]
    rename = ("--rename", f"{database}={database}_b")
    ended = site.ok("restore", first, "--at", moment.isoformat(), *rename)[-1]
    assert ended["snapshot"] == first
    assert hashes(client, f"{database}_b") == held
    refused = site.drtool("restore", second, "--at", moment.isoformat(), "--dry-run")
    assert (refused.code, refused.result["error"]["kind"]) == (10, "out-of-reach")
    assert site.ok("restore", "nightly@latest", "--at", moment.isoformat(), "--dry-run")[-1]["snapshot"] == first


def test_the_archive_leads_closer_than_a_snapshot(site: Site, client: Client, database: str) -> None:
    moment = next_second(client)
    next_second(client)
    capture(site)
    told = site.told("restore", f"nightly@{moment.isoformat()}", "--dry-run")
    assert (told.code, f"--at {moment.isoformat()}" in told.err) == (0, True)
