"""The three roles as drtool prints them, made on a server with access control, and accounts that have just those."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from drtool.errors import AuthenticationError
from drtool.sources.base import Lack
from drtool.sources.mongodb.roles import backup_privileges, replay_privileges
from drtool.sources.reading import Consistency
from drtool.sources.restoring import RestoreItem, RestorePlan
from tests.servers.guarded import Guarded
from tests.sources import mongo_zoo
from tests.sources.contract import Copy, back_up, check_restored, plan_for, restore
from tests.sources.mongo import Document, source_of, unique_database

UNAUTHORIZED = 13


@pytest.fixture
def database(guarded_set: Guarded) -> Iterator[str]:
    """The name of a new database; whatever begins with it goes afterwards."""
    with guarded_set.connect() as client:
        name = unique_database(client)
        yield name
        for found in client.list_database_names():
            if found.startswith(name):
                client[found].command("dropAllUsersFromDatabase")
                client[found].command("dropAllRolesFromDatabase")
                client.drop_database(found)


@pytest.fixture
def zoo(guarded_set: Guarded, database: str) -> str:
    """A database with everything in it, a user and a role too."""
    with guarded_set.connect() as client:
        mongo_zoo.fill(client[database])
        privileges = [{"resource": {"db": database, "collection": "c"}, "actions": ["find"]}]
        client[database].command({"createRole": "reader", "privileges": privileges, "roles": []})
        client[database].command({"createUser": "application", "pwd": "pw", "roles": ["reader"]})
    return database


def printed(commands: str) -> Document:
    """The argument of the command that drtool prints, as mongosh would read it."""
    start, end = 'db.getSiblingDB("admin").runCommand(', ")"
    assert commands.startswith(start)
    assert commands.endswith(end)
    found: Document = json.loads(commands.removeprefix(start).removesuffix(end))
    return found


@contextlib.contextmanager
def holder(guarded: Guarded, purpose: str, *databases: str) -> Iterator[str]:
    """The URI of a user who has the role of that purpose, as printed for a source of these databases."""
    source = source_of(guarded.uri, *databases)
    with guarded.connect() as client:
        command = printed(source.roles()[purpose])
        client.admin.command(command)
        try:
            with guarded.user(command["createRole"]) as uri:
                yield uri
        finally:
            client.admin.command({"dropRole": command["createRole"]})


def test_backup_and_restore_by_accounts_with_just_their_roles(guarded_set: Guarded, zoo: str) -> None:
    expected = back_up(source_of(guarded_set.uri, zoo))
    with holder(guarded_set, "backup", zoo) as uri:
        source = source_of(uri, zoo)
        assert source.lacks() == []
        assert source.probe().warnings == ()
        copies = back_up(source)
        with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
            assert view.settle().consistency is Consistency.EXACT
    assert {name: copy.data for name, copy in copies.items()} == {name: copy.data for name, copy in expected.items()}
    assert {f"{zoo}.$users", f"{zoo}.$roles"} <= copies.keys()
    with holder(guarded_set, "restore") as uri:
        source = source_of(uri)
        for plan, chosen in ((plan_for(source, without_accounts(copies)), without_accounts(copies)), in_place(copies)):
            with closing(source.target(uri)) as target:
                if chosen is copies:
                    wipe(guarded_set, zoo)
                restore(target, plan, chosen)
    with closing(source_of(guarded_set.uri).target(guarded_set.uri)) as target:
        check_restored(source, target, in_place(copies)[0], copies)


def without_accounts(copies: Mapping[str, Copy]) -> dict[str, Copy]:
    return {name: copy for name, copy in copies.items() if ".$" not in name}


def in_place(copies: Mapping[str, Copy]) -> tuple[RestorePlan, Mapping[str, Copy]]:
    """Everything under its own name."""
    items = (
        RestoreItem(each.stream, name, sum(chunk.records for chunk in each.chunks), len(each.data))
        for name, each in copies.items()
    )
    return RestorePlan(tuple(items), "in-place"), copies


def wipe(guarded: Guarded, database: str) -> None:
    with guarded.connect() as client:
        client[database].command("dropAllUsersFromDatabase")
        client[database].command("dropAllRolesFromDatabase")
        client.drop_database(database)


def test_all_databases(guarded_set: Guarded, zoo: str) -> None:
    with holder(guarded_set, "backup") as uri:
        source = source_of(uri, exclude=[])
        assert source.lacks() == []
        assert f"{zoo}.$users" in back_up(source)


def lacks_without(guarded: Guarded, databases: Sequence[str], resource: Mapping[str, Any], action: str) -> list[Lack]:
    privileges: list[Document] = copy.deepcopy([dict(each) for each in backup_privileges(databases, users=True)])
    changed = [each for each in privileges if each["resource"] == resource and action in each["actions"]]
    assert len(changed) == 1
    changed[0]["actions"].remove(action)
    with guarded.user(privileges=[each for each in privileges if each["actions"]]) as uri:
        return list(source_of(uri, *databases).lacks())


@pytest.mark.parametrize(
    ("resource", "action", "named", "lost", "fatal"),
    [
        ({"db": "D", "collection": ""}, "find", "find on D", "D cannot be backed up", True),
        ({"db": "D", "collection": ""}, "listIndexes", "listIndexes on D", "D cannot be backed up", True),
        ({"db": "D", "collection": ""}, "collStats", "collStats on D", "sizes are unknown", False),
        ({"db": "D", "collection": "system.js"}, "find", "find on D.system.js", "server-side functions", True),
        ({"db": "D", "system_buckets": ""}, "find", "find on D.system.buckets.*", "time series", True),
        ({"db": "local", "collection": "oplog.rs"}, "find", "find on local.oplog.rs", "no incremental", False),
        ({"db": "config", "collection": "transactions"}, "find", "find on config.transactions", "replay", False),
        ({"db": "admin", "collection": "system.users"}, "find", "find on admin.system.users", "users", False),
        ({"cluster": True}, "getParameter", "getParameter on the cluster", "users and roles", False),
        ({"cluster": True}, "replSetGetConfig", "replSetGetConfig on the cluster", "by its name only", False),
        ({"cluster": True}, "useUUID", "useUUID on the cluster", "by name", False),
    ],
)
def test_each_missing_privilege_is_named(
    guarded_set: Guarded, database: str, resource: dict[str, Any], action: str, named: str, lost: str, fatal: bool
) -> None:
    resource = {key: database if value == "D" else value for key, value in resource.items()}
    [lack] = lacks_without(guarded_set, [database], resource, action)
    assert lack.privilege == named.replace("on D", f"on {database}")
    assert lost.replace("D cannot", f"{database} cannot") in lack.lost
    assert lack.fatal is fatal


def test_databases_that_the_account_may_not_read_are_told(guarded_set: Guarded, zoo: str, database: str) -> None:
    with guarded_set.connect() as client:
        client[f"{database}_secret"]["c"].insert_one({"_id": 1})
    privileges: list[Document] = [dict(each) for each in backup_privileges([zoo], users=True)]
    privileges.append({"resource": {"cluster": True}, "actions": ["listDatabases"]})
    with guarded_set.user(privileges=privileges) as uri:
        assert any(f"{database}_secret" in warning for warning in source_of(uri).probe().warnings)
        fatal = [each.privilege for each in source_of(uri).lacks() if each.fatal]
        assert f"find on {database}_secret" in fatal
        excluding = source_of(uri, exclude=[f"{database}_secret"])
        assert not any(f"{database}_secret" in warning for warning in excluding.probe().warnings)


def test_without_list_databases_some_may_be_missing(guarded_set: Guarded) -> None:
    [lack] = lacks_without(guarded_set, [], {"cluster": True}, "listDatabases")
    assert lack.privilege == "listDatabases on the cluster"
    assert "left out" in lack.lost


def test_what_the_built_in_roles_lack(guarded_set: Guarded, zoo: str) -> None:
    with guarded_set.user("backup") as uri:
        assert [each.privilege for each in source_of(uri).lacks()] == ["replSetGetConfig on the cluster"]
    with guarded_set.user("readAnyDatabase") as uri:
        lacks = source_of(uri, zoo).lacks()
    assert {each.privilege for each in lacks if not each.fatal} >= {"find on local.oplog.rs", "useUUID on the cluster"}
    assert not any(each.fatal for each in lacks)


def test_where_there_is_no_access_control_nothing_is_lacking(replica_set: Any) -> None:
    assert source_of(replica_set.uri).lacks() == []


def shown_lacks(guarded_set: Guarded, *roles: str, purpose: str = "") -> list[tuple[str, str, bool]]:
    with holder(guarded_set, purpose) if purpose else guarded_set.user(*roles) as uri:
        lacks = source_of("mongodb://127.0.0.1:1/").restore_lacks(uri)
    return [(each.privilege, each.lost, each.fatal) for each in lacks]


def test_what_an_account_lacks_for_a_restore(guarded_set: Guarded, replica_set: Any) -> None:
    assert shown_lacks(guarded_set, purpose="replay") == shown_lacks(guarded_set, "root") == []
    assert shown_lacks(guarded_set, "restore", "readWriteAnyDatabase", "dbAdminAnyDatabase") == []
    restoring = shown_lacks(guarded_set, purpose="restore")
    assert (
        "applyOps on the cluster",
        "there is no restore to a point in time (--at, --before) here",
        False,
    ) in restoring
    assert not any(fatal for *_, fatal in restoring)
    assert any("insert" in privilege and fatal for privilege, _, fatal in shown_lacks(guarded_set, purpose="backup"))
    assert source_of(replica_set.uri).restore_lacks(None) == []
    with pytest.raises(AuthenticationError) as caught:
        source_of(guarded_set.server.uri).restore_lacks(None)
    assert "put name and password into the URI" in caught.value.hint


def operations(database: str) -> list[Document]:
    """One of each kind that a replay applies; views it creates."""
    command = f"{database}.$cmd"
    series = {"timeField": "t", "granularity": "seconds", "bucketMaxSpanSeconds": 3600}
    buckets = {"create": "system.buckets.t", "clusteredIndex": True, "timeseries": series}
    return [
        {"op": "c", "ns": command, "o": {"create": "c", "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}}},
        {"op": "i", "ns": f"{database}.c", "o": {"_id": 1}},
        {"op": "u", "ns": f"{database}.c", "o": {"$v": 2, "diff": {"u": {"a": 1}}}, "o2": {"_id": 1}},
        {"op": "c", "ns": "admin.$cmd", "o": {"applyOps": [{"op": "i", "ns": f"{database}.c", "o": {"_id": 2}}]}},
        {"op": "d", "ns": f"{database}.c", "o": {"_id": 1}},
        {"op": "c", "ns": command, "o": {"collMod": "c", "validationLevel": "moderate"}},
        {"op": "c", "ns": command, "o": {"create": "d"}},
        {
            "op": "c",
            "ns": command,
            "o": {"renameCollection": f"{database}.c", "to": f"{database}.d", "dropTarget": True},
        },
        {"op": "c", "ns": command, "o": buckets},
        {"op": "d", "ns": f"{database}.system.buckets.t", "o": {"_id": 1}},
        {"op": "c", "ns": command, "o": {"drop": "d"}},
        {"op": "c", "ns": command, "o": {"dropDatabase": 1}},
    ]


def apply(client: MongoClient[Document], operation: Document) -> None:
    client.admin.command(
        {"applyOps": [operation], "allowAtomic": False, "alwaysUpsert": False, "bypassDocumentValidation": True}
    )


def test_built_in_roles_for_a_replay(guarded_set: Guarded, database: str) -> None:
    roles = ("restore", "readWriteAnyDatabase", "dbAdminAnyDatabase")
    with guarded_set.user(*roles) as uri, MongoClient[Document](uri) as client:
        for operation in operations(database):
            apply(client, operation)


def test_a_replay_needs_no_more_than_its_role(guarded_set: Guarded, database: str) -> None:
    with holder(guarded_set, "replay") as uri, MongoClient[Document](uri) as client:
        for operation in operations(database):
            apply(client, operation)


def test_what_a_replay_needs_beside_the_role_restore(guarded_set: Guarded, database: str) -> None:
    """The action `applyOps`, which the built-in role has, and then what each operation does."""
    [create, insert, update, *_] = operations(database)
    with guarded_set.user("restore") as uri, MongoClient[Document](uri) as client:
        apply(client, create)
        apply(client, insert)
        with pytest.raises(OperationFailure) as caught:
            apply(client, update)
        assert caught.value.code == UNAUTHORIZED
    privileges = [each for each in replay_privileges() if each["actions"] != ["applyOps"]]
    with guarded_set.user(privileges=privileges) as uri, MongoClient[Document](uri) as client:
        with pytest.raises(OperationFailure) as caught:
            apply(client, insert)
        assert caught.value.code == UNAUTHORIZED
