"""Point in time on a real server: archive, see what it covers, find what went wrong, go back to just before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from bson.timestamp import Timestamp

from drtool.sources.mongodb.freezing import last_applied
from tests.cli.running import drtool
from tests.operations.pitr.site import next_second
from tests.operations.site import Site, connect, fill, flip, hashes
from tests.servers.mongod import shared
from tests.sources.mongo import Client

pytestmark = pytest.mark.heavy


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
    """What status says of the only source, whose archive has nothing wrong in it."""
    ended = site.drtool("pitr", "status")
    assert ended.code == (0 if ended.lines[0]["ok"] else 3), ended.out + ended.err
    return ended.lines[0]


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
    assert (found["problems"], found["ok"]) == ([], True)
    _outside(site, client, database, reachable)
    [told] = site.ok("audit", "show", "--command", "pitr capture")[:-1]  # of many passes one, within an hour
    assert (told["state"], told["result"].keys()) == ("ok", {"nightly"})


def _outside(site: Site, client: Client, database: str, reachable: dict[str, str]) -> None:
    first, last = datetime.fromisoformat(reachable["from"]), datetime.fromisoformat(reachable["to"])
    for moment in (first - timedelta(seconds=1), last + timedelta(seconds=9), last + timedelta(days=9)):
        ended = site.drtool("restore", "latest", "--at", moment.isoformat())
        assert (ended.code, ended.result["error"]["kind"]) == (10, "out-of-reach"), ended.out
        assert last.isoformat() in ended.result["error"]["message"] + ended.result["error"]["hint"]
    assert not [name for name in client.list_database_names() if name.startswith(f"{database}_")]


def test_without_a_snapshot_there_is_nothing_to_go_back_to(tmp_path: Path, uri: str, database: str) -> None:
    site = Site(tmp_path, uri, {"nightly": (database,)}).set_up()
    assert (state(site)["lag"], state(site)["ok"]) == (None, False)
    assert "no log of nightly is archived" in state(site)["problems"][0]
    assert capture(site)["entries"] == 1
    found = state(site)
    assert (found["timelines"][0]["ranges"], found["ok"]) == ([], False)
    assert "take one" in found["problems"][0]
    for _ in range(2):
        assert "no snapshot leads into what is being archived" in site.drtool("pitr", "capture").err
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
    assert told("--ns", database, "--op", "dropDatabase") == [("dropDatabase", database, 21)]
    assert told("--ns", f"{database}.c0", "--op", "insert") == [("insert", "c0", 1)]
    assert site.ok("pitr", "find", "--ns", f"{database}.c0", "--until", since.isoformat())[-1]["candidates"] == 0
    assert site.drtool("pitr", "find", "--ns", "x", "--op", "explode").code == 2


def test_to_just_before_a_database_was_dropped(site: Site, client: Client, database: str) -> None:
    client[database].create_collection("bare")
    next_second(client)
    held = hashes(client, database)
    client.drop_database(database)
    capture(site)
    [found, _] = site.ok("pitr", "find", "--ns", database, "--op", "dropDatabase")
    assert (found["count"], found["collections"]) == (24, 3)
    drops = site.ok("pitr", "find", "--ns", f"{database}.*", "--op", "drop")[:-1]
    assert found["position"] == drops[0]["position"]
    assert back(site, client, database, "--before", found["position"]) == held


def test_what_servers_and_restores_keep_is_passed_over(site: Site, client: Client, database: str) -> None:
    client[database].c0.aggregate([{"$out": "c1"}])
    client[database].drtool_restore.insert_one({"_id": 1})
    client[database].drtool_restore.drop()
    client[database].c0.drop()
    capture(site)

    def told(pattern: str, op: str) -> list[str]:
        return [line["namespace"] for line in site.ok("pitr", "find", "--ns", pattern, "--op", op)[:-1]]

    for pattern in (f"{database}.*", database):
        assert told(pattern, "rename") == []
        assert told(pattern, "drop") == [f"{database}.c1", f"{database}.c0"]
    assert len(told(f"{database}.c1", "rename")) == 1
    assert len(told(f"{database}.tmp.agg_out.*", "rename")) == 1
    assert told(f"{database}.drtool_restore", "drop") == [f"{database}.drtool_restore"]


def test_a_search_says_what_it_could_not_search(site: Site, client: Client, database: str) -> None:
    moment = _three_more(site, client, database)
    client[database].c0.drop()
    capture(site)
    find = ("pitr", "find", "--ns", f"{database}.c0", "--op", "insert")
    [*found, result] = site.ok(*find)
    assert (sum(line["count"] for line in found), result["gaps"]) == (3, [])
    archived = state(site)["timelines"][0]["archived"]
    assert result["searched"] == archived
    newest = datetime.fromisoformat(archived["to"])
    for bounds in (("--since", (newest + timedelta(hours=1)).isoformat()), ("--since", "2026-01-01T00:00:00Z")):
        ended = site.drtool(*find, *bounds)
        assert (ended.code, ended.result["error"]["kind"], len(ended.result["gaps"])) == (3, "partial", 1)
    same = ("--since", moment.isoformat(), "--until", moment.isoformat())
    assert site.drtool(*find, *same).code == 2

    site.objects("oplog")[-3].unlink()
    ended = site.drtool(*find)
    [gap] = ended.result["gaps"]
    assert (ended.code, [line["count"] for line in ended.lines[:-1]]) == (3, [1, 1])
    assert gap["from"] < gap["to"] <= archived["to"]
    assert "NOT searched" in site.told(*find).out
    # Of a time that is whole nothing is missing.
    before = datetime.fromisoformat(gap["from"])
    assert site.ok(*find, "--until", before.isoformat())[-1]["gaps"] == []

    site.objects("oplog")[0].unlink()
    ended = site.drtool(*find, "--until", before.isoformat())
    assert (ended.code, [one["why"] for one in ended.result["gaps"]]) == (3, ["what was archived before it is gone"])
    assert "NOT searched" in site.told(*find, "--until", before.isoformat()).out


def test_a_search_goes_on_past_what_cannot_be_read(site: Site, client: Client, database: str) -> None:
    for number in range(3):
        before = set(site.objects("packs"))
        client[database].c0.insert_one({"_id": f"more{number}"})
        next_second(client)
        capture(site)
        made = set(site.objects("packs")) - before
        if number == 1:
            middle = made
    for path in middle:
        path.unlink()
    find = ("pitr", "find", "--ns", f"{database}.c0", "--op", "insert")
    ended = site.drtool(*find)
    assert (ended.code, [line["count"] for line in ended.lines[:-1]]) == (3, [1, 1]), ended.out
    [gap] = ended.result["gaps"]
    assert "oplog/" in gap["why"]
    assert ended.lines[0]["time"] <= gap["from"] < gap["to"] <= ended.lines[1]["time"]


def test_nothing_to_search(tmp_path: Path, uri: str, database: str) -> None:
    site = Site(tmp_path, uri, {"nightly": (database,)}).set_up()
    ended = site.drtool("pitr", "find", "--ns", database)
    assert (ended.code, ended.result["error"]["kind"]) == (10, "out-of-reach")


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
    # What lies ahead of the gap can be reached still.
    [reachable] = ended.lines[0]["timelines"][0]["ranges"]
    assert reachable["to"] == gap["from"]
    back(site, client, database, "--at", reachable["to"])
    assert [each["_id"] for each in client[f"{database}_b"].c0.find({"_id": {"$type": "string"}})] == ["more0"]


def test_the_newest_segment_is_missing(site: Site, client: Client, database: str) -> None:
    moment = _three_more(site, client, database)
    site.objects("oplog")[-1].unlink()
    ended = site.drtool("pitr", "status")
    assert (ended.code, ended.result["error"]["kind"]) == (4, "tampered")
    refused = site.drtool("restore", "latest", "--at", moment.isoformat(), "--to", site.uri)
    assert (refused.code, refused.result["error"]["kind"]) == (10, "out-of-reach")
    assert ended.lines[0]["timelines"][0]["archived"]["to"] in refused.result["error"]["message"]


def test_a_time_that_the_clocks_on_the_wall_showed_twice_or_never(site: Site, client: Client, database: str) -> None:
    config = ("--config", str(site.config), "--json")
    berlin = {"TZ": "Europe/Berlin"}
    twice = drtool(*config, "restore", "latest", "--at", "2026-10-25T02:30:00", env=berlin)
    never = drtool(*config, "pitr", "find", "--ns", database, "--since", "2026-03-29T02:30:00", env=berlin)
    for ended, words in ((twice, "happened twice here"), (never, "there was no")):
        error = ended.result["error"]
        assert (ended.code, error["kind"], words in error["message"]) == (2, "usage", True), ended.out
        assert all(zone in error["hint"] for zone in ("+01:00", "+02:00"))
    assert not [name for name in client.list_database_names() if name.startswith(f"{database}_")]


def test_the_first_pass_begins_at_the_oldest_snapshot(tmp_path: Path, uri: str, client: Client, database: str) -> None:
    fill(client, database)
    site = Site(tmp_path, uri, {"nightly": (database,)}).set_up()
    site.backup()
    client[database].c0.insert_one({"_id": "between"})
    moment, held = next_second(client), hashes(client, database)
    client[database].c0.drop()
    site.backup()
    next_second(client)
    capture(site)
    [reachable] = state(site)["timelines"][0]["ranges"]
    assert reachable["snapshots"] == site.snapshots()
    assert back(site, client, database, "--at", moment.isoformat()) == held


def test_a_capped_collection_that_was_read_later_than_the_instant(site: Site, client: Client, database: str) -> None:
    log = client[database].create_collection("log", capped=True, size=100_000, max=4)
    log.insert_many([{"_id": number} for number in range(6)])

    def write_then_ask(reader: Client) -> Timestamp:
        """What is written while the collection is read, and after the first of its batches."""
        if log.find_one({"_id": "is read"}) is None:
            log.insert_many([{"_id": "while"}, {"_id": "it"}, {"_id": "is read"}])
        return last_applied(reader)

    with mock.patch("drtool.sources.mongodb.view.last_applied", write_then_ask):
        late = site.backup()["snapshot"]
    log.insert_one({"_id": "after"})
    held = next_second(client)
    capture(site)
    [point] = [line["sources"][0]["point"] for line in site.ok("show", late) if "sources" in line]
    assert point["read_until"] > point["cluster_time"]
    [entry] = client.local["oplog.rs"].find({"ns": f"{database}.log", "o._id": "is read"})
    before = ("--before", f"{entry['ts'].time}:{entry['ts'].inc}")
    back(site, client, database, *before)
    assert _ids(client, database) == [4, 5, "while", "it"]
    refused = site.drtool("restore", late, *before)
    assert (refused.code, "capped" in refused.result["error"]["message"]) == (10, True)
    back(site, client, database, "--at", held.isoformat())
    assert _ids(client, database) == ["while", "it", "is read", "after"]


def _ids(client: Client, database: str) -> list[object]:
    return [each["_id"] for each in client[f"{database}_b"].log.find()]


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


def test_a_pack_is_missing(site: Site, client: Client, database: str) -> None:
    next_second(client)
    next_second(client)
    capture(site)
    before = set(site.objects("packs"))
    moment = _three_more(site, client, database)
    for path in set(site.objects("packs")) - before:
        path.unlink()
    for host in (site, site.elsewhere("host", has_identity=False)):
        ended = host.drtool("pitr", "status")
        assert (ended.code, "packs/" in ended.result["error"]["message"]) == (4, True), ended.out
        [timeline] = ended.lines[0]["timelines"]
        for path in site.objects("oplog")[-3:]:
            assert path.name in " ".join(ended.lines[0]["problems"])
        # What leads through it is not promised.
        assert timeline["ranges"][0]["to"] < moment.isoformat()


def test_only_who_may_write_archives(site: Site, client: Client, database: str) -> None:
    reader = site.elsewhere("reader", has_agent=False)
    client[database].c0.insert_one({"_id": "new"})
    before = {path for kind in ("oplog", "packs", "index", "runs") for path in site.objects(kind)}
    for arguments in ((), ("--follow",)):
        ended = reader.drtool("pitr", "capture", *arguments)
        assert (ended.code, ended.result["error"]["kind"]) == (12, "wrong-key"), ended.out
    assert before == {path for kind in ("oplog", "packs", "index", "runs") for path in site.objects(kind)}
    assert state(site)["problems"] == []


def test_what_somebody_else_signed_counts_for_nothing(site: Site, client: Client, database: str) -> None:
    reader = site.elsewhere("reader", has_agent=False)
    client[database].c0.insert_one({"_id": "new"})
    with mock.patch("drtool.operations.pitr.capturing.require_writer"):
        reader.drtool("pitr", "capture")
    ended = site.drtool("pitr", "status")
    assert (ended.code, len(ended.lines[0]["problems"])) == (0, 1), ended.out
    assert "did not allow to sign a segment" in ended.lines[0]["problems"][0]
    capture(site)  # of the same entries, most likely: the name is taken then
    moment, held = next_second(client), hashes(client, database)
    capture(site)
    assert back(site, client, database, "--at", moment.isoformat()) == held


def test_a_quiet_pass_says_nothing(site: Site, client: Client, database: str) -> None:
    client[database].c0.insert_one({"_id": "new"})
    ended = site.told("-q", "pitr", "capture")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    client[database].c0.insert_one({"_id": "newer"})
    assert "1 segment)" in site.told("pitr", "capture").out
    assert site.drtool("pitr", "capture", "--every", "5s").code == 2


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


def test_in_place_to_just_before_what_went_wrong(site: Site, client: Client, database: str) -> None:
    client[database].c0.insert_one({"_id": "meant"})
    client[database].made.insert_one({"_id": 1})
    wanted = hashes(client, database)
    client[database].c0.delete_many({"_id": {"$gte": 0}})
    client[database].drop_collection("made")
    client[database].made.insert_one({"_id": "later"})
    ruined = hashes(client, database)
    next_second(client)
    capture(site)
    found = site.ok("pitr", "find", "--ns", f"{database}.c0", "--op", "delete")[0]
    result = site.ok("restore", "latest", "--before", found["position"], "--in-place", "--yes-replace", "nightly")[-1]
    assert hashes(client, database) == wanted
    site.ok("restore", result["safety"]["snapshot"], "--in-place", "--yes-replace", "nightly")
    assert hashes(client, database) == ruined
