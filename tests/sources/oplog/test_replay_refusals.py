"""What cannot be done again is said before anything is written; and what an account needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import bson
import pytest
from bson import Binary, Int64, Timestamp

from drtool.errors import AuthenticationError, OplogTruncatedError, SourceError
from drtool.sources.mongodb.names import split
from drtool.sources.mongodb.roles import replay_privileges, restore_privileges
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.restoring import Stop
from tests.servers.guarded import Guarded
from tests.sources.contract import load_all
from tests.sources.mongo import Client, unique_database
from tests.sources.oplog.replays import SUFFIX, Taken, check_same, entries, now, pair, replay, replay_all, take


@pytest.fixture
def place(chaining: Client) -> Iterator[str]:
    """The name of a new database on `testable`."""
    name = unique_database(chaining)
    yield name
    for each in (name, name + SUFFIX):
        chaining.drop_database(each)


def entry(taken: Taken, **fields: Any) -> bytes:
    """One made-up entry after a snapshot."""
    seconds, increment = taken.point["cluster_time"]
    ts = {"ts": Timestamp(seconds + 1000, increment), "t": Int64(1), "v": Int64(2)}
    return bson.encode({**{"op": "c", "o": {}}, **fields, **ts})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ns": "{}.$cmd", "o": {"importCollection": "{}.c"}}, "importCollection"),
        ({"ns": "{}.$cmd", "o": {"fromTheFuture": "c"}}, "fromTheFuture"),
        (
            {
                **{"ns": "admin.system.version", "op": "u", "o2": {"_id": "featureCompatibilityVersion"}},
                "o": {"_id": "featureCompatibilityVersion", "version": "5.0", "targetVersion": "5.0"},
            },
            "featureCompatibilityVersion",
        ),
        ({"ns": "{}.c", "op": "zz", "o": {"_id": 1}}, "zz"),
        ({"ns": "{}.system.resharding.x", "op": "i", "o": {"_id": 1}}, "resharded"),
        ({"ns": "{}.$cmd", "o": {"collMod": "c", "index": {"name": "n", "strange": 1}}}, "strange"),
    ],
)
def test_what_is_not_known(
    replica_set: Server, client: Client, database: str, fields: Mapping[str, Any], words: str
) -> None:
    client[database]["c"].insert_one({"_id": 1})
    client[database]["c"].create_index("n", name="n")
    taken = take(replica_set.uri, database)
    client[database]["c"].insert_one({"_id": 2})
    uuid = {"ui": Binary(bytes.fromhex(taken.copies[f"{database}.c"].stream.identity), 4)}
    made = {**fields, "ns": fields["ns"].format(database)}
    log = [
        *entries(client, taken.point["replay_from"]),
        entry(taken, **made, **(uuid if "collMod" in made["o"] else {})),
    ]
    plan = taken.plan()
    with closing(MongoTarget(replica_set.uri)) as target:
        target.begin(plan)
        load_all(target, plan, taken.copies)
        place = f"{taken.point['cluster_time'][0] + 1000}:{taken.point['cluster_time'][1]}"
        with pytest.raises(SourceError, match=f"{words}.*{place}"):
            target.rehearse(plan, taken.point, log, None)
        assert client[database + SUFFIX]["c"].count_documents({}) == 1
        with pytest.raises(SourceError, match=words):
            target.replay(plan, taken.point, log, None)
    of_others = entry(taken, ns="no_such_database.$cmd", o={"fromTheFuture": "c"})
    with closing(MongoTarget(replica_set.uri)) as target:
        client.drop_database(database + SUFFIX)
        replay(target, taken, taken.plan(), [*log[:-1], of_others])
    check_same(replica_set.uri, client, database)


def test_a_prepared_transaction(testable: Server, chaining: Client, place: str) -> None:
    records = chaining[place]["c"]
    records.insert_one({"_id": 0})
    taken = take(testable.uri, place)
    with chaining.start_session() as committed, chaining.start_session() as aborted:
        prepared = []
        for number, session in enumerate((committed, aborted), 1):
            session.start_transaction()
            records.insert_one({"_id": number}, session=session)
            prepared.append(chaining.admin.command({"prepareTransaction": 1}, session=session)["prepareTimestamp"])
        chaining.admin.command({"commitTransaction": 1, "commitTimestamp": prepared[0]}, session=committed)
        chaining.admin.command({"abortTransaction": 1}, session=aborted)
    replay_all(testable.uri, chaining, taken)
    assert [each["_id"] for each in chaining[place + SUFFIX]["c"].find().sort("_id", 1)] == [0, 1]


def test_a_prepared_transaction_that_is_not_decided_yet(testable: Server, chaining: Client, place: str) -> None:
    records = chaining[place]["c"]
    records.insert_one({"_id": 0})
    taken = take(testable.uri, place)
    with chaining.start_session() as session:
        session.start_transaction()
        records.insert_one({"_id": "prepared"}, session=session)
        prepared = chaining.admin.command({"prepareTransaction": 1}, session=session)["prepareTimestamp"]
        chaining[place]["d"].insert_one({"_id": "later"})
        goal = Stop(pair(now(chaining)))
        archived = entries(chaining, taken.point["replay_from"])
        # Decided later, as of a time before the goal.
        chaining.admin.command({"commitTransaction": 1, "commitTimestamp": prepared}, session=session)
    plan = taken.plan()
    with closing(MongoTarget(testable.uri)) as target:
        with pytest.raises(OplogTruncatedError, match="prepared"):
            target.rehearse(plan, taken.point, archived, goal)
        assert place + SUFFIX not in chaining.list_database_names()
        replay(target, taken, plan, entries(chaining, taken.point["replay_from"]), goal)
    assert {each["_id"] for each in chaining[place + SUFFIX]["c"].find()} == {0, "prepared"}


def test_a_transaction_that_was_being_written_at_the_instant(testable: Server, chaining: Client, place: str) -> None:
    chaining[place]["c"].insert_one({"_id": "first"})
    taken = take(testable.uri, place)
    with chaining.start_session() as session, session.start_transaction():
        chaining[place]["c"].insert_many([{"_id": number} for number in range(40)], session=session)
    log = entries(chaining, taken.point["replay_from"])
    chain = [number for number, raw in enumerate(log) if "applyOps" in bson.decode(raw)["o"] and place.encode() in raw]
    assert len(chain) == 3
    since = {**taken.point, "cluster_time": pair(bson.decode(log[chain[0]])["ts"])}
    with closing(MongoTarget(testable.uri)) as target:
        with pytest.raises(OplogTruncatedError):
            replay(target, taken, taken.plan(), log[chain[1] :], since=since)
        replay(target, taken, taken.plan(), log, since=since)
    check_same(testable.uri, chaining, place)


def test_users_that_were_made_meanwhile_are_left_out(testable: Server, chaining: Client, place: str) -> None:
    database = chaining[place]
    database["c"].insert_one({"_id": 1})
    taken = take(testable.uri, database.name)
    database.command({"createUser": "later", "pwd": "pw", "roles": []})
    database.command({"createRole": "later", "privileges": [], "roles": []})
    database["c"].insert_one({"_id": 2})
    database.command({"dropUser": "later"})
    database.command({"dropRole": "later"})
    done = replay_all(testable.uri, chaining, taken)
    assert done.operations == 1
    assert done.skipped >= 4
    assert chaining.admin["system.users"].count_documents({"db": database.name}) == 0
    check_same(testable.uri, chaining, database.name)


@pytest.fixture
def changed(guarded_set: Guarded) -> Iterator[tuple[Taken, list[bytes]]]:
    """A snapshot of a database on `guarded_set`, and an oplog after it that takes every right."""
    with guarded_set.connect() as client:
        database = unique_database(client)
        source = client[database]
        source["c"].insert_one({"_id": 1})
        source["d"].insert_one({"_id": 1})
        taken = take(guarded_set.uri, database)
        source["c"].update_one({"_id": 1}, {"$set": {"n": 1}})
        source["c"].create_index("n", name="n")
        source["d"].rename("e")
        source["f"].insert_one({"_id": 1})
        source.command({"collMod": "f", "validator": {"x": 1}})
        source.create_collection("s", timeseries={"timeField": "at"})
        source.drop_collection("c")
        source["system.js"].insert_one({"_id": "f", "value": 1})
        yield taken, entries(client, taken.point["replay_from"])
        for name in (database, database + SUFFIX):
            client.drop_database(name)


@pytest.mark.parametrize("built_in", [True, False])
def test_an_account_that_may(guarded_set: Guarded, changed: tuple[Taken, list[bytes]], built_in: bool) -> None:
    taken, log = changed
    roles = ("restore", "readWriteAnyDatabase") if built_in else ()
    privileges = () if built_in else replay_privileges()
    with guarded_set.user(*roles, privileges=privileges) as uri, closing(MongoTarget(uri)) as target:
        replay(target, taken, taken.plan(), log)
    with guarded_set.connect() as client:
        check_same(guarded_set.uri, client, next(iter(taken.copies)).partition(".")[0])


def test_an_account_that_may_not(guarded_set: Guarded, changed: tuple[Taken, list[bytes]]) -> None:
    taken, log = changed
    plan = taken.plan()
    with guarded_set.user(privileges=restore_privileges()) as uri, closing(MongoTarget(uri)) as target:
        with pytest.raises(AuthenticationError) as before:
            target.rehearse(plan, taken.point, [], None)
        target.begin(plan)
        load_all(target, plan, taken.copies)
        with pytest.raises(AuthenticationError) as caught:
            target.replay(plan, taken.point, log, None)
    for error in (before.value, caught.value):
        assert "readWriteAnyDatabase and dbAdminAnyDatabase" in error.hint


def test_asking_for_the_right_leaves_no_trace(guarded_set: Guarded, changed: tuple[Taken, list[bytes]]) -> None:
    taken, log = changed
    plan = taken.plan()
    with guarded_set.connect() as client, closing(MongoTarget(guarded_set.uri)) as target:
        target.rehearse(plan, taken.point, log, None)
        assert {split(item.name)[0] for item in plan.items}.isdisjoint(client.list_database_names())
        target.begin(plan)
        before = now(client)
        target.rehearse(plan, taken.point, log, None)
        databases = {split(item.name)[0] for item in plan.items}
        written = client["local"]["oplog.rs"].find({"ts": {"$gt": before}, "op": {"$ne": "n"}})
        assert not [each for each in written if split(each["ns"])[0] in databases or "applyOps" in each["o"]]
