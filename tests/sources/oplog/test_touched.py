"""Each case in which a simple look into the oplog misses ids that changed."""

from __future__ import annotations

import random
import uuid
from bisect import bisect_right
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.code import Code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drtool.sources.mongodb.oplog.order import sort_key
from drtool.sources.mongodb.server import Server
from tests.sources.mongo import Client, Document, encoded, insert_raw, unique_database
from tests.sources.oplog.bases import HandMade, changes_since, frozen, key, point, records, touched
from tests.sources.oplog.conftest import OPERATIONS


class Watched:
    """A collection with a base whose bounds are `ids`, from an instant on."""

    def __init__(self, server: Server, client: Client, database: str, *ids: object, name: str = "c") -> None:
        self.uri, self.client, self.database, self.name = server.uri, client, database, f"{database}.{name}"
        self.base = HandMade.of(*ids)
        self.since = point(server.uri, database)

    def touched(self) -> set[int]:
        """The numbers of the touched chunks."""
        return touched(changes_since(self.uri, self.since, {self.name: self.base}), self.name)

    def full(self) -> str:
        """Why the stream must be read in full."""
        found = changes_since(self.uri, self.since, {self.name: self.base})
        assert not found.full_because
        return found.full[self.name]


@pytest.fixture
def ten(replica_set: Server, client: Client, database: str) -> Watched:
    """A collection with the ids 0, 10, … 90, each of which begins a chunk."""
    ids = range(0, 100, 10)
    client[database]["c"].insert_many([{"_id": i} for i in ids])
    return Watched(replica_set, client, database, *ids)


def test_nothing_is_touched_when_nothing_happened(ten: Watched) -> None:
    ten.client[ten.database]["other"].insert_one({"_id": 10})
    assert ten.touched() == set()
    assert ten.base.asked == []


def test_every_kind_of_write_touches_its_chunk(ten: Watched) -> None:
    collection = ten.client[ten.database]["c"]
    collection.insert_one({"_id": 15})
    collection.update_one({"_id": 30}, {"$set": {"x": 1}})
    collection.replace_one({"_id": 50}, {"x": 1})
    collection.delete_one({"_id": 70})
    collection.insert_one({"_id": 1000})
    assert ten.touched() == {1, 3, 5, 7, 9}
    assert ten.base.asked == [0, 1, 2, 3]


def test_an_insert_before_the_first_key_touches_the_first_chunk(ten: Watched) -> None:
    ten.client[ten.database]["c"].insert_one({"_id": -5})
    ten.client[ten.database]["c"].insert_one({"_id": MinKey()})
    assert ten.touched() == {0}


def test_all_of_a_chunk_deleted_but_its_boundary(ten: Watched) -> None:
    ten.client[ten.database]["c"].insert_many([{"_id": i} for i in range(31, 39)])
    ten.since = point(ten.uri, ten.database)
    ten.client[ten.database]["c"].delete_many({"_id": {"$gt": 30, "$lt": 39}})
    assert ten.touched() == {3}


def test_only_what_lies_between_the_instants_counts(ten: Watched) -> None:
    collection = ten.client[ten.database]["c"]
    collection.update_one({"_id": 30}, {"$set": {"x": 1}})
    ten.since = point(ten.uri, ten.database)
    collection.update_one({"_id": 50}, {"$set": {"x": 1}})
    with frozen(ten.uri, ten.database) as view:
        collection.update_one({"_id": 70}, {"$set": {"x": 1}})
        found = touched(view.changes(ten.since, {ten.name: ten.base}), ten.name)
    assert found == {5}


def test_renamed_away_updated_and_renamed_back(ten: Watched) -> None:
    database = ten.client[ten.database]
    database["c"].rename("away")
    database["away"].update_one({"_id": 20}, {"$set": {"x": 1}})
    database["c"].insert_one({"_id": 60})  # another collection under its name
    database["c"].drop()
    database["away"].rename("c")
    assert ten.touched() == {2}


def test_index_builds_and_options_touch_nothing(ten: Watched) -> None:
    database = ten.client[ten.database]
    database["c"].create_index("x")
    database["c"].create_index("y", hidden=True)
    database.command({"collMod": "c", "validator": {}})
    database["c"].drop_index("x_1")
    database.create_collection("v", viewOn="c")
    database["gone"].insert_one({})
    database["gone"].rename("gone_too")
    database["gone_too"].drop()
    ten.client.drop_database(ten.database + "_other")
    assert ten.touched() == set()


