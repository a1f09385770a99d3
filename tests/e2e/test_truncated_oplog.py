"""An oplog that is too small: the server drops entries of it while they are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from bson.timestamp import Timestamp

from drtool.errors import MissingToolError
from drtool.sources.mongodb.batches import Batch, documents
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.oplog.touched import Pass
from drtool.sources.mongodb.server import Server, ServerOptions, running
from tests.operations.pitr.site import newest, next_second
from tests.operations.pitr.test_pitr import back, capture, state
from tests.operations.site import Site, connect, fill, hashes
from tests.servers.process import wait_until
from tests.sources.mongo import Client, unique_database

pytestmark = pytest.mark.heavy

_NOISE = 200_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """With an oplog of 1 MB, of which it drops what is too much within a second."""
    try:
        program = find_mongod()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    options = ServerOptions(replica_set="small", oplog_mb=1, arguments=("--syncdelay", "1"))
    with running(program, options) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of it."""
    with connect(server.uri) as found:
        yield found


def _drop_through(client: Client, place: Timestamp) -> None:
    """Write elsewhere until the server has dropped the entry at this place, and all else that is too much."""
    oplog = client["local"]["oplog.rs"]

    def is_dropped() -> bool:
        client["noise"]["c"].insert_one({"x": bytes(_NOISE)})
        first = oplog.find_one(sort=[("$natural", 1)], projection={"ts": 1})
        return first is not None and first["ts"] > place

    def is_at_rest() -> bool:
        # It drops whole stretches of entries; the newest one, which is not full, does not count.
        found = client["local"].command("collStats", "oplog.rs")
        return bool(found["size"] <= found["maxSize"] + 2 * _NOISE)

    wait_until(is_dropped, "the oplog to be truncated")
    client.drop_database("noise")
    wait_until(is_at_rest, "the oplog to be about as large as it may be")


def test_while_a_backup_looks_for_changes(tmp_path: Path, server: Server, client: Client) -> None:
    database = unique_database(client)
    fill(client, database)
    site = Site(tmp_path, server.uri, {"nightly": (database,)}).set_up()
    site.backup()
    client[database].c0.update_one({"_id": 1}, {"$set": {"n": -1}})
    at, real = newest(client), Pass.take
    taken = 0

    def take(self: Pass, batch: Batch) -> None:
        nonlocal taken
        real(self, batch)
        taken += 1
        if taken == 1:
            _drop_through(client, at)

    with mock.patch.object(Pass, "take", take):
        line = site.backup()
    assert taken
    assert (line["incremental"], line["consistency"]) == (False, "exact")
    assert "no longer reaches back" in line["full_because"]
    assert back(site, client, database) == hashes(client, database)


def test_while_it_is_archived(tmp_path: Path, server: Server, client: Client) -> None:
    database = unique_database(client)
    fill(client, database)
    site = Site(tmp_path, server.uri, {"nightly": (database,)}).set_up()
    site.backup()
    client[database].c0.delete_one({"_id": 1})
    reached, held = next_second(client).isoformat(), hashes(client, database)
    archived = capture(site)
    client[database].c0.delete_one({"_id": 2})
    lost = next_second(client).isoformat()
    at, taken = newest(client), 0

    def read(batch: Batch) -> Iterator[bytes]:
        nonlocal taken
        taken += 1
        if taken == 1:
            _drop_through(client, at)
        return documents(batch)

    with mock.patch("drtool.sources.mongodb.oplog.archiving.documents", read):
        ended = site.drtool("pitr", "capture")
    assert taken > 1
    assert (ended.code, ended.result["error"]["kind"]) == (3, "partial"), ended.out + ended.err
    assert "no moment between the two can be reached" in ended.lines[0]["lost"]
    [gap] = state(site)["timelines"][0]["gaps"]
    assert gap["from"] == archived["archived_to"]
    for words in (gap["from"], gap["to"]):
        refused = site.drtool("restore", "latest", "--at", lost, "--to", server.uri)
        assert (refused.code, refused.result["error"]["kind"]) == (10, "out-of-reach")
        assert words in refused.result["error"]["message"]
    assert back(site, client, database, "--at", reached) == held
