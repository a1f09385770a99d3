"""Replaying part of a database, under other names, beside what is there, and again."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from drtool.errors import SourceError, TargetNotEmptyError
from drtool.sources.mongodb.names import MARKER_COLLECTION
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.target import MongoTarget
from tests.sources.contract import load_all
from tests.sources.mongo import Client
from tests.sources.oplog.replays import SUFFIX, check_same, entries, replay, replay_all, take


def ids(client: Client, database: str, collection: str) -> list[object]:
    """All ``_id``."""
    return [each["_id"] for each in client[database][collection].find().sort("_id", 1)]


def test_one_collection_of_several(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    for name in ("a", "b"):
        source[name].insert_one({"_id": name})
    taken = take(replica_set.uri, database)
    source["b"].insert_one({"_id": "other"})
    source["new"].insert_one({"_id": 1})
    source["b"].rename("b2")
    source["a"].insert_one({"_id": "more"})
    source.command({"create": "v", "viewOn": "a", "pipeline": []})
    done = replay_all(replica_set.uri, client, taken, taken.plan(only=[f"{database}.a"]))
    assert done.skipped >= 1
    assert client[database + SUFFIX].list_collection_names() == ["a"]
    assert ids(client, database + SUFFIX, "a") == ["a", "more"]


def test_a_selected_one_is_renamed_away_and_another_gets_its_name(
    replica_set: Server, client: Client, database: str
) -> None:
    source = client[database]
    source["a"].insert_one({"_id": "first"})
    taken = take(replica_set.uri, database)
    source["a"].rename("kept")
    source["a"].insert_one({"_id": "second"})
    source["kept"].insert_one({"_id": "third"})
    replay_all(replica_set.uri, client, taken, taken.plan(only=[f"{database}.a"]))
    assert sorted(client[database + SUFFIX].list_collection_names()) == ["a", "kept"]
    assert ids(client, database + SUFFIX, "a") == ["second"]
    assert ids(client, database + SUFFIX, "kept") == ["first", "third"]


def test_what_was_made_meanwhile_replaces_the_selected_one(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source["a"].insert_many([{"_id": i} for i in range(5)])
    taken = take(replica_set.uri, database)
    source["a"].aggregate([{"$match": {"_id": {"$gt": 2}}}, {"$out": "a"}])
    source.command({"convertToCapped": "a", "size": 50_000})
    source["rebuilt"].insert_one({"_id": "rebuilt"})
    source["never"].insert_one({"_id": "never"})
    source["rebuilt"].create_index("x", name="x")
    plan = taken.plan(only=[f"{database}.a"])
    replay_all(replica_set.uri, client, taken, plan)
    assert ids(client, database + SUFFIX, "a") == [3, 4]
    source["rebuilt"].rename("a", dropTarget=True)
    client.drop_database(database + SUFFIX)
    replay_all(replica_set.uri, client, taken, plan)
    assert client[database + SUFFIX].list_collection_names() == ["a"]
    assert ids(client, database + SUFFIX, "a") == ["rebuilt"]
    assert "x" in client[database + SUFFIX]["a"].index_information()


def test_one_that_is_not_restored_comes_to_bear_a_selected_name(
    replica_set: Server, client: Client, database: str
) -> None:
    source = client[database]
    for name in ("a", "b"):
        source[name].insert_one({"_id": name})
    taken = take(replica_set.uri, database)
    source["b"].rename("a", dropTarget=True)
    log, plan = entries(client, taken.point["replay_from"]), taken.plan(only=[f"{database}.a"])
    with closing(MongoTarget(replica_set.uri)) as target, pytest.raises(SourceError) as caught:
        replay(target, taken, plan, log)
    assert f"{database}.b" in caught.value.message
    assert ids(client, database + SUFFIX, "a") == ["a"], "known before anything was written"


def test_several_databases_and_new_ones(replica_set: Server, client: Client, database: str) -> None:
    first, second, third = (f"{database}_{number}" for number in "123")
    client[first]["a"].insert_one({"_id": 1})
    client[second]["a"].insert_one({"_id": 1})
    taken = take(replica_set.uri, first, second)
    client.admin.command({"renameCollection": f"{first}.a", "to": f"{second}.moved"})
    client[third]["a"].insert_one({"_id": 3})
    client[first]["b"].insert_one({"_id": 4})
    wanted = (first, second, third)

    def name_of(name: str) -> str | None:
        source, _, collection = name.partition(".")
        return f"{source}{SUFFIX}.{collection}" if source in wanted else None

    plan = replace(taken.plan(), name_of=name_of)
    replay_all(replica_set.uri, client, taken, plan)
    for each in wanted:
        check_same(replica_set.uri, client, each)


def test_what_is_renamed_beside_what_was_given_a_name(replica_set: Server, client: Client, database: str) -> None:
    """Of a selection, a rename that says nothing of the new name leaves the one that was given."""
    source = client[database]
    source["users"].insert_one({"_id": 1})
    taken = take(replica_set.uri, database)
    source["users"].rename("people")
    source["other"].insert_one({"_id": 2})
    plan = taken.plan(f"{database}.users={database}{SUFFIX}.ub", only=[f"{database}.users"])
    replay_all(replica_set.uri, client, taken, plan)
    assert client[database + SUFFIX].list_collection_names() == ["ub"]


def test_only_what_gets_a_selected_name_is_parked(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source["a"].insert_one({"_id": "first"})
    source["b"].insert_one({"_id": "of b"})
    taken = take(replica_set.uri, database)
    source["unrelated"].insert_one({"_id": 1})
    source["tmp"].insert_one({"_id": "second"})
    source["tmp"].rename("a", dropTarget=True)
    log, plan = entries(client, taken.point["replay_from"]), taken.plan(only=[f"{database}.a"])
    others = [taken.copies[f"{database}.b"].stream]
    with closing(MongoTarget(replica_set.uri)) as target:
        found = target.rehearse(plan, taken.point, log, None, others)
        assert [name.partition(".")[0] for name in found.parked.values()] == [database + SUFFIX]
        assert found.made == {}
        target.begin(replace(plan, rehearsed=found))
        load_all(target, plan, taken.copies)
        target.replay(replace(plan, rehearsed=found), taken.point, log, None)
        made = client[database + SUFFIX][MARKER_COLLECTION].find_one({"_id": plan.marker})
        assert made is not None
        assert sorted(made["made"]) == sorted(["a", *(name.partition(".")[2] for name in found.parked.values())])
        target.finish(plan, lambda sentence: None)
    assert ids(client, database + SUFFIX, "a") == ["second"]
    source["b"].rename("a", dropTarget=True)
    log = entries(client, taken.point["replay_from"])
    with closing(MongoTarget(replica_set.uri)) as target:
        found = target.rehearse(plan, taken.point, log, None, others)
    assert others[0].identity in found.parked


def test_names_that_cannot_be_told(replica_set: Server, client: Client, database: str) -> None:
    source = client[database]
    source["a"].insert_one({"_id": 1})
    source["b"].insert_one({"_id": 1})
    taken = take(replica_set.uri, database)
    source["c"].insert_one({"_id": 1})
    log = entries(client, taken.point["replay_from"])
    plan = taken.plan(f"{database}.a={database}_x.a", f"{database}.b={database}_y.b")
    with closing(MongoTarget(replica_set.uri)) as target, pytest.raises(SourceError, match=rf"{database}\.c.*be told"):
        replay(target, taken, plan, log)


def test_what_stands_where_something_new_is_to_be(replica_set: Server, client: Client, database: str) -> None:
    source, restored = client[database], client[database + SUFFIX]
    source["a"].insert_one({"_id": 1})
    taken = take(replica_set.uri, database)
    source["new"].insert_one({"_id": "of the log"})
    log, plan = entries(client, taken.point["replay_from"]), taken.plan()
    with closing(MongoTarget(replica_set.uri)) as target:
        target.begin(plan)
        load_all(target, plan, taken.copies)
        restored["new"].insert_one({"_id": "a stranger's"})
        with pytest.raises(TargetNotEmptyError, match=rf"{database}{SUFFIX}\.new"):
            target.replay(plan, taken.point, log, None)
        assert ids(client, database + SUFFIX, "new") == ["a stranger's"]
        replay(target, taken, replace(plan, replace=True), log)
    check_same(replica_set.uri, client, database)


def test_a_restore_that_ended_in_the_replay_begins_anew(replica_set: Server, client: Client, database: str) -> None:
    source, restored = client[database], client[database + SUFFIX]
    source["a"].insert_one({"_id": 1})
    taken = take(replica_set.uri, database)
    source["new"].insert_one({"_id": 2})
    source["new"].rename("newer")
    source["tmp"].insert_one({"_id": 3})
    source["a"].insert_one({"_id": 4})
    log, plan = entries(client, taken.point["replay_from"]), taken.plan()
    with closing(MongoTarget(replica_set.uri)) as target:
        target.begin(plan)
        load_all(target, plan, taken.copies)
        target.replay(plan, taken.point, log, None)
    assert {"newer", "tmp"} <= set(restored.list_collection_names())
    with closing(MongoTarget(replica_set.uri)) as target:
        assert target.inspect(plan).occupied == ()
        target.begin(plan)
        assert sorted(restored.list_collection_names()) == ["a", "drtool_restore"]
        replay(target, taken, plan, log)
    check_same(replica_set.uri, client, database)