def test_a_transaction_counts_when_it_is_committed_and_not_when_it_is_aborted(ten: Watched) -> None:
    collection = ten.client[ten.database]["c"]
    with ten.client.start_session() as session:
        with session.start_transaction():
            collection.update_one({"_id": 20}, {"$set": {"x": 1}}, session=session)
            collection.delete_one({"_id": 40}, session=session)
            collection.insert_one({"_id": 65}, session=session)
        session.start_transaction()
        collection.delete_one({"_id": 90}, session=session)
        session.abort_transaction()
    assert ten.touched() == {2, 4, 6}


def in_parts(client: Client, database: str, count: int) -> list[Document]:
    """A transaction of `count` inserts (1, 3, 5, …) that is logged in several entries; returns them."""
    with client.start_session() as session, session.start_transaction():
        client[database]["c"].insert_many([{"_id": 2 * i + 1} for i in range(count)], session=session)
    return list(client["local"]["oplog.rs"].find({"op": "c", "o.applyOps.ns": f"{database}.c"}).sort("$natural", 1))


def watched_chain(testable: Server, client: Client) -> Watched:
    """A collection of a database of its own with the ids 0, 10, … 90, each of which begins a chunk."""
    database = unique_database(client)
    client[database]["c"].insert_many([{"_id": i} for i in range(0, 100, 10)])
    return Watched(testable, client, database, *range(0, 100, 10))


