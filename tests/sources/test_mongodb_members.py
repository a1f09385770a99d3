"""A replica set of three with access control: reading from the member that the URI chooses, or from a hidden one, as a
user with the role ``backup``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from pymongo import MongoClient

from drtool.errors import UnreachableError
from drtool.sources.mongodb.connection import connect
from drtool.sources.mongodb.freezing import last_applied
from drtool.sources.mongodb.oplog.reading import Oplog
from drtool.sources.mongodb.server import Server, ServerOptions, running
from drtool.sources.mongodb.sessions import Sessions
from drtool.sources.reading import Consistency
from tests.servers.process import wait_until
from tests.sources.contract import back_up, read_all
from tests.sources.mongo import Client, Document, source_of

pytestmark = pytest.mark.heavy


@dataclass(frozen=True)
class Members:
    """A primary (tag ``dc: east``), a secondary (``dc: west``) and a hidden member."""

    primary: Server
    secondary: Server
    hidden: Server

    def uri(self, server: Server, user: str) -> str:
        """The address of a member for `user`."""
        return server.uri.replace("://", f"://{user}:pw@")


@pytest.fixture(scope="module")
def members(mongod: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    """Started with a key file; users ``root`` and ``backup``."""
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text("asecretamongmembers")
    key.chmod(0o600)
    guarded = ("--keyFile", str(key))
    with (
        running(mongod, ServerOptions(replica_set="three", arguments=guarded)) as primary,
        running(mongod, ServerOptions(arguments=(*guarded, "--replSet", "three"))) as secondary,
        running(mongod, ServerOptions(arguments=(*guarded, "--replSet", "three"))) as hidden,
    ):
        with MongoClient[Document](primary.uri) as client:
            client.admin.command({"createUser": "root", "pwd": "pw", "roles": ["root"]})
        found = Members(primary, secondary, hidden)
        with MongoClient[Document](found.uri(primary, "root")) as client:
            client.admin.command({"createUser": "backup", "pwd": "pw", "roles": ["backup"]})
            config = client.admin.command("replSetGetConfig")["config"]
            config["version"] += 1
            config["members"][0]["tags"] = {"dc": "east"}
            idle = {"priority": 0, "votes": 0}
            config["members"] += [
                {"_id": 1, "host": f"127.0.0.1:{secondary.port}", "tags": {"dc": "west"}, **idle},
                {"_id": 2, "host": f"127.0.0.1:{hidden.port}", "hidden": True, **idle},
            ]
            client.admin.command({"replSetReconfig": config})
        wait_until_secondary(secondary)
        wait_until_secondary(hidden)
        yield found


def wait_until_secondary(server: Server) -> None:
    deadline = time.monotonic() + 60
    with MongoClient[Document](server.uri) as client:
        while not client.admin.command("hello").get("secondary"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_hidden_member_is_read_at_one_instant(members: Members) -> None:
    source = source_of(members.uri(members.primary, "root"), "hid", read_uri=members.uri(members.hidden, "backup"))
    with MongoClient[Document](members.uri(members.primary, "root")) as client:
        database = client["hid"]
        database.create_collection("capped", capped=True, size=4096)
        for number in range(5):
            # more than the first batch: a getMore goes to the session of its find
            database["c"].insert_many([{"_id": f"{number} {each}"} for each in range(1000)])
            wait_until_replicated(members, client)
            with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
                assert view.point["member"] == f"127.0.0.1:{members.hidden.port}"
                earlier = {name: copy.data for name, copy in read_all(view).items()}
                assert (len(earlier), len(earlier["hid.c"]) > 15_000 * (number + 1)) == (2, True)
                database["c"].update_many({}, {"$set": {"round": number}})
                assert {name: copy.data for name, copy in read_all(view).items()} == earlier
                settled = view.settle()
            assert settled.consistency is Consistency.EXACT
        database["c"].drop()


def test_the_role_backup_is_enough_for_an_exact_backup(members: Members) -> None:
    with MongoClient[Document](members.uri(members.primary, "root")) as client:
        client["app"]["c"].insert_many([{"_id": each} for each in range(10)])
        client["app"].create_collection("capped", capped=True, size=4096)
        client["app"]["capped"].insert_one({"_id": 1})
    source = source_of(members.uri(members.primary, "backup"), "app")
    probe = source.probe()
    assert (probe.consistency, probe.warnings) == (Consistency.EXACT, ())
    assert sorted(back_up(source)) == ["app.c", "app.capped"]
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert len(read_all(view)) == 2
        settled = view.settle()
    assert (settled.consistency, dict(settled.weaker)) == (Consistency.EXACT, {})


def test_the_address_of_the_set_leads_to_the_primary(members: Members) -> None:
    uri = f"mongodb://backup:pw@127.0.0.1:{members.primary.port}/?replicaSet=three"
    with closing(source_of(uri, "app").prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert view.point["member"] == f"127.0.0.1:{members.primary.port}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("readPreference=primary", "primary"),
        ("readPreference=secondary", "secondary"),
        ("readPreference=secondaryPreferred", "secondary"),
        ("readPreference=secondaryPreferred&maxStalenessSeconds=120", "secondary"),
        ("readPreference=nearest&readPreferenceTags=dc:east", "primary"),
        ("readPreference=nearest&readPreferenceTags=dc:west", "secondary"),
        ("readPreference=secondary&readPreferenceTags=dc:north&readPreferenceTags=dc:west", "secondary"),
        ("readPreference=secondaryPreferred&readPreferenceTags=dc:north", "primary"),
        ("readPreference=secondary&readPreferenceTags=dc:north&readPreferenceTags=", "secondary"),
    ],
)
def test_the_read_preference_chooses_the_member(members: Members, options: str, expected: str) -> None:
    with MongoClient[Document](members.uri(members.primary, "root")) as client:
        client["chosen"]["c"].replace_one({"_id": 1}, {"_id": 1}, upsert=True)
    uri = f"mongodb://backup:pw@127.0.0.1:{members.primary.port}/?replicaSet=three&{options}"
    source = source_of(uri, "chosen")
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert view.point["member"] == f"127.0.0.1:{getattr(members, expected).port}"
        # As a secondary lags, it may not know the collection yet; what it knows, all of it reads.
        assert view.settle().consistency is Consistency.EXACT
        assert set(read_all(view)) <= {"chosen.c"}


def test_no_member_that_the_read_preference_takes(members: Members) -> None:
    options = "readPreference=secondary&readPreferenceTags=dc:north&serverSelectionTimeoutMS=1000"
    uri = f"mongodb://backup:pw@127.0.0.1:{members.primary.port}/?replicaSet=three&{options}"
    with pytest.raises(UnreachableError) as caught:
        source_of(uri, "app").probe()
    assert "127.0.0.1" in caught.value.message


def test_the_oplog_of_the_hidden_member_is_read(members: Members) -> None:
    uri = members.uri(members.hidden, "backup")
    with MongoClient[Document](members.uri(members.primary, "root")) as writer, connect(uri) as client:
        before = last_applied(writer)
        writer["oplog"]["c"].insert_one({"_id": "looked for"})
        after = last_applied(writer)
        wait_until_replicated(members, writer)
        oplog = Oplog(client, uri, Sessions(client))
        found = [entry for entry in oplog.entries(before, after) if b"looked for" in entry.raw]
        assert len(found) == 1


def wait_until_replicated(members: Members, writer: Client) -> None:
    """The hidden member has what `writer` wrote."""
    written = last_applied(writer)
    with MongoClient[Document](members.uri(members.hidden, "backup")) as client:

        def arrived() -> bool:
            return bool(client.admin.command("hello")["lastWrite"]["majorityOpTime"]["ts"] >= written)

        wait_until(arrived, "the hidden member to have what was written")
