"""Replaying what happened to records: every kind of collection, bytes, transactions, and where to stop."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import bson
import pytest
from bson import Timestamp
from pymongo import MongoClient

from drtool.errors import IncompleteRestoreError, UsageError
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.restoring import Stop
from tests.sources import mongo_zoo
from tests.sources.mongo import Client, document, encoded, insert_raw, int32, raw_documents
from tests.sources.oplog.replays import SUFFIX, check_same, entries, now, pair, replay, replay_all, take

AT = datetime(2024, 1, 1, tzinfo=UTC)


def test_inserts_updates_and_deletions(replica_set: Server, client: Client, database: str) -> None:
    records = client[database]["c"]
    records.insert_many([{"_id": i, "n": i, "deep": {"list": [1, 2, 3]}} for i in range(3000)])
    taken = take(replica_set.uri, database)
    records.update_many({"_id": {"$lt": 1500}}, {"$set": {"n": -1, "deep.list.1": "x"}, "$unset": {"none": 1}})
    records.replace_one({"_id": 7}, {"whole": True})
    records.delete_many({"_id": {"$gte": 2000}})
    records.insert_many([{"_id": i, "again": True} for i in range(2500, 4000)])
    records.insert_one({"_id": "large", "x": b"x" * (16 * 1024 * 1024 - 40)})
    done = replay_all(replica_set.uri, client, taken)
    assert done.operations == 1500 + 1 + 1000 + 1500 + 1
    check_same(replica_set.uri, client, database)


def test_records_with_large_ids(replica_set: Server, client: Client, database: str) -> None:
    """A command has a limit, and an update holds the id as well."""
    records = client[database]["c"]
    records.insert_many([{"_id": "x" * 20_000 + str(i)} for i in range(1000)])
    taken = take(replica_set.uri, database)
    records.update_many({}, {"$set": {"n": 1}})
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)


def test_every_kind_of_id_and_value(replica_set: Server, client: Client, database: str) -> None:
    client[database].create_collection("none")
    taken = take(replica_set.uri, database)
    mongo_zoo.fill_values(client[database])
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)


def test_ids_that_are_equal_and_differ_in_bytes(replica_set: Server, client: Client, database: str) -> None:
    numbers = client[database]["numbers"]
    words = client[database].create_collection("words", collation={"locale": "en", "strength": 1})
    numbers.insert_many([{"_id": 1}, {"_id": 2.0}])
    words.insert_one({"_id": "a"})
    taken = take(replica_set.uri, database)
    for _ in range(3):
        numbers.delete_one({"_id": 1})
        numbers.insert_one({"_id": 1.0})
        numbers.delete_one({"_id": 1})
        numbers.insert_one({"_id": bson.Int64(1)})
        words.delete_one({"_id": "a"})
        words.insert_one({"_id": "A"})
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)


def test_empty_timestamps(replica_set: Server, client: Client, database: str) -> None:
    records = client[database]["c"]
    records.insert_many([{"_id": i} for i in range(4)])
    taken = take(replica_set.uri, database)
    mongo_zoo.put_empty_timestamp(client[database], "c", 9)
    records.update_one({"_id": 0}, {"$set": {"t": Timestamp(0, 0)}})
    whole = {"_id": 1, "t": Timestamp(0, 0), "n": 1}
    records.update_one({"_id": 1}, [{"$replaceRoot": {"newRoot": {"$literal": whole}}}])
    records.update_one({"_id": 1}, {"$set": {"n": 2}})
    records.update_one({"_id": 9}, {"$set": {"other": "x" * 100}})
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)
    assert records.find_one({"_id": 1, "t": Timestamp(0, 0), "n": 2})


def test_fields_of_the_same_name_and_invalid_records(replica_set: Server, client: Client, database: str) -> None:
    client[database].create_collection("c", validator={"age": {"$gte": 0}})
    taken = take(replica_set.uri, database)
    twice = document((0x10, "_id", int32(1)), (0x10, "a", int32(1)), (0x10, "a", int32(2)))
    insert_raw(client[database], "c", [twice, encoded({"_id": 2, "age": -1})])
    replay_all(replica_set.uri, client, taken)
    assert raw_documents(client[database + SUFFIX], "c", {"_id": 1})[0] == twice
    check_same(replica_set.uri, client, database)


def test_capped_time_series_and_clustered(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source.create_collection("capped", capped=True, size=8192, max=7)
    source["capped"].insert_many([{"_id": i} for i in range(10)])
    source.create_collection("series", timeseries={"timeField": "at", "metaField": "who"})
    source["series"].insert_one({"at": AT, "who": 1, "v": 1})
    source.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    source["clustered"].insert_one({"_id": AT})
    taken = take(replica_set.uri, database)
    for number in range(10, 25):
        source["capped"].insert_one({"_id": number * 7 % 31 + 100})
        source["series"].insert_one({"at": AT, "who": number % 3, "v": number})
    source["clustered"].insert_one({"_id": AT.replace(year=2025)})
    source["clustered"].delete_one({"_id": AT})
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)


def test_transactions_and_nested_operations(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source["c"].insert_one({"_id": 0})
    source.create_collection("d")
    with client.start_session() as early, client.start_session() as aborted:
        early.start_transaction()
        source["c"].insert_many([{"_id": i, "x": b"x" * 1_000_000} for i in range(1, 21)], session=early)
        taken = take(replica_set.uri, database)
        source["d"].insert_one({"_id": "between"})
        early.commit_transaction()
        aborted.start_transaction()
        source["d"].insert_one({"_id": "aborted"}, session=aborted)
        aborted.abort_transaction()
    inner = {"op": "i", "ns": f"{database}.d", "o": {"_id": "nested"}}
    nested = {"op": "c", "ns": "admin.$cmd", "o": {"applyOps": [inner]}}
    client.admin.command({"applyOps": [nested], "allowAtomic": False})
    source["c"].update_one({"_id": 3}, {"$set": {"after": 1}})
    replay_all(replica_set.uri, client, taken)
    check_same(replica_set.uri, client, database)
    assert source["d"].count_documents({}) == 2


def test_where_to_stop(replica_set: Server, client: Client, database: str) -> None:
    records = client[database]["c"]
    records.insert_one({"_id": 0})
    taken = take(replica_set.uri, database)
    for number in range(1, 6):
        records.insert_one({"_id": number})
    log = entries(client, taken.point["replay_from"])
    at = {each["o"]["_id"]: each["ts"] for each in map(bson.decode, log) if each["ns"] == f"{database}.c"}
    last = bson.decode(log[-1])["ts"]
    stops = [
        (Stop(pair(at[3])), 3, pair(at[3])),
        (Stop([at[5].time + 1000, 1]), 5, pair(last)),
        (Stop(None), 5, pair(last)),
        (Stop(taken.point["cluster_time"]), 0, taken.point["cluster_time"]),
        (Stop(pair(at[3]), before=True), 2, None),
    ]
    for number, (stop, expected, position) in enumerate(stops):
        plan = taken.plan(f"{database}={database}_{number}")
        with closing(MongoTarget(replica_set.uri)) as target:
            done = replay(target, taken, plan, log, stop)
        found = [each["_id"] for each in client[f"{database}_{number}"]["c"].find().sort("_id", 1)]
        assert found == list(range(expected + 1))
        if position is not None:
            assert done.position == position
        else:  # somebody else may have written between the two
            assert pair(at[2]) <= done.position < pair(at[3])
    with closing(MongoTarget(replica_set.uri)) as target, pytest.raises(UsageError, match="which is after"):
        seconds, increment = taken.point["cluster_time"]
        target.replay(taken.plan(), taken.point, log, Stop([seconds - 1, increment]))


def test_an_update_of_what_is_not_there(replica_set: Server, client: Client, database: str) -> None:
    records = client[database]["c"]
    records.insert_many([{"_id": i} for i in range(3)])
    taken = take(replica_set.uri, database)
    records.update_one({"_id": 1}, {"$set": {"n": 1}})
    log = entries(client, taken.point["replay_from"])
    plan = taken.plan()
    with closing(MongoTarget(replica_set.uri)) as target:
        target.begin(plan)  # and nothing is loaded
        with pytest.raises(IncompleteRestoreError) as caught:
            target.replay(plan, taken.point, log, None)
    for part in (f"{database}{SUFFIX}.c", "update", "_id 1"):
        assert part in caught.value.message
    assert client[database + SUFFIX]["c"].count_documents({}) == 0


def test_nothing_happened(replica_set: Server, client: Client, database: str) -> None:
    client[database]["c"].insert_one({"_id": 1})
    taken = take(replica_set.uri, database)
    with closing(MongoTarget(replica_set.uri)) as target:
        done = replay(target, taken, taken.plan(), [])
    assert (done.operations, done.position) == (0, taken.point["cluster_time"])
    assert tuple(pair(now(client))) >= tuple(done.position)
    check_same(replica_set.uri, client, database)


def test_into_a_standalone(replica_set: Server, standalone: Server, client: Client, database: str) -> None:
    records = client[database]["c"]
    records.insert_many([{"_id": i} for i in range(10)])
    taken = take(replica_set.uri, database)
    records.update_one({"_id": 1}, {"$set": {"n": 1}})
    records.delete_one({"_id": 2})
    client[database]["d"].insert_one({"_id": 3})
    with closing(MongoTarget(standalone.uri)) as target:
        replay(target, taken, taken.plan(), entries(client, taken.point["replay_from"]))
    other: Client
    with MongoClient(standalone.uri) as other:
        assert list(other[database + SUFFIX]["c"].find()) == list(records.find())
        assert list(other[database + SUFFIX]["d"].find()) == [{"_id": 3}]
        other.drop_database(database + SUFFIX)