def test_a_transaction_of_which_the_first_part_lies_before_the_base(testable: Server, chaining: Client) -> None:
    watched = watched_chain(testable, chaining)
    begun, middle, last = in_parts(chaining, watched.database, 40)
    only_there = {operation["o"]["_id"] for operation in begun["o"]["applyOps"]}
    rest = {operation["o"]["_id"] for part in (middle, last) for operation in part["o"]["applyOps"]}
    assert len(only_there) == OPERATIONS
    assert {i // 10 for i in only_there} - {i // 10 for i in rest}
    # as a base would be whose account may not read config.transactions
    at = [middle["ts"].time, middle["ts"].inc]
    watched.since |= {"cluster_time": at, "replay_from": at}
    assert watched.touched() == {i // 10 for i in only_there | rest}


def test_a_base_inside_a_transaction_says_from_where_to_look(testable: Server, chaining: Client) -> None:
    watched = watched_chain(testable, chaining)
    begun, middle, last = in_parts(chaining, watched.database, 40)
    assert begun["o"]["partialTxn"]
    assert last["o"]["count"] == 40
    watched.since |= {
        "cluster_time": [middle["ts"].time, middle["ts"].inc],
        "replay_from": [begun["ts"].time, begun["ts"].inc],
    }
    assert watched.touched() == set(range(8))


def uuid_of(client: Client, database: str, name: str) -> Binary:
    """A collection's UUID."""
    [found] = client[database].list_collections(filter={"name": name})
    uuid: Binary = found["info"]["uuid"]
    return uuid


@pytest.mark.parametrize("with_uuid", [True, False])
@pytest.mark.parametrize("atomic", [True, False])
def test_operations_nested_in_operations_of_another_database(ten: Watched, with_uuid: bool, atomic: bool) -> None:
    ui = {"ui": uuid_of(ten.client, ten.database, "c")} if with_uuid else {}
    operations: list[Document] = [
        {"op": "i", "ns": ten.name, **ui, "o": {"_id": 15}},
        {"op": "u", "ns": ten.name, **ui, "o2": {"_id": 40}, "o": {"$v": 2, "diff": {"i": {"x": 1}}}},
        {"op": "d", "ns": ten.name, **ui, "o": {"_id": 70}},
    ]
    for _ in range(3):
        operations = [{"op": "c", "ns": "admin.$cmd", "o": {"applyOps": operations}}]
    reply = ten.client.admin.command({"applyOps": operations, "allowAtomic": atomic})
    assert all(reply["results"]), reply
    found = changes_since(ten.uri, ten.since, {ten.name: ten.base})
    assert found.full or touched(found, ten.name) == {1, 4, 7}
    assert bool(found.full) <= (not with_uuid)


def test_a_time_series_is_known_by_its_buckets(replica_set: Server, client: Client, database: str) -> None:
    client[database].create_collection("s", timeseries={"timeField": "at", "metaField": "m"})
    at = datetime(2026, 1, 1, tzinfo=UTC)
    client[database]["s"].insert_many([{"at": at, "m": i} for i in range(10)])
    buckets = [each["_id"] for each in client[database]["system.buckets.s"].find().sort("_id", 1)]
    assert len(buckets) == 10
    watched = Watched(replica_set, client, database, *buckets, name="s")
    client[database]["s"].delete_many({"m": 4})
    gone = set(buckets) - {each["_id"] for each in client[database]["system.buckets.s"].find()}
    assert watched.touched() == {buckets.index(each) for each in gone} != set()


MIXED: list[Any] = [
    *(
        MinKey(),
        None,
        float("nan"),
        float("-inf"),
        -1.5,
        Decimal128("0.1"),
        0.1,
        1,
        2**53,
        Decimal128("9007199254740993"),
    ),
    *("", "a", "a\0", "b", {"a": 1}, {"a": [1, "x"]}, b"", b"zz", Binary(b"aaaaa", 0), Binary(b"aa", 2)),
    *(uuid.UUID(int=1), ObjectId("6" * 24), False, True, datetime(1969, 1, 1, tzinfo=UTC), Timestamp(1, 2), MaxKey()),
]


def raw_id(value: object) -> object:
    """As pymongo takes it."""
    return Binary.from_uuid(value) if isinstance(value, uuid.UUID) else value


def test_ids_of_all_types(replica_set: Server, client: Client, database: str) -> None:
    ids = [raw_id(value) for value in MIXED]
    client[database]["c"].insert_many([{"_id": value} for value in random.Random(1).sample(ids, len(ids))])
    ordered = [key(value["_id"]) for value in client[database]["c"].find({}, {"_id": 1}).hint({"_id": 1})]
    assert len(ordered) == len(ids)
    watched = Watched(replica_set, client, database)
    watched.base = HandMade(ordered)
    odd = ids[::2]
    client[database].command({"delete": "c", "deletes": [{"q": {"_id": {"$eq": each}}, "limit": 1} for each in odd]})
    assert watched.touched() == {ordered.index(key(each)) for each in odd}


def test_an_id_that_equals_a_bound_of_another_type(ten: Watched) -> None:
    collection = ten.client[ten.database]["c"]
    collection.delete_one({"_id": 20})
    collection.insert_one({"_id": Decimal128("20.00")})
    collection.insert_one({"_id": Decimal128("29.999")})
    collection.insert_one({"_id": 39.5})
    collection.delete_one({"_id": Int64(50)})
    assert ten.touched() == {2, 3, 5}


def test_an_id_of_a_type_without_an_order(ten: Watched) -> None:
    insert_raw(ten.client[ten.database], "c", [encoded({"_id": {"f": Code("f")}})])
    assert "type" in ten.full()


def test_a_bound_of_a_type_without_an_order(ten: Watched) -> None:
    ten.base = HandMade([*ten.base.keys[:4], key({"f": Code("f")}), *ten.base.keys[4:]])
    assert ten.touched() == set(), "the group of that bound was not needed"
    ten.client[ten.database]["c"].insert_one({"_id": 35})
    assert "type" in ten.full()
    ten.base = HandMade([key({"f": Code("f")})])
    assert "type" in ten.full()


def test_a_collation_that_is_not_simple(replica_set: Server, client: Client, database: str) -> None:
    client[database].create_collection("c", collation={"locale": "de"})
    assert "collation" in Watched(replica_set, client, database, "a").full()


def test_a_capped_collection_has_no_order_of_ids(replica_set: Server, client: Client, database: str) -> None:
    client[database].create_collection("c", capped=True, size=4096)
    assert "order" in Watched(replica_set, client, database, 1).full()


@pytest.mark.parametrize("by_rename", [True, False])
def test_a_collection_that_was_made_anew_under_its_uuid(ten: Watched, by_rename: bool) -> None:
    database, ui = ten.client[ten.database], uuid_of(ten.client, ten.database, "c")
    if by_rename:
        database["x"].insert_one({})
        database["x"].rename("c", dropTarget=True)
        database["c"].drop()
    else:
        database["c"].drop()
    create = {"op": "c", "ns": f"{ten.database}.$cmd", "ui": ui, "o": {"create": "c"}}
    ten.client.admin.command({"applyOps": [create]})
    assert uuid_of(ten.client, ten.database, "c") == ui
    assert "same UUID" in ten.full()


def test_one_pass_serves_all_streams(replica_set: Server, client: Client, database: str) -> None:
    names = [f"c{i}" for i in range(5)]
    for name in names:
        client[database][name].insert_many([{"_id": i} for i in range(5)])
    since = point(replica_set.uri, database)
    for at, name in enumerate(names):
        client[database][name].update_one({"_id": at}, {"$set": {"x": 1}})
    bases = {f"{database}.{name}": HandMade.of(*range(5)) for name in names[1:]}
    found = changes_since(replica_set.uri, since, bases)
    assert {name: touched(found, name) for name in bases} == {f"{database}.c{i}": {i} for i in range(1, 5)}


@pytest.mark.parametrize("committed", [True, False])
def test_what_is_prepared_counts_before_and_after_its_commit(
    testable: Server,
    chaining: Client,
    committed: bool,
) -> None:
    watched = watched_chain(testable, chaining)
    database = chaining[watched.database]
    with chaining.start_session() as session:
        session.start_transaction()
        database["c"].update_one({"_id": 30}, {"$set": {"x": 1}}, session=session)
        prepared = chaining.admin.command("prepareTransaction", session=session)["prepareTimestamp"]
        assert watched.touched() == {3}, "it may be committed as of a time before its commit is logged"
        database["other"].insert_one({})
        later = point(testable.uri, watched.database)
        assert later["replay_from"] <= [prepared.time, prepared.inc]
        if committed:
            chaining.admin.command({"commitTransaction": 1, "commitTimestamp": prepared}, session=session)
        else:
            chaining.admin.command("abortTransaction", session=session)
    watched.since = later
    assert watched.touched() == {3}
    watched.since |= {"replay_from": later["cluster_time"]}  # as of an account that cannot read what is open
    database["c"].insert_one({"_id": 75})
    assert watched.touched() == ({3, 7} if committed else {7})


integers = st.integers(-50, 50)
ids = st.one_of(
    integers,
    integers.map(float),
    integers.map(lambda value: Decimal128(f"{value}.5")),
    integers.map(lambda value: Binary(bytes((value & 7,)), 2 if value % 2 else 0)),
    integers.map(lambda value: "ab"[value % 2] * (value % 5)),
    st.sampled_from([None, True, MinKey(), MaxKey(), ObjectId("6" * 24), Timestamp(1, 2)]),
)
steps = st.tuples(st.sampled_from(["insert", "update", "delete", "transaction", "rename", "applyOps"]), ids)


def take(client: Client, database: str, what: str, value: object, number: int) -> None:
    """One of the steps."""
    collection, where = client[database]["c"], {"_id": {"$eq": value}}
    if what == "insert":
        collection.replace_one(where, {"_id": value, "x": number}, upsert=True)
    elif what == "update":
        collection.update_one(where, {"$set": {"x": number}})
    elif what == "delete":
        collection.delete_one(where)
    elif what == "rename":
        collection.rename("away")
        client[database]["away"].update_one(where, {"$set": {"x": number}})
        client[database]["away"].rename("c")
    elif what == "transaction":
        with client.start_session() as session, session.start_transaction():
            collection.delete_one(where, session=session)
            collection.insert_one({"_id": value, "x": number}, session=session)
    else:
        ui = uuid_of(client, database, "c")
        delete = {"op": "d", "ns": f"{database}.c", "ui": ui, "o": {"_id": value}}
        client.admin.command({"applyOps": [{"op": "c", "ns": "admin.$cmd", "o": {"applyOps": [delete]}}]})


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ids, min_size=1, max_size=20), st.lists(ids, min_size=1, max_size=8), st.lists(steps, max_size=8))
def test_chunks_that_differ_were_touched(
    replica_set: Server, client: Client, database: str, first: list[object], bounds: list[object], then: list[Any]
) -> None:
    client[database]["c"].drop()
    for number, value in enumerate(first):
        take(client, database, "insert", value, number)
    base = HandMade(sorted({sort_key(key(value)): key(value) for value in bounds}.values(), key=encoding))
    name = f"{database}.c"
    with frozen(replica_set.uri, database) as view:
        before, since = records(view, name), view.point
    for number, (what, value) in enumerate(then):
        take(client, database, what, value, 100 + number)
    with frozen(replica_set.uri, database) as view:
        after = records(view, name)
        found = touched(view.changes(since, {name: base}), name)
    encodings = [encoding(each) for each in base.keys]
    differing = [each for each in before.keys() | after.keys() if before.get(each) != after.get(each)]
    assert {max(0, bisect_right(encodings, encoding(each)) - 1) for each in differing} <= found
    written = {max(0, bisect_right(encodings, encoding(key(value))) - 1) for _, value in then}
    assert found <= written


def encoding(record_key: bytes) -> bytes:
    """What sorts as the key does."""
    found = sort_key(record_key)
    assert found is not None
    return found
