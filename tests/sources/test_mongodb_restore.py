"""Restoring: under other names, over what is there, and what happens to records that a server does not take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from bson import Timestamp

from drtool.errors import IncompleteRestoreError, SourceError, TargetNotEmptyError, UsageError
from drtool.sources.mongodb.loading import keeps_empty_timestamps
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.restoring import RestoreItem, RestorePlan
from tests.sources import mongo_zoo
from tests.sources.contract import Copy, back_up, check_restored, load_all, plan_for, restore
from tests.sources.mongo import (
    Client,
    document,
    encoded,
    insert_raw,
    int32,
    plan_renamed,
    raw_documents,
    source_of,
)


@pytest.fixture
def target(replica_set: Server) -> Iterator[MongoTarget]:
    """The replica set as a target."""
    with closing(MongoTarget(replica_set.uri)) as found:
        yield found


def silent(sentence: str) -> None:
    """Nobody listens."""


def test_everything_comes_back_beside_on_a_replica_set(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    mongo_zoo.fill(client[database])
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    plan = plan_for(source, copies)
    assert target.inspect(plan).occupied == ()
    restore(target, plan, copies)
    check_restored(source, target, plan, copies)
    assert "drtool_restore" not in client[f"{database}_restored"].list_collection_names()


def test_records_and_order_of_a_capped_collection(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    client[database].create_collection("c", capped=True, size=100_000, max=50)
    for number in range(120):
        client[database]["c"].insert_one({"_id": (number * 31) % 127})
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    restore(target, plan_for(source, copies), copies)
    natural = {"$natural": 1}
    restored = client[f"{database}_restored"]
    assert raw_documents(restored, "c", natural) == raw_documents(client[database], "c", natural)
    assert restored.command("collStats", "c")["max"] == 50


def test_collections_and_what_views_read_are_renamed(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    mongo_zoo.fill_values(client[database])
    mongo_zoo.fill_collections(client[database])
    mongo_zoo.fill_views(client[database])
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    plan = plan_renamed(
        source, copies, f"{database}.system.js={database}_x.system.js", f"{database}.*={database}_x.old_*"
    )
    restore(target, plan, copies)
    check_restored(source, target, plan, copies)
    restored = client[f"{database}_x"]
    assert [each["_id"] for each in restored["old_aa_view"].find()] == list(range(10))
    assert restored["old_joined"].count_documents({}) > 0
    assert restored.command({"listCollections": 1, "filter": {"name": "old_joined"}})["cursor"]["firstBatch"][0][
        "options"
    ]["pipeline"][0]["$lookup"]["from"] == ("old_ids")


def test_a_database_is_renamed(replica_set: Server, client: Client, database: str, target: MongoTarget) -> None:
    client[database]["a.b"].insert_one({"_id": 1})
    client[database].command({"create": "v", "viewOn": "a.b", "pipeline": []})
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    plan = plan_renamed(source, copies, f"{database}={database}_2")
    restore(target, plan, copies)
    assert list(client[f"{database}_2"]["v"].find()) == [{"_id": 1}]


def test_a_view_cannot_follow_its_collection_to_another_database(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    client[database]["c"].insert_one({"_id": 1})
    client[database].command({"create": "v", "viewOn": "c", "pipeline": []})
    source = source_of(replica_set.uri, database)
    plan = plan_renamed(source, back_up(source), f"{database}.c={database}_2.c")
    with pytest.raises(UsageError, match="another database"):
        target.inspect(plan)


def test_a_name_that_would_be_too_long(replica_set: Server, client: Client, database: str, target: MongoTarget) -> None:
    client[database]["n" * (255 - len(database) - 1)].insert_one({"_id": 1})
    source = source_of(replica_set.uri, database)
    with pytest.raises(UsageError, match="too long"):
        target.inspect(plan_for(source, back_up(source)))


def test_what_is_in_the_way_is_told(replica_set: Server, client: Client, database: str, target: MongoTarget) -> None:
    client[database]["c"].insert_many([{"_id": i} for i in range(1204)])
    client[database].command({"create": "v", "viewOn": "c", "pipeline": []})
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    in_place = plan_renamed(source, copies)
    client[database]["unrelated"].insert_one({})
    assert target.inspect(in_place).occupied == (f"{database}.c: 1,204 documents", f"{database}.v: a view")
    beside = plan_for(source, copies)
    client[f"{database}_restored"]["stranger"].insert_one({})
    assert target.inspect(beside).occupied == (f"{database}_restored.stranger: 1 document",)


def test_in_place_replaces_what_the_plan_names_and_nothing_else(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    client[database]["c"].insert_many([{"_id": i} for i in range(10)])
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    client[database]["c"].delete_many({})
    client[database]["c"].insert_one({"_id": "new"})
    client[database]["later"].insert_one({"_id": 1})
    plan = plan_renamed(source, copies)
    with pytest.raises(TargetNotEmptyError, match="1 document"):
        target.begin(plan)
    assert client[database]["c"].count_documents({}) == 1
    plan = replace(plan, replace=True)
    restore(target, plan, copies)
    check_restored(source, target, plan, copies)
    assert client[database]["later"].count_documents({}) == 1


def test_records_that_expire_are_all_there_before_anything_can_expire(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    mongo_zoo.fill_collections(client[database])
    mongo_zoo.fill_indexes(client[database])
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    plan = plan_for(source, copies)
    notes = " ".join(target.inspect(plan).notes)
    for name in ("indexed", "clustered", "series"):
        assert f"{database}_restored.{name}" in notes
    target.begin(plan)
    load_all(target, plan, copies)
    restored = client[f"{database}_restored"]

    def expiring() -> set[str]:
        options = {each["name"] for each in restored.list_collections() if "expireAfterSeconds" in each["options"]}
        indexes = {spec["name"] for spec in restored["indexed"].list_indexes() if "expireAfterSeconds" in spec}
        return options | indexes

    assert expiring() == set()
    while_building: list[set[str]] = []
    target.finish(plan, lambda sentence: while_building.append(expiring()))
    assert while_building
    assert set().union(*while_building) == set()
    assert expiring() == {"clustered", "series", "system.buckets.series", "ttl"}


def test_duplicates_under_a_unique_index(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    client[database]["c"].insert_many([{"_id": i, "email": f"{i}"} for i in range(10)])
    client[database]["c"].create_index("email", unique=True, name="by_email")
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    plan = plan_for(source, copies)
    target.begin(plan)
    load_all(target, plan, copies)
    target.load(plan.items[0], [encoded({"_id": 99, "email": "7"})])  # as a fuzzy copy may hold
    with pytest.raises(IncompleteRestoreError) as caught:
        target.finish(plan, silent)
    for part in (f"{database}_restored.c", "by_email", '"7"'):
        assert part in caught.value.message
    assert client[f"{database}_restored"]["c"].count_documents({}) == 11


@pytest.mark.parametrize("kind", ["keyed", "capped"])
def test_a_record_that_cannot_be_written_is_named(
    replica_set: Server, client: Client, database: str, target: MongoTarget, kind: str
) -> None:
    client[database].command({"create": "c", **({"capped": True, "size": 100_000} if kind == "capped" else {})})
    client[database]["c"].insert_many([{"_id": i} for i in range(10)])
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    plan = plan_for(source, copies)
    target.begin(plan)
    data = copies[f"{database}.c"].data
    unwritable = document((0x0B, "_id", b"regex\0\0"))
    with pytest.raises(IncompleteRestoreError) as caught:
        target.load(plan.items[0], [data, unwritable])
    for part in (f"{database}_restored.c", "regex", "_id"):
        assert part in caught.value.message
    assert client[f"{database}_restored"]["c"].count_documents({}) == 10
    other = encoded({"_id": 3, "something": "else"})
    with pytest.raises(IncompleteRestoreError, match="duplicate key"):
        target.load(plan.items[0], [other])


def test_an_ordered_stream_loaded_again_is_kept_in_order(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    client[database].create_collection("c", capped=True, size=100_000)
    client[database]["c"].insert_many([{"_id": -i} for i in range(100)])
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    plan = plan_for(source, copies)
    target.begin(plan)
    data = copies[f"{database}.c"].data
    record = len(data) // 100
    target.load(plan.items[0], [data[: 40 * record]])
    target.load(plan.items[0], [data[start : start + record] for start in range(0, len(data), record)])
    assert b"".join(raw_documents(client[f"{database}_restored"], "c", {"$natural": 1})) == data


@pytest.mark.parametrize("capped", [False, True])
def test_empty_timestamps_in_every_place(
    replica_set: Server, client: Client, database: str, target: MongoTarget, capped: bool
) -> None:
    zero = bytes(8)
    documents = [
        document((0x10, "_id", int32(1)), (0x11, "t", zero)),
        document((0x10, "_id", int32(2)), (0x11, "a", zero), (0x10, "b", int32(0)), (0x11, "c", zero)),
        document((0x10, "_id", int32(3)), (0x03, "nested", document((0x11, "t", zero)))),
        document((0x11, "_id", zero), (0x11, "t", zero)),
        document((0x10, "_id", int32(7)), (0x11, "a\x11b", zero), (0x05, "x", int32(4) + b"\0" + b"\x11" * 4)),
        document((0x10, "_id", int32(5)), (0x11, "t", b"\1" + zero[1:])),
    ]
    client[database].command({"create": "c", **({"capped": True, "size": 100_000} if capped else {})})
    source = source_of(replica_set.uri, database)
    plan = plan_for(source, back_up(source))
    target.begin(plan)
    # as if an earlier attempt had ended between the insert and the repair
    insert_raw(client[f"{database}_restored"], "c", documents[:1])
    target.load(plan.items[0], [b"".join(documents)])
    found = raw_documents(client[f"{database}_restored"], "c", {"_id": 1})
    assert sorted(found) == sorted(documents)
    # a mongod 6.0.5 ends with an invariant failure when it is made to put this one right
    deadly = document((0x10, "_id", int32(6)), (0x11, "d", zero), (0x10, "d", int32(1)), (0x11, "d", zero))
    with pytest.raises(IncompleteRestoreError, match="two fields of the same name"):
        target.load(plan.items[0], [deadly])


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((5, 0, 28), False),
        ((5, 0, 29), True),
        ((6, 0, 5), False),
        ((6, 0, 17), True),
        ((7, 0, 12), False),
        ((7, 0, 13), True),
        ((8, 0, 0), True),
        ((4, 4, 29), False),
        ((9, 1), True),
    ],
)
def test_which_servers_keep_empty_timestamps(version: tuple[int, ...], expected: bool) -> None:
    assert keeps_empty_timestamps(version) is expected


def test_an_old_server_is_refused_for_what_it_does_not_know(
    replica_set: Server, client: Client, database: str, target: MongoTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    mongo_zoo.fill_collections(client[database])
    source = source_of(replica_set.uri, database)
    plan = plan_for(source, back_up(source))
    found = target._deployment()
    target._known = replace(found, version="4.4.29")
    with pytest.raises(SourceError, match="needs MongoDB"):
        target.inspect(plan)


def test_nothing_expires_in_a_sandbox(replica_set: Server, client: Client, database: str, tmp_path: Path) -> None:
    client[database]["c"].insert_many([{"_id": i, "at": mongo_zoo.PAST} for i in range(500)])
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    plan = plan_for(source, copies)
    expired = with_ttl_index(client, database, source_of(replica_set.uri, database))
    with source.sandbox(source.probe().version, tmp_path) as box, closing(MongoTarget(box.uri)) as target:
        restore(target, RestorePlan(expired, plan.marker), copies)
        admin = target._client.admin
        assert admin.command({"getParameter": 1, "ttlMonitorEnabled": 1})["ttlMonitorEnabled"] is False
        assert admin.command("serverStatus")["metrics"]["ttl"]["passes"] == 0
        assert target._client[f"{database}_restored"]["c"].count_documents({}) == 500
        specs = target._client[f"{database}_restored"]["c"].list_indexes()
        assert any(spec.get("expireAfterSeconds") == 60 for spec in specs)


def with_ttl_index(client: Client, database: str, source: object) -> tuple[RestoreItem, ...]:
    """The stream as it would be defined with an index under which all of its records are past their time."""
    # on the source the index would begin to delete, so the collection that lends its definition is empty
    client[database].create_collection("lender").create_index("at", expireAfterSeconds=60)
    copies = back_up(source)  # type: ignore[arg-type]
    client[database].drop_collection("lender")
    lent: Copy = copies[f"{database}.lender"]
    kept: Copy = copies[f"{database}.c"]
    stream = type(kept.stream)(
        name=kept.stream.name, kind=kept.stream.kind, proof=kept.stream.proof, definition=lent.stream.definition
    )
    return (RestoreItem(stream, f"{database}_restored.c", 500, len(kept.data)),)


def test_an_empty_timestamp_survives_a_backup_and_a_restore(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    mongo_zoo.put_empty_timestamp(client[database], "c", 1)
    assert client[database]["c"].find_one({"_id": 1, "t": Timestamp(0, 0)}) is not None
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    restore(target, plan_for(source, copies), copies)
    assert client[f"{database}_restored"]["c"].find_one({"_id": 1, "t": Timestamp(0, 0), "u": Timestamp(0, 0)})
