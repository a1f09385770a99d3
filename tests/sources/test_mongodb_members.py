"""A replica set of two with access control: reading from a hidden member, as a user with the role ``backup``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from pymongo import MongoClient

from drtool.sources.base import Consistency
from drtool.sources.mongodb.server import Server, ServerOptions, running
from tests.sources.contract import back_up, read_all
from tests.sources.mongo import Document, source_of


@dataclass(frozen=True)
class Pair:
    """A primary and a hidden member."""

    primary: Server
    hidden: Server

    def uri(self, server: Server, user: str) -> str:
        """The address of a member for `user`."""
        return server.uri.replace("://", f"://{user}:pw@")


@pytest.fixture(scope="module")
def pair(mongod: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Started with a key file; users ``root`` and ``backup``."""
    key = tmp_path_factory.mktemp("key") / "key"
    key.write_text("asecretamongmembers")
    key.chmod(0o600)
    guarded = ("--keyFile", str(key))
    with (
        running(mongod, ServerOptions(replica_set="pair", arguments=guarded)) as primary,
        running(mongod, ServerOptions(arguments=(*guarded, "--replSet", "pair"))) as hidden,
    ):
        with MongoClient[Document](primary.uri) as client:
            client.admin.command({"createUser": "root", "pwd": "pw", "roles": ["root"]})
        found = Pair(primary, hidden)
        with MongoClient[Document](found.uri(primary, "root")) as client:
            client.admin.command({"createUser": "backup", "pwd": "pw", "roles": ["backup"]})
            config = client.admin.command("replSetGetConfig")["config"]
            config["version"] += 1
            member = {"_id": 1, "host": f"127.0.0.1:{hidden.port}", "priority": 0, "votes": 0, "hidden": True}
            config["members"].append(member)
            client.admin.command({"replSetReconfig": config})
        wait_until_secondary(hidden)
        yield found


def wait_until_secondary(server: Server) -> None:
    deadline = time.monotonic() + 60
    with MongoClient[Document](server.uri) as client:
        while not client.admin.command("hello").get("secondary"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_hidden_member_is_read_at_one_instant(pair: Pair) -> None:
    source = source_of(pair.uri(pair.primary, "root"), "hid", read_uri=pair.uri(pair.hidden, "backup"))
    with MongoClient[Document](pair.uri(pair.primary, "root")) as client:
        database = client["hid"]
        database.create_collection("capped", capped=True, size=4096)
        for number in range(5):
            database["c"].insert_many([{"_id": (number, each).__repr__()} for each in range(200)])
            with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
                assert view.point["member"] == f"127.0.0.1:{pair.hidden.port}"
                earlier = {name: copy.data for name, copy in read_all(view).items()}
                database["c"].update_many({}, {"$set": {"round": number}})
                assert {name: copy.data for name, copy in read_all(view).items()} == earlier
                settled = view.settle()
            assert settled.consistency is Consistency.EXACT
        database["c"].drop()


def test_the_role_backup_is_enough_for_an_exact_backup(pair: Pair) -> None:
    with MongoClient[Document](pair.uri(pair.primary, "root")) as client:
        client["app"]["c"].insert_many([{"_id": each} for each in range(10)])
        client["app"].create_collection("capped", capped=True, size=4096)
        client["app"]["capped"].insert_one({"_id": 1})
    source = source_of(pair.uri(pair.primary, "backup"), "app")
    probe = source.probe()
    assert (probe.consistency, probe.warnings) == (Consistency.EXACT, ())
    assert sorted(back_up(source)) == ["app.c", "app.capped"]
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert len(read_all(view)) == 2
        settled = view.settle()
    assert (settled.consistency, dict(settled.weaker)) == (Consistency.EXACT, {})


def test_the_address_of_the_set_leads_to_the_primary(pair: Pair) -> None:
    uri = f"mongodb://backup:pw@127.0.0.1:{pair.primary.port}/?replicaSet=pair"
    with closing(source_of(uri, "app").prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert view.point["member"] == f"127.0.0.1:{pair.primary.port}"
