"""Users and roles: which are backed up, and how they come back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from drtool.errors import IncompleteRestoreError, TargetNotEmptyError, UsageError
from drtool.sources.mongodb.accounts import left_out
from drtool.sources.mongodb.granting import is_atlas
from drtool.sources.mongodb.names import Selection, matches, rename
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.restoring import RestorePlan
from tests.servers.guarded import PASSWORD, Guarded
from tests.sources.contract import Copy, back_up, check_restored, load_all, read_all, restore
from tests.sources.mongo import RAW, Client, encoded, plan_renamed, source_of, unique_database


@dataclass(frozen=True)
class App:
    """A database on a guarded server with two users and two roles, of which one inherits from the other."""

    server: Guarded
    root: Client
    name: str

    @property
    def database(self) -> Any:
        """As root."""
        return self.root[self.name]

    def stored(self, collection: str) -> list[bytes]:
        """The documents of ``admin.system.users`` or ``admin.system.roles`` that belong to it."""
        holder: Any = self.root.admin.get_collection(collection, codec_options=RAW)
        return [bytes(each.raw) for each in holder.find({"db": self.name}).sort("_id", 1)]

    def login(self, user: str) -> Client:
        """A client of one of its users."""
        return MongoClient(self.server.uri_of(user, options=f"authSource={self.name}"))

    def forget(self) -> None:
        """Drop all users and roles."""
        self.database.command({"dropAllUsersFromDatabase": 1})
        self.database.command({"dropAllRolesFromDatabase": 1})


@pytest.fixture
def app(guarded_set: Guarded) -> Iterator[App]:
    """An application with users."""
    with guarded_set.connect() as root:
        made = App(guarded_set, root, unique_database(root))
        made.database["notes"].insert_one({"_id": 1})
        privilege = {"resource": {"db": made.name, "collection": "notes"}, "actions": ["find", "insert"]}
        made.database.command({"createRole": "base", "privileges": [privilege], "roles": []})
        made.database.command(
            {
                "createRole": "derived",
                "privileges": [],
                "roles": ["base", "dbAdmin"],
                "authenticationRestrictions": [{"clientSource": ["127.0.0.1"]}],
            }
        )
        made.database.command({"createUser": "writer", "pwd": PASSWORD, "roles": ["derived"], "customData": {"a": 7}})
        made.database.command({"createUser": "reader", "pwd": PASSWORD, "roles": ["read"]})
        yield made
        made.forget()
        root.drop_database(made.name)


@pytest.fixture
def target(guarded_set: Guarded) -> Iterator[MongoTarget]:
    """The guarded server, as an account that may restore databases, users and roles."""
    with (
        guarded_set.user("restore", "readWriteAnyDatabase", "dbAdminAnyDatabase") as uri,
        closing(MongoTarget(uri)) as found,
    ):
        yield found


def of_accounts(copies: dict[str, Copy]) -> dict[str, Copy]:
    """Those streams that hold users or roles."""
    return {name: copy for name, copy in copies.items() if "$" in name}


def test_the_role_backup_suffices_to_read_them_at_the_instant(app: App) -> None:
    users, roles = app.stored("system.users"), app.stored("system.roles")
    with (
        app.server.user("backup") as uri,
        closing(source_of(uri, app.name).prepare(None)) as prepared,
        closing(prepared.freeze()) as view,
    ):
        app.database.command({"updateUser": "reader", "pwd": "another"})
        app.database.command({"dropRole": "derived"})
        app.database.command({"createUser": "later", "pwd": "x", "roles": []})
        copies = read_all(view)
        settled = view.settle()
    assert list(copies) == [f"{app.name}.$roles", f"{app.name}.$users", f"{app.name}.notes"]
    assert copies[f"{app.name}.$users"].data == b"".join(users)
    assert copies[f"{app.name}.$roles"].data == b"".join(roles)
    described = source_of(app.server.uri).describe(copies[f"{app.name}.$users"].stream.definition)
    assert described["options"] == {
        "members": [f"{app.name}.reader", f"{app.name}.writer"],
        "needs": [f"{app.name}.derived"],
    }
    assert not settled.weaker
    assert not settled.warnings
    assert {copies[f"{app.name}.{kind}"].stream.kind for kind in ("$users", "$roles")} == {"users", "roles"}


def test_they_are_the_same_in_a_sandbox(app: App, tmp_path: Path) -> None:
    source = source_of(app.server.uri, app.name)
    copies = back_up(source)
    plan = plan_renamed(source, copies)
    with source.sandbox(source.probe().version, tmp_path) as box, closing(source.target(box.uri)) as target:
        assert target.inspect(plan).occupied == ()
        restore(target, plan, copies)
        check_restored(source, target, plan, copies)


def test_the_role_restore_suffices_to_bring_them_back(app: App) -> None:
    source = source_of(app.server.uri, app.name)
    copies = of_accounts(back_up(source))
    users, roles = app.stored("system.users"), app.stored("system.roles")
    app.forget()
    plan = plan_renamed(source, copies)
    with app.server.user("restore") as uri, closing(MongoTarget(uri)) as target:
        for _ in range(2):  # those that are there and the same are in nobody's way
            assert target.inspect(plan).occupied == ()
            restore(target, plan, copies)
    assert (app.stored("system.users"), app.stored("system.roles")) == (users, roles)
    with app.login("writer") as client:
        client[app.name]["notes"].insert_one({"_id": 2})
        with pytest.raises(OperationFailure, match="not authorized"):
            client[app.name]["other"].insert_one({})
    assert {"tempusers", "temproles"}.isdisjoint(app.root.admin.list_collection_names())


def test_nobody_can_log_in_before_the_data_is_there(app: App, target: MongoTarget) -> None:
    source = source_of(app.server.uri, app.name)
    copies = back_up(source)
    app.forget()
    app.root.drop_database(app.name)
    plan = plan_renamed(source, copies)
    target.begin(plan)
    load_all(target, plan, copies)
    assert app.stored("system.users") == []
    target.finish(plan, lambda sentence: None)
    assert len(app.stored("system.users")) == 2


@pytest.mark.parametrize("may_replace", [False, True])
def test_others_of_the_same_name_are_never_overwritten(app: App, target: MongoTarget, may_replace: bool) -> None:
    source = source_of(app.server.uri, app.name)
    copies = back_up(source)
    app.database.command({"updateUser": "reader", "pwd": "another"})
    app.database.command({"revokeRolesFromRole": "derived", "roles": ["base"]})
    app.database["notes"].drop()
    before = app.stored("system.users")
    plan = replace(plan_renamed(source, copies), replace=may_replace)
    roles, users = target.inspect(plan).occupied
    assert roles.startswith(f"{app.name}.$roles: {app.name}.derived exists and differs")
    assert users.startswith(f"{app.name}.$users: {app.name}.reader exists and differs")
    with pytest.raises(TargetNotEmptyError, match="reader"):
        target.begin(plan)
    assert "notes" not in app.database.list_collection_names()
    assert app.stored("system.users") == before


def test_what_the_server_does_not_take_is_a_failure(app: App, target: MongoTarget) -> None:
    source = source_of(app.server.uri, app.name)
    copies = of_accounts(back_up(source))
    app.forget()
    plan = plan_renamed(source, copies)
    target.begin(plan)
    with pytest.raises(IncompleteRestoreError, match="derived"):
        target.finish(plan, lambda sentence: None)  # nothing came
    load_all(target, plan, copies)
    users = next(item for item in plan.items if item.stream.kind == "users")
    stranger = {"_id": f"{app.name}.reader", "user": "reader", "db": app.name, "credentials": {}, "roles": []}
    target.load(users, [encoded(stranger)])
    with pytest.raises(IncompleteRestoreError) as caught:
        target.finish(plan, lambda sentence: None)
    for part in (f"{app.name}.$users", f"{app.name}.reader", f"{app.name}.writer"):
        assert part in caught.value.message
    assert {"tempusers", "temproles"}.isdisjoint(app.root.admin.list_collection_names())


def test_a_role_that_a_restore_would_lack_is_told(app: App, target: MongoTarget, tmp_path: Path) -> None:
    """Roles of `admin` alone can inherit from elsewhere, and users can have roles of any database."""
    ops = f"ops_{app.name}"
    granted = [{"role": "derived", "db": app.name}]
    app.root.admin.command({"createRole": ops, "privileges": [], "roles": granted})
    try:
        app.database.command({"grantRolesToUser": "reader", "roles": [{"role": ops, "db": "admin"}]})
        source = source_of(app.server.uri, app.name)
        copies = back_up(source)
        everything = plan_renamed(source, copies)
        users = RestorePlan(tuple(item for item in everything.items if item.stream.kind == "users"), "m")
        assert target.inspect(users).notes == ()  # this server has them all
        with source.sandbox(source.probe().version, tmp_path) as box, closing(source.target(box.uri)) as empty:
            (note,) = empty.inspect(everything).notes
            assert f"admin.{ops}" in note
            assert f"{app.name}.derived" not in note
            (note,) = empty.inspect(users).notes
            assert f"{app.name}.derived" in note
            restore(empty, everything, copies)
            check_restored(source, empty, everything, copies)
    finally:
        app.root.admin.command({"dropRole": ops})


def test_everybody_of_a_server(app: App, tmp_path: Path) -> None:
    app.root["$external"].command({"createUser": f"CN={app.name}", "roles": [{"role": "read", "db": app.name}]})
    try:
        source = source_of(app.server.uri, app.name, users="all")
        copies = back_up(source)
        assert {"admin.$users", "$external.$users", f"{app.name}.$users", f"{app.name}.$roles"} <= copies.keys()
        assert source.probe().warnings == ()
        plan = plan_renamed(source, copies)
        with source.sandbox(source.probe().version, tmp_path) as box, closing(source.target(box.uri)) as target:
            restore(target, plan, copies)
            check_restored(source, target, plan, copies)
    finally:
        app.root["$external"].command({"dropUser": f"CN={app.name}"})


def test_an_account_that_may_not_read_them(app: App) -> None:
    with app.server.user({"role": "read", "db": app.name}, "clusterMonitor") as uri:
        source = source_of(uri, app.name)
        assert list(back_up(source)) == [f"{app.name}.notes"]
        (warning,) = source.probe().warnings
        assert "Users and roles are not in the backup" in warning
        assert "`backup`" in warning
        assert source_of(uri, app.name, users="none").probe().warnings == ()


def test_a_user_defined_elsewhere_is_not_forgotten_in_silence(app: App) -> None:
    with app.server.user({"role": "readWrite", "db": app.name}) as uri:
        user = uri.partition("://")[2].partition(":")[0]
        (warning,) = source_of(app.server.uri, app.name).probe().warnings
        assert f"admin.{user}" in warning
        for said in ("all", "databases", "none"):
            assert source_of(app.server.uri, app.name, users=said).probe().warnings == ()


def test_a_database_without_users_has_no_such_stream(guarded_set: Guarded) -> None:
    with guarded_set.connect() as root:
        name = unique_database(root)
        root[name]["c"].insert_one({})
        try:
            assert list(back_up(source_of(guarded_set.uri, name))) == [f"{name}.c"]
        finally:
            root.drop_database(name)


@pytest.mark.parametrize(
    ("databases", "exclude", "users", "taken"),
    [
        ((), (), None, "app.$users app.$roles admin.$users $external.$users"),
        ((), (), "databases", "app.$users app.$roles"),
        ((), (), "none", ""),
        (("app",), (), None, "app.$users app.$roles"),
        (("app",), (), "all", "app.$users app.$roles admin.$users $external.$users"),
        (("other",), (), None, ""),
        ((), ("app",), None, "admin.$users $external.$users"),
        ((), ("app.*",), None, "app.$users app.$roles admin.$users $external.$users"),
        ((), ("*.$users",), None, "app.$roles"),
    ],
)
def test_whose_are_taken(databases: tuple[str, ...], exclude: tuple[str, ...], users: str | None, taken: str) -> None:
    chosen = Selection(databases, exclude, users)
    streams = ["app.$users", "app.$roles", "admin.$users", "$external.$users"]
    assert [name for name in streams if chosen.takes_accounts(name)] == taken.split()


def test_their_names() -> None:
    assert matches("app.$users", "app")
    assert matches("app.$users", "app.$*")
    assert not matches("app.$users", "app.*")
    assert not matches("app.users", "app.$users")
    assert rename("app.$users", "app", "copy") is None
    assert rename("app.$users", "app.*", "copy.*") is None
    with pytest.raises(UsageError, match="keep their database"):
        rename("app.$users", "app.$users", "copy.$users")


HERE = {"app.c": "app_restored.c", "app.$users": "app.$users", "admin.$users": "admin.$users"}
THERE = {name: name for name in HERE}


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (HERE, {}, "app.$users admin.$users"),
        (HERE, {"users": True}, ""),
        (HERE, {"only": ("app.c", "app.$users")}, "admin.$users"),
        (HERE, {"only": ("app",)}, "app.$users admin.$users"),
        (THERE, {"elsewhere": True}, ""),
        (THERE, {"elsewhere": True, "users": False}, "app.$users admin.$users"),
        ({**THERE, "app.c": "copy.c"}, {"elsewhere": True}, "app.$users admin.$users"),
        ({**THERE, "b.c": "copy.c", "b.$users": "b.$users"}, {"elsewhere": True}, "admin.$users b.$users"),
        ({**THERE, "app.c": "copy.c"}, {"elsewhere": True, "users": True}, ""),
        ({**THERE, "app.c": "app.d"}, {"elsewhere": True}, ""),
    ],
)
def test_when_a_restore_leaves_them_alone(names: dict[str, str], options: dict[str, Any], expected: str) -> None:
    said = {"only": (), "users": None, "elsewhere": False, **options}
    found = left_out(names, said["only"], said["users"], elsewhere=said["elsewhere"])
    assert list(found) == expected.split()
    assert all(found.values())


def test_which_addresses_are_atlas() -> None:
    assert is_atlas("mongodb://a-shard-00-00.x1.mongodb.net:27017,a-shard-00-01.x1.mongodb.net:27017/")
    assert is_atlas("mongodb+srv://cluster.x1.mongodb.net/")
    assert not is_atlas("mongodb://mongodb.net.example.org:27017/")
