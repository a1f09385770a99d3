"""Replaying what happened to collections, indexes and views."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest

from drtool.errors import IncompleteRestoreError
from drtool.sources.mongodb.definitions import Definition
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.target import MongoTarget
from tests.sources import mongo_zoo
from tests.sources.contract import load_all
from tests.sources.mongo import Client, unique_database
from tests.sources.oplog.replays import SUFFIX, check_same, entries, replay_all, take

AT = datetime(2024, 1, 1, tzinfo=UTC)


def test_everything_is_created(replica_set: Server, client: Client, database: str) -> None:
    client[database]["c"].insert_one({"_id": 1})
    taken = take(replica_set.uri, database)
    mongo_zoo.fill_collections(client[database])
    mongo_zoo.fill_indexes(client[database])
    mongo_zoo.fill_values(client[database])
    mongo_zoo.fill_views(client[database])
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)


def test_everything_is_dropped_and_some_comes_again(replica_set: Server, client: Client, database: str) -> None:
    mongo_zoo.fill_collections(client[database])
    mongo_zoo.fill_views(client[database])
    taken = take(replica_set.uri, database)
    client.drop_database(database)
    client[database]["big"].insert_one({"_id": "new"})
    client[database]["system.js"].insert_one({"_id": "new", "value": 1})
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)


def test_indexes_follow_renames(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    for name in ("a", "b", "c"):
        source[name].insert_one({"_id": name, "x": 1})
        source[name].create_index(f"of_{name}", name=f"of {name}")
    taken = take(replica_set.uri, database)
    source["a"].create_index("later", name="later", unique=True, sparse=True)
    source["a"].rename("d")
    source["d"].update_one({"_id": "a"}, {"$set": {"renamed": 1}})
    source["b"].rename("c", dropTarget=True)
    source["a"].insert_one({"_id": "another under the name"})
    source["a"].create_index("fresh", name="fresh")
    source["d"].drop_index("of a")
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)
    assert set(client[database + SUFFIX]["d"].index_information()) == {"_id_", "later"}
    assert set(client[database + SUFFIX]["c"].index_information()) == {"_id_", "of b"}


@pytest.mark.parametrize("succeeds", [True, False])
def test_an_index_is_being_built(testable: Server, chaining: Client, succeeds: bool) -> None:
    """At the snapshot's instant it may still fail, and is not there; the log tells what became of it."""
    database = unique_database(chaining)
    records = chaining[database]["c"]
    records.insert_many([{"_id": number, "u": number if succeeds else 1} for number in range(10)])
    point = {"configureFailPoint": "hangAfterStartingIndexBuild"}
    times = chaining.admin.command({**point, "mode": "alwaysOn"})["count"]
    with ThreadPoolExecutor(1) as pool:
        try:
            building = pool.submit(records.create_index, "u", name="u", unique=True)
            reached = {"waitForFailPoint": point["configureFailPoint"], "timesEntered": times + 1, "maxTimeMS": 60_000}
            chaining.admin.command(reached)
            taken = take(testable.uri, database)
        finally:
            chaining.admin.command({**point, "mode": "off"})
        assert (building.exception() is None) == succeeds
    assert Definition.decode(taken.copies[f"{database}.c"].stream.definition).indexes == ()
    replay_all(testable.uri, chaining, taken)
    check_same(testable.uri, chaining, database)
    assert ("u" in chaining[database + SUFFIX]["c"].index_information()) == succeeds


def test_names_are_exchanged(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source["a"].insert_one({"_id": "a"})
    source["b"].insert_one({"_id": "b"})
    taken = take(replica_set.uri, database)
    source["a"].rename("t")
    source["b"].rename("a")
    source["t"].rename("b")
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)


def test_collections_and_indexes_are_modified(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source["c"].insert_one({"_id": 1, "old": AT})
    for name in ("hidden", "seen", "unique"):
        source["c"].create_index(name, name=name)
    source["c"].create_index("expiring", name="expiring", expireAfterSeconds=10**9)
    source["c"].create_index("was", name="was hidden", hidden=True)
    source.create_collection("capped", capped=True, size=8192, max=5)
    source.create_collection("series", timeseries={"timeField": "at", "metaField": "m"}, expireAfterSeconds=10**9)
    source["series"].insert_one({"at": AT, "m": 1, "v": 1})
    source.create_collection("lasting", clusteredIndex={"key": {"_id": 1}, "unique": True}, expireAfterSeconds=10**9)
    source.create_collection("checked", validator={"a": 1})
    taken = take(replica_set.uri, database)
    for change in (
        {"name": "hidden", "hidden": True},
        {"name": "was hidden", "hidden": False},
        {"name": "expiring", "expireAfterSeconds": 10**9 + 1},
        {"name": "unique", "prepareUnique": True},
        {"name": "unique", "unique": True},
        {"name": "seen", "prepareUnique": True},
    ):
        source.command({"collMod": "c", "index": change})
    source.command({"collMod": "c", "validator": {"x": {"$exists": False}}, "validationAction": "warn"})
    source.command({"collMod": "c", "changeStreamPreAndPostImages": {"enabled": True}})
    source.command({"collMod": "capped", "cappedMax": 50})
    source.command({"collMod": "series", "timeseries": {"granularity": "hours"}})
    source.command({"collMod": "series", "expireAfterSeconds": 10**9 + 5})
    source.command({"collMod": "lasting", "expireAfterSeconds": "off"})
    source.command({"collMod": "checked", "validator": {}})
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)


