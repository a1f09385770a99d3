"""Connecting: credentials, addresses, and what errors say and do not say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pymongo import MongoClient

from drtool.errors import AuthenticationError, ConfigError, DrtoolError, UnreachableError
from drtool.sources.mongodb import MongoSource
from drtool.sources.mongodb import uri as uris
from drtool.sources.mongodb.connection import Deployment, connect
from drtool.sources.mongodb.server import Server, ServerOptions, running
from drtool.sources.reading import Consistency
from tests.sources.contract import back_up
from tests.sources.mongo import Client, Document, source_of

PASSWORD = "p@ss/w:rd%"
QUOTED = "p%40ss%2Fw%3Ard%25"


@pytest.fixture(scope="module")
def guarded(mongod: Path) -> Iterator[Server]:
    """A server that wants a password: ``root`` may do all, ``weak`` nothing, ``backup`` what a backup needs."""
    with running(mongod, ServerOptions(arguments=("--auth",))) as server:
        with MongoClient[Document](server.uri) as client:
            client.admin.command({"createUser": "root", "pwd": PASSWORD, "roles": ["root"]})
        with MongoClient[Document](with_user(server, "root", QUOTED)) as client:
            client["app"]["c"].insert_one({"_id": 1})
            client["app"].create_collection("capped", capped=True, size=4096)
            client.admin.command({"createUser": "weak", "pwd": PASSWORD, "roles": []})
            client.admin.command({"createUser": "backup", "pwd": PASSWORD, "roles": ["backup"]})
        yield server


def with_user(server: Server, user: str, password: str) -> str:
    return server.uri.replace("://", f"://{user}:{password}@")


def says_nothing_secret(error: DrtoolError, *secrets: str) -> None:
    seen: BaseException | None = error
    while seen is not None:
        for secret in secrets:
            assert secret not in str(seen)
            assert secret not in repr(seen)
        seen = seen.__cause__
    for secret in secrets:
        assert secret not in error.hint


def test_a_wrong_password(guarded: Server) -> None:
    with pytest.raises(AuthenticationError) as caught:
        source_of(with_user(guarded, "root", "wr0ng-secret"), "app").probe()
    assert "127.0.0.1" in caught.value.message
    assert caught.value.hint
    says_nothing_secret(caught.value, "wr0ng-secret")


def test_no_credentials_and_too_few_privileges(guarded: Server) -> None:
    with pytest.raises(AuthenticationError):
        back_up(source_of(guarded.uri, "app"))
    with pytest.raises(AuthenticationError) as caught:
        back_up(source_of(with_user(guarded, "weak", QUOTED), "app"))
    assert "backup" in caught.value.hint
    says_nothing_secret(caught.value, PASSWORD, QUOTED)


def test_the_role_backup_is_enough(guarded: Server) -> None:
    source = source_of(with_user(guarded, "backup", QUOTED))
    assert source.probe().topology == "standalone"
    assert sorted(back_up(source)) == ["admin.$users", "app.c", "app.capped"]


def test_no_server() -> None:
    uri = f"mongodb://root:{QUOTED}@127.0.0.1:1/?serverSelectionTimeoutMS=100"
    with pytest.raises(UnreachableError) as caught:
        MongoSource("app", uri=uri).probe()
    assert "127.0.0.1:1" in caught.value.message
    says_nothing_secret(caught.value, PASSWORD, QUOTED)


@pytest.mark.parametrize(
    "uri",
    [
        "nonsense",
        "mongodb://root:s3cret@h:port",
        "mongodb://root:s3:cr/et@host",
        "mongodb://root:s3cret/cr/et@host",
        "mongodb://root:s3cret@h/?tls=true&ssl=false",
    ],
)
def test_a_uri_that_is_none(uri: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MongoSource("app", uri=uri).probe()
    says_nothing_secret(caught.value, "s3cret", "cr/et")


@pytest.mark.parametrize(("query", "seconds"), [("", 10), ("?serverselectiontimeoutms=1500", 1.5)])
def test_a_missing_server_is_not_waited_for_long(query: str, seconds: float) -> None:
    with connect(f"mongodb://127.0.0.1:1/{query}") as client:
        assert client.options.server_selection_timeout == seconds


@pytest.mark.parametrize(
    ("version", "topology", "expected"),
    [
        ("4.4.29", "replica-set", False),
        ("5.0.0", "replica-set", True),
        ("8.0.0-rc3", "replica-set", True),
        ("8.0.1", "standalone", False),
        ("8.0.1", "sharded", False),
    ],
)
def test_who_can_be_read_at_one_instant(version: str, topology: str, expected: bool) -> None:
    assert Deployment(version, topology, writable=True).has_instants is expected


def test_any_address_of_a_set_leads_to_one_member(replica_set: Server, client: Client, database: str) -> None:
    client[database]["c"].insert_one({"_id": 1})
    uri = f"mongodb://127.0.0.1:{replica_set.port}/?replicaSet=tests&readPreference=primaryPreferred"
    source = source_of(uri, database)
    assert source.probe().consistency is Consistency.EXACT
    assert len(back_up(source)[f"{database}.c"].data) == 14


def test_read_uri_must_lead_to_the_same_set(replica_set: Server, standalone: Server, database: str) -> None:
    same = source_of(replica_set.uri, database, read_uri=replica_set.uri)
    assert same.probe().identity
    with pytest.raises(ConfigError, match="another replica set"):
        source_of(replica_set.uri, database, read_uri=standalone.uri).probe()


def test_a_database_that_is_not_there_is_told(replica_set: Server, database: str) -> None:
    source = source_of(replica_set.uri, database)
    assert any(database in warning for warning in source.probe().warnings)
    prepared = source.prepare(None)
    view = prepared.freeze()
    assert list(view.streams()) == []
    assert any(database in warning for warning in view.settle().warnings)
    view.close()


@dataclass(frozen=True)
class Hidden:
    """A value as the configuration holds it."""

    value: str

    def reveal(self) -> str:
        return self.value


@dataclass(frozen=True)
class Given:
    """Settings as the configuration holds them."""

    uri: Hidden
    read_uri: Hidden | None = None
    databases: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    users: str | None = None
    max_time: float | None = None
    bandwidth: int | None = None
    mongod: Path | None = None


def test_from_settings(replica_set: Server, client: Client, database: str) -> None:
    client[database]["c"].insert_one({"_id": 1})
    client[database]["d"].insert_one({"_id": 1})
    settings = Given(Hidden(replica_set.uri), Hidden(replica_set.uri), (database,), (f"{database}.d",))
    assert list(back_up(MongoSource.from_settings("app", settings))) == [f"{database}.c"]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mongodb://a:1,b:2/?replicaSet=r", "mongodb://m:3/?directConnection=true"),
        ("mongodb://a", "mongodb://m:3/?directConnection=true"),
        (
            "mongodb://u:p%40@a:1/db?tls=true&directConnection=false",
            "mongodb://u:p%40@m:3/db?tls=true&directConnection=true",
        ),
        ("mongodb://u:p@a?appName=x%2Fy", "mongodb://u:p@m:3/?appName=x%2Fy&directConnection=true"),
    ],
)
def test_pinning_keeps_all_but_the_hosts(uri: str, expected: str) -> None:
    assert uris.pinned(uri, "m:3") == expected


def test_what_is_shown_of_a_uri() -> None:
    assert uris.shown("mongodb://u:p@a:1,b:2/db?x=y") == "mongodb://a:1,b:2/db"
    assert uris.redacted("said p%40 and p@", "mongodb://u:p%40@a") == "said *** and ***"
    assert uris.redacted('user u:r@a of "replicas"', "mongodb://u:r@a") == 'user u:***@a of "replicas"'
