"""What the archived oplog holds and no restore can do again: told before anything is written, with the place to stop
before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import bson
import pytest
from bson import Int64

from drtool.sources.mongodb.batches import Batch, documents
from tests.operations.pitr.site import OwnServer, next_second, note, own_server
from tests.operations.pitr.test_pitr import back, capture
from tests.operations.site import Site, fill, hashes
from tests.sources.mongo import Client, unique_database

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """One whose feature compatibility version may be changed."""
    with own_server(tmp_path_factory.mktemp("server") / "mongod") as found:
        yield found


@pytest.fixture(scope="module")
def client(server: OwnServer) -> Client:
    """A client of it."""
    return server.initiate()


def _other_version(client: Client, _database: str) -> None:
    for version in ("5.0", "6.0"):
        client.admin.command({"setFeatureCompatibilityVersion": version})


def _reshard(client: Client, database: str) -> None:
    """What a shard that gets none of the records of a resharded collection does, as far as its oplog tells."""
    temporary = "system.resharding.00000000"
    client[database].create_collection(temporary)
    begins = {"msg": {"reshardCollection": f"{database}.c1"}, "type": "reshardBegin"}
    client.admin.command({"appendOplogNote": 1, "data": begins})
    client.admin.command({"renameCollection": f"{database}.{temporary}", "to": f"{database}.c1", "dropTarget": True})


def _of_unknown_kind(client: Client, database: str) -> None:
    made = {"op": "zz", "ns": f"{database}.c1", "o": {"_id": 1}}
    client.admin.command({"appendOplogNote": 1, "data": {"made": made}})


def _as_made(batch: Batch) -> Iterator[bytes]:
    """The server's entries; in place of a note that holds an entry, that entry, where the note stood."""
    for raw in documents(batch):
        entry = bson.decode(raw)
        made = entry["o"].get("made") if entry["op"] == "n" else None
        yield raw if made is None else bson.encode({**entry, "t": Int64(entry["t"]), **made})


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (_other_version, "the featureCompatibilityVersion of the source was changed"),
        (_reshard, "was resharded"),
        (_of_unknown_kind, "of the unknown kind 'zz'"),
    ],
    ids=["version", "resharded", "kind"],
)
def test_before_and_after_it(
    tmp_path: Path, server: OwnServer, client: Client, cause: Callable[[Client, str], None], words: str
) -> None:
    database = unique_database(client)
    fill(client, database)
    site = Site(tmp_path, server.uri, {"nightly": (database,)}).set_up()
    site.backup()
    capture(site)
    client[database].c0.insert_one({"_id": "before"})
    held = hashes(client, database)
    cause(client, database)
    client[database].c0.insert_one({"_id": "after"})
    moment = next_second(client).isoformat()
    with mock.patch("drtool.sources.mongodb.oplog.archiving.documents", _as_made):
        capture(site)
    target = ("--rename", f"{database}={database}_b")
    for arguments in (("--dry-run",), ()):
        ended = site.drtool("restore", "latest", "--at", moment, *target, *arguments)
        error = ended.result["error"]
        assert (ended.code, error["kind"]) == (1, "source"), ended.out + ended.err
        assert words in error["message"]
        assert "to a time before it" in error["hint"]
        assert f"{database}_b" not in client.list_database_names()
    place = error["message"].rpartition("(")[2].rstrip(")")
    assert back(site, client, database, "--before", place) == held
    # A snapshot taken after it leads on.
    later = site.backup()
    assert later["consistency"] == "exact"
    if cause is _other_version:
        assert later["full_because"] == "the server's feature compatibility version was set"
    client[database].c0.insert_one({"_id": "later"})
    note(client)
    now = hashes(client, database)
    moment = next_second(client).isoformat()
    capture(site)
    assert back(site, client, database, "--at", moment) == now
