"""Replaying over records that were read at different instants."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from drtool.errors import IncompleteRestoreError
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.target import MongoTarget
from tests.sources.contract import Copy
from tests.sources.mongo import Client, raw_documents
from tests.sources.oplog.replays import SUFFIX, Taken, check_same, entries, replay, take


def since(first: Taken, last: Taken) -> Mapping[str, Any]:
    """As the point of what was read from one to the other."""
    return {**first.point, "overlay_until": last.point["cluster_time"]}


def mixed(first: Taken, last: Taken, *early: str) -> Taken:
    """The last snapshot, with the records of some collections as they were at the first."""
    copies = dict(last.copies)
    for name in early:
        copies[name] = Copy(last.copies[name].stream, first.copies[name].chunks)
    return replace(last, copies=copies)


def test_records_of_several_instants(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    for name in ("early", "late"):
        source[name].insert_many([{"_id": i, "n": i, "list": [1, 2]} for i in range(200)])
    source["goes"].insert_one({"_id": 1})
    first = take(replica_set.uri, database)
    for name in ("early", "late"):
        source[name].update_many({"_id": {"$lt": 100}}, {"$set": {"n": -1}, "$push": {"list": 3}})
        source[name].delete_many({"_id": {"$lt": 50}})
        source[name].insert_many([{"_id": i, "again": True} for i in range(30)])
        source[name].update_many({"_id": {"$lt": 20}}, {"$set": {"more": 1}})
        source[name].delete_many({"_id": {"$lt": 10}})
        source[name].create_index("n", name="n")
    source.drop_collection("goes")
    source["comes"].insert_one({"_id": 1})
    source.command({"create": "view", "viewOn": "early", "pipeline": []})
    source["early"].rename("between")
    source["between"].rename("early")
    last = take(replica_set.uri, database)
    taken = mixed(first, last, f"{database}.early")
    log = entries(client, first.point["replay_from"])
    with closing(MongoTarget(replica_set.uri)) as target:
        replay(target, taken, taken.plan(), log, since=since(first, last))
    check_same(replica_set.uri, client, database)


def test_after_the_overlay_nothing_is_tolerated(replica_set: Server, client: Client, database: str) -> None:
    records = client[database]["c"]
    records.insert_many([{"_id": i} for i in range(3)])
    first = take(replica_set.uri, database)
    records.update_one({"_id": 1}, {"$set": {"n": 1}})
    records.delete_one({"_id": 1})
    last = take(replica_set.uri, database)
    records.rename("renamed")
    client[database]["renamed"].update_one({"_id": 2}, {"$set": {"n": 2}})
    log = entries(client, first.point["replay_from"])
    with closing(MongoTarget(replica_set.uri)) as target:
        replay(target, last, last.plan(), log, since=since(first, last))
        check_same(replica_set.uri, client, database)
        plan = last.plan(marker="another")
        client.drop_database(database + SUFFIX)
        target.begin(plan)  # and nothing is loaded
        with pytest.raises(IncompleteRestoreError, match="update of the record with _id 2"):
            target.replay(plan, since(first, last), log, None)


@pytest.mark.parametrize("read_after", [0, 3, 9, 15, 30])
def test_a_capped_collection_keeps_its_order(
    replica_set: Server, client: Client, database: str, read_after: int
) -> None:
    source = client[database]
    source.create_collection("c", capped=True, size=8192, max=8)
    source["c"].insert_many([{"_id": number, "n": number} for number in range(100, 105)])
    first = read = take(replica_set.uri, database)
    for number in range(30):
        source["c"].insert_one({"_id": (number * 7) % 31, "n": number})
        if number + 1 == read_after:
            read = take(replica_set.uri, database)
    last = take(replica_set.uri, database)
    taken = mixed(read, last, f"{database}.c")
    log = entries(client, first.point["replay_from"])
    with closing(MongoTarget(replica_set.uri)) as target:
        replay(target, taken, taken.plan(), log, since=since(first, last))
    natural = {"$natural": 1}
    assert raw_documents(client[database + SUFFIX], "c", natural) == raw_documents(source, "c", natural)