def test_indexes_of_time_series(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source.create_collection("s", timeseries={"timeField": "at", "metaField": "who"})
    source["s"].insert_one({"at": AT, "who": {"x": 1}, "v": 1})
    source["s"].create_index([("who", 1)], name="there")
    taken = take(replica_set.uri, database)
    source["s"].create_index([("who.x", -1), ("at", -1)], name="both")
    source["s"].create_index([("at", 1)], name="at")
    source["s"].create_index([("v", 1)], name="measured")
    source["s"].create_index([("who", 1)], name="partial", partialFilterExpression={"who": {"$gt": 1}})
    source.command({"collMod": "s", "index": {"name": "both", "hidden": True}})
    source["s"].drop_index("there")
    source.create_collection("plain", timeseries={"timeField": "at"})
    source["plain"].create_index([("at", -1)], name="down")
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)


def test_what_the_server_makes_and_renames(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source["c"].insert_many([{"_id": i} for i in range(100)])
    source["c"].create_index("n", name="n")
    source["replaced"].insert_one({"_id": "old"})
    source.create_collection("elsewhere")
    taken = take(replica_set.uri, database)
    source["c"].aggregate([{"$match": {"_id": {"$gt": 50}}}, {"$out": "replaced"}])
    source["c"].aggregate([{"$out": "made"}])
    source.command({"convertToCapped": "c", "size": 100_000})
    source["c"].insert_one({"_id": 1000})
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)
    assert client[database + SUFFIX].command("collStats", "c")["capped"]


def test_views_are_made_modified_and_dropped(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source["c"].insert_one({"_id": 1})
    for name in ("kept", "changed", "dropped"):
        source.command({"create": name, "viewOn": "c", "pipeline": []})
    taken = take(replica_set.uri, database)
    source.command({"collMod": "changed", "viewOn": "kept", "pipeline": [{"$match": {"_id": 1}}]})
    source.drop_collection("dropped")
    join = {"from": "changed", "localField": "_id", "foreignField": "_id", "as": "x"}
    source.command({"create": "new", "viewOn": "changed", "pipeline": [{"$lookup": join}]})
    source["c"].rename("moved")
    source.command({"create": "c", "viewOn": "moved", "pipeline": []})
    plan = taken.plan(f"{database}.*={database}{SUFFIX}.old_*")
    replay_all(replica_set.uri, client, taken, plan)
    restored = client[database + SUFFIX]
    assert sorted(restored.list_collection_names()) == [
        *("old_c", "old_changed", "old_kept", "old_moved", "old_new", "system.views")
    ]
    assert list(restored["old_new"].find()) == [{"_id": 1, "x": [{"_id": 1}]}]


def test_nothing_expires_before_all_is_there(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source["c"].insert_one({"_id": 1})
    taken = take(replica_set.uri, database)
    source["c"].create_index("at", name="ttl", expireAfterSeconds=10**9)
    source.create_collection("s", timeseries={"timeField": "at"}, expireAfterSeconds=10**9)
    source.create_collection("l", clusteredIndex={"key": {"_id": 1}, "unique": True}, expireAfterSeconds=10**9)
    log, plan = entries(client, taken.point["replay_from"]), taken.plan()
    restored = client[database + SUFFIX]

    def expiring() -> set[str]:
        options = {each["name"] for each in restored.list_collections() if "expireAfterSeconds" in each["options"]}
        return options | {name for name, spec in restored["c"].index_information().items() if len(spec) > 2}

    with closing(MongoTarget(replica_set.uri)) as target:
        target.begin(plan)
        load_all(target, plan, taken.copies)
        target.replay(plan, taken.point, log, None)
        assert expiring() == set()
        target.finish(plan, lambda sentence: None)
    assert expiring() == {"ttl", "s", "system.buckets.s", "l"}
    check_same(replica_set.uri, client, database)


def test_duplicates_under_an_index_of_the_log(replica_set: Server, client: Client, database: str) -> None:
    records = client[database]["c"]
    records.insert_many([{"_id": i, "mail": i} for i in range(5)])
    taken = take(replica_set.uri, database)
    records.create_index("mail", name="by mail", unique=True)
    log, plan = entries(client, taken.point["replay_from"]), taken.plan()
    with closing(MongoTarget(replica_set.uri)) as target:
        target.begin(plan)
        load_all(target, plan, taken.copies)
        client[database + SUFFIX]["c"].insert_one({"_id": "planted", "mail": 3})
        target.replay(plan, taken.point, log, None)
        with pytest.raises(IncompleteRestoreError, match=r"by mail.*mail: 3"):
            target.finish(plan, lambda sentence: None)
    assert client[database + SUFFIX]["c"].count_documents({}) == 6
