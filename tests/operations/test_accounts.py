"""Users and roles through the commands: in a snapshot, proven, and brought back only where nobody is surprised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.site import Site, connect
from tests.servers.guarded import PASSWORD, shared_guarded
from tests.servers.mongod import shared
from tests.sources.mongo import Client, unique_database


@pytest.fixture
def root() -> Iterator[Client]:
    """A client of a server with users."""
    with shared_guarded().connect() as found:
        yield found


@pytest.fixture
def app(root: Client) -> Iterator[str]:
    """The name of a database with a record, a role and a user."""
    name = unique_database(root)
    root[name]["notes"].insert_one({"_id": 1})
    root[name].command({"createRole": "auditor", "privileges": [], "roles": ["read"]})
    root[name].command({"createUser": "writer", "pwd": PASSWORD, "roles": ["readWrite", "auditor"]})
    yield name
    for found in root.list_database_names():
        if found.startswith(name):
            root.drop_database(found)
    root[name].command({"dropAllUsersFromDatabase": 1})
    root[name].command({"dropAllRolesFromDatabase": 1})


@pytest.fixture
def taken(tmp_path: Path, app: str) -> Site:
    """A host with one snapshot of it."""
    site = Site(tmp_path, shared_guarded().uri, {"nightly": (app,)}).set_up()
    site.backup()
    return site


@pytest.fixture
def other(app: str) -> Iterator[Client]:
    """A client of another server."""
    with connect(shared(None).uri) as found:
        yield found
        found.drop_database(app)
        found[app].command({"dropAllUsersFromDatabase": 1})
        found[app].command({"dropAllRolesFromDatabase": 1})


def test_shown_and_proven(taken: Site, app: str) -> None:
    streams = {line["name"]: line for line in taken.ok("show", "latest") if line["type"] == "stream"}
    assert {name: line["kind"] for name, line in streams.items()} == {
        f"{app}.$roles": "roles",
        f"{app}.$users": "users",
        f"{app}.notes": "collection",
    }
    assert {(line["consistency"], line["proof"], line["records"]) for line in streams.values()} == {
        ("exact", "identical", 1)
    }
    checked = taken.ok("verify", "latest", "--level", "restored")[-2]["checked"]
    assert checked["records"] >= 3
    assert taken.ok("snapshots")[0]["level"] == "restored"


def test_no_login_is_made_beside(taken: Site, root: Client, app: str) -> None:
    before = list(root.admin["system.users"].find())
    told = taken.told("restore", "latest", "--dry-run")
    assert f"not restored: {app}.$roles (1), {app}.$users (1): no account is created beside what is there" in told.out
    result = taken.ok("restore", "latest")[-1]
    assert (result["records"], result["expected_records"], result["streams"]) == (1, 1, 1)
    assert {(left["stream"], left["records"]) for left in result["left_out"]} == {
        (f"{app}.$roles", 1),
        (f"{app}.$users", 1),
    }
    assert list(root.admin["system.users"].find()) == before
    empty = taken.drtool("restore", "latest", "--only", f"{app}.$users", "--no-users")
    assert empty.code == 2
    assert "--no-users" in empty.result["error"]["message"]


@pytest.mark.parametrize("how", ["--users", "--only"])
def test_users_lost_on_the_server_itself(taken: Site, root: Client, app: str, how: str) -> None:
    before = list(root.admin["system.users"].find({"db": app}))
    root[app].command({"dropAllUsersFromDatabase": 1})
    asked = ["--users"] if how == "--users" else ["--only", f"{app}.$*"]
    result = taken.ok("restore", "latest", *asked)[-1]
    assert result["records"] == result["expected_records"] == (3 if how == "--users" else 2)
    assert result["left_out"] == []
    assert list(root.admin["system.users"].find({"db": app})) == before


def test_on_another_server(taken: Site, root: Client, other: Client, app: str) -> None:
    uri = shared(None).uri
    assert taken.ok("restore", "latest", "--to", uri)[-1]["records"] == 3
    assert list(other.admin["system.users"].find({"db": app})) == list(root.admin["system.users"].find({"db": app}))
    other.drop_database(app)
    other[app].command({"dropAllUsersFromDatabase": 1})
    again = taken.told("restore", "latest", "--to", uri)
    assert f"{app}.$roles: 0 made, 1 there already" in again.out
    assert f"{app}.$users" not in again.out.partition("there already")[2]
    other.drop_database(app)
    assert taken.ok("restore", "latest", "--to", uri)[-1]["already_there"] == {f"{app}.$roles": 1, f"{app}.$users": 1}
    other.drop_database(app)
    other[app].command({"updateUser": "writer", "pwd": "another"})
    refused = taken.drtool("restore", "latest", "--to", uri)
    assert refused.code == 20
    assert f"{app}.writer exists and differs" in refused.result["error"]["message"]
    assert "--no-users" in refused.result["error"]["message"]
    hint = refused.result["error"]["hint"]
    assert ("--no-users" in hint, "--rename" in hint) == (True, False)
    other[app]["notes"].insert_one({})
    hint = taken.drtool("restore", "latest", "--to", uri).result["error"]["hint"]
    assert ("--no-users" in hint, "--rename" in hint) == (True, True)
    other.drop_database(app)
    assert taken.ok("restore", "latest", "--to", uri, "--no-users")[-1]["records"] == 1
