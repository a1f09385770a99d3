"""Point in time for what was created, renamed or dropped after the snapshot, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.operations.pitr.site import next_second
from tests.operations.site import Site, connect
from tests.servers.mongod import shared
from tests.sources.mongo import Client

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Of a set that few write to, so that little is archived."""
    with connect(shared("pitr").uri) as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, client: Client, database: str) -> Site:
    """A host with a snapshot of three collections, from which an archive leads on."""
    for name in ("users", "orders", "tags"):
        client[database][name].insert_many([{"_id": number} for number in range(3)])
    site = Site(tmp_path, shared("pitr").uri, {"nightly": (database,)}).set_up()
    site.backup()
    site.ok("pitr", "capture")
    return site


def to_here(site: Site, client: Client) -> tuple[str, str, str, str]:
    """What restores everything that was done so far."""
    moment = next_second(client)
    site.ok("pitr", "capture")
    return "restore", "latest", "--at", moment.isoformat()


def beside(client: Client, database: str) -> dict[str, int]:
    """What restores have made beside the database: how many records, by collection."""
    return {
        f"{made.removeprefix(database)}.{name}": client[made][name].count_documents({})
        for made in client.list_database_names()
        if made.startswith(f"{database}_")
        for name in client[made].list_collection_names()
    }


def test_one_that_was_renamed_keeps_the_name_that_it_was_given(site: Site, client: Client, database: str) -> None:
    client[database].users.rename("people")
    client[database].people.insert_one({"_id": "later"})
    for number in range(3):
        client[database][f"other{number}"].insert_one({})
    arguments = ("--only", f"{database}.users", "--rename", f"{database}.users={database}_b.ub")
    ended = site.ok(*to_here(site, client), *arguments)[-1]
    assert beside(client, database) == {"_b.ub": 4}
    change = {
        "stream": f"{database}.users",
        "became": "renamed",
        "now": f"{database}.people",
        "name": f"{database}_b.ub",
    }
    assert ended["changes"] == [change]
    assert (ended["records"], ended["expected_records"]) == (4, 3)


def test_its_new_name_can_be_given_another(site: Site, client: Client, database: str) -> None:
    client[database].users.rename("people")
    names = ("--rename", f"{database}.users={database}_b.u", "--rename", f"{database}.people={database}_b.p")
    site.ok(*to_here(site, client), "--only", f"{database}.users", *names)
    assert beside(client, database) == {"_b.p": 3}


def test_one_under_a_name_of_its_own_and_new_ones_beside(site: Site, client: Client, database: str) -> None:
    client[database].new.insert_one({})
    site.ok(
        *to_here(site, client), "--rename", f"{database}.users={database}_b.u", "--rename", f"{database}={database}_c"
    )
    assert beside(client, database) == {"_b.u": 3, "_c.orders": 3, "_c.tags": 3, "_c.new": 1}


def test_of_all_one_under_a_name_of_its_own_is_renamed(site: Site, client: Client, database: str) -> None:
    client[database].users.rename("people")
    names = ("--rename", f"{database}.users={database}_b.u", "--rename", f"{database}={database}_c")
    ended = site.ok(*to_here(site, client), *names)[-1]
    assert beside(client, database) == {"_c.people": 3, "_c.orders": 3, "_c.tags": 3}
    assert [each["name"] for each in ended["changes"]] == [f"{database}_c.people"]


@pytest.mark.parametrize("dry", [True, False])
def test_two_for_one_name_are_refused_before_anything(site: Site, client: Client, database: str, dry: bool) -> None:
    client[database].users.rename("people")
    client[database].users.insert_one({"_id": "other"})
    arguments = ("--only", f"{database}.users", "--rename", f"{database}.users={database}_b.ub")
    ended = site.drtool(*to_here(site, client), *arguments, *(["--dry-run"] if dry else []))
    assert ended.code != 0
    assert f"{database}.people would both be restored as {database}_b.ub" in ended.result["error"]["message"]
    assert beside(client, database) == {}


def test_only_what_came_after_the_snapshot(site: Site, client: Client, database: str) -> None:
    source = client[database]
    source.made.insert_one({"_id": 1})
    source.users.rename("people")
    source.people.insert_one({"_id": "later"})
    source.tmp.insert_many([{"_id": number} for number in range(5)])
    source.tmp.rename("imported")
    source.orders.aggregate([{"$out": "copied"}])
    source.create_collection("seen", viewOn="made", pipeline=[])
    source.gone.insert_one({})
    source.gone.drop()
    command = to_here(site, client)
    for name, count in {"made": 1, "people": 4, "imported": 5, "copied": 3}.items():
        rename = ("--rename", f"{database}={database}_{name}")
        told = site.ok(*command, "--only", f"{database}.{name}", *rename)[-1]
        assert beside(client, database) == {f"_{name}.{name}": count}
        assert (told["records"], told["restored_streams"]) == (count, 1)
        client.drop_database(f"{database}_{name}")
    for pattern in (f"{database}.gone", f"{database}.tmp", "no_such_database"):
        ended = site.drtool(*command, "--only", pattern)
        assert (ended.code, ended.result["error"]["kind"]) == (2, "usage")
        assert f"--only {pattern} fits nothing" in ended.result["error"]["message"]
    assert beside(client, database) == {}
    shown = site.told(*command, "--only", f"{database}.people", "--dry-run").out
    assert f"{database}.users → a name that the log gives it later (3)" in shown
    assert f"{database}.people → {database}_restored_" in shown
    views = site.ok(*command, "--only", f"{database}.seen", "--only", f"{database}.made")[-1]
    assert views["restored_streams"] == 2


def test_another_one_of_the_snapshot_replaces_the_one_asked_for(site: Site, client: Client, database: str) -> None:
    source = client[database]
    source.orders.create_index("x", name="x")
    source.orders.insert_one({"_id": "later"})
    source.orders.rename("users", dropTarget=True)
    source.tags.rename("orders")
    ended = site.ok(*to_here(site, client), "--only", f"{database}.users", "--rename", f"{database}={database}_b")[-1]
    assert beside(client, database) == {"_b.users": 4}
    assert "x" in client[f"{database}_b"].users.index_information()
    assert [(each["stream"], each["became"], each["name"]) for each in ended["changes"]] == [
        (f"{database}.orders", "renamed", f"{database}_b.users")
    ]


def test_only_a_new_database(site: Site, client: Client, database: str) -> None:
    other = client[f"{database}new"]
    other.a.insert_one({"_id": 1})
    other.tmp.insert_many([{"_id": number} for number in range(2)])
    other.tmp.rename("b")
    command = (*to_here(site, client), "--only", f"{database}new", "--rename", f"{database}new={database}_n")
    told = site.told(*command, "--dry-run")
    assert f"{database}new.a → {database}_n.a" in told.out
    site.ok(*command)
    assert beside(client, database) == {"_n.a": 1, "_n.b": 2}
    ended = site.drtool(*command)
    assert (ended.code, f"{database}_n.a: 1 document" in ended.result["error"]["message"]) == (20, True)


def test_what_stands_in_the_way_of_what_the_log_makes(site: Site, client: Client, database: str) -> None:
    client[database].made.insert_one({"_id": 1})
    client[f"{database}_b"].mine.insert_one({"_id": 1})
    rename = ("--rename", f"{database}.made={database}_b.mine")
    ended = site.drtool(*to_here(site, client), "--only", f"{database}.users", "--only", f"{database}.made", *rename)
    assert (ended.code, f"{database}_b.mine: 1 document" in ended.result["error"]["message"]) == (20, True)
    assert beside(client, database) == {"_b.mine": 1}


def test_the_result_says_what_is_there(site: Site, client: Client, database: str) -> None:
    source = client[database]
    source.users.drop()
    source.orders.delete_many({})
    source.tags.rename("labels")
    source.labels.insert_many([{} for _ in range(7)])
    command = (*to_here(site, client), "--rename", f"{database}={database}_b")
    ended = site.ok(*command)[-1]
    assert beside(client, database) == {"_b.orders": 0, "_b.labels": 10}
    assert (ended["records"], ended["expected_records"], ended["restored_streams"]) == (10, 9, 2)
    assert [(each["stream"], each["became"]) for each in ended["changes"]] == [
        (f"{database}.{name}", became)
        for name, became in (("orders", "emptied"), ("tags", "renamed"), ("users", "dropped"))
    ]
    client.drop_database(f"{database}_b")
    told = site.told(*command).out
    assert f"{database}.users is not there: it was dropped" in told
    assert f"{database}.tags was renamed to {database}.labels" in told
    assert f"{database}_b.orders is empty" in told
    assert "restored 10 records" in told
    assert f"recovered to {ended['recovered_to']}" in told


def test_dropped_and_made_anew_is_there(site: Site, client: Client, database: str) -> None:
    client[database].users.drop()
    client[database].users.insert_one({"_id": "anew"})
    ended = site.ok(*to_here(site, client), "--only", f"{database}.users")[-1]
    assert (ended["records"], ended["changes"]) == (1, [])


def test_a_replay_that_fails_leaves_nothing_parked(
    site: Site, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from drtool.errors import SourceError
    from drtool.sources.mongodb.oplog.replaying.writing import Writer

    client[database].tmp.insert_one({"_id": 1})
    client[database].users.insert_one({"_id": "more"})
    client[database].tmp.rename("users", dropTarget=True)
    command = (*to_here(site, client), "--only", f"{database}.users", "--rename", f"{database}={database}_b")

    def rename(self: Writer, *_arguments: Any) -> None:
        self.flush()
        assert [name for name in beside(client, database) if "drtool_restore." in name]
        raise SourceError("the server went away")

    monkeypatch.setattr(Writer, "rename", rename)
    ended = site.drtool(*command)
    assert (ended.code, ended.result["error"]["message"]) == (1, "the server went away")
    assert "the same command begins anew and replaces it" in ended.err
    assert beside(client, database) == {"_b.drtool_restore": 1}
    monkeypatch.undo()
    site.ok(*command)
    assert beside(client, database) == {"_b.users": 1}


def test_a_fraction_of_a_second_is_not_promised(site: Site, client: Client) -> None:
    command = to_here(site, client)
    told = site.told(*command[:-1], command[-1].replace("+00:00", ".5+00:00"), "--dry-run")
    assert f"replays the archived log to {command[-1]} (" in told.out


def test_what_restores_leave_is_not_backed_up(site: Site, client: Client, database: str) -> None:
    for name in ("drtool_restore", "drtool_restore.0a1b"):
        client[database][name].insert_one({"_id": 1})
    site.backup()
    streams = [line["name"] for line in site.ok("show", "latest")[:-1]]
    assert streams == [f"{database}.{name}" for name in ("orders", "tags", "users")]
