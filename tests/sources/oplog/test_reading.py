"""The oplog of a real server is read whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bson import Timestamp

from drtool.errors import OplogTruncatedError
from drtool.sources.mongodb.batches import documents
from drtool.sources.mongodb.connection import connect
from drtool.sources.mongodb.oplog.entries import Entry
from drtool.sources.mongodb.oplog.reading import Oplog, shown
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.sessions import Sessions
from tests.sources.mongo import Client
from tests.sources.oplog.test_entries import raw_entries


@pytest.fixture
def oplog(replica_set: Server) -> Iterator[Oplog]:
    """Of the shared server."""
    with connect(replica_set.uri) as client:
        sessions = Sessions(client)
        yield Oplog(client, replica_set.uri, sessions)
        sessions.close()


@pytest.fixture
def written(client: Client, database: str) -> list[bytes]:
    """The entries of a few inserts."""
    client[database]["c"].insert_many([{"_id": number} for number in range(5)])
    return raw_entries(client, {"ns": f"{database}.c", "op": "i"})


def test_entries_between_two(oplog: Oplog, written: list[bytes]) -> None:
    entries = [Entry.parse(raw) for raw in written]
    first, last = entries[0].ts, entries[-1].ts
    found = [entry.raw for entry in oplog.entries(first, last)]
    assert [raw for raw in found if raw in written] == written[1:]
    everything = [raw for batch in oplog.batches_from(first, last) for raw in documents(batch)]
    assert [raw for raw in everything if raw in written] == written
    assert everything == [written[0], *found]


def test_a_filter_and_a_projection(oplog: Oplog, written: list[bytes]) -> None:
    first, last = Entry.parse(written[0]).ts, Entry.parse(written[-1]).ts
    batches = oplog.batches_from(first, last, {"op": "i"}, {"_id": 0, "op": 1})
    found = [raw for batch in batches for raw in documents(batch)]
    assert set(found) == {b"\x0f\0\0\0\x02op\0\x02\0\0\0i\0\0"}


def test_single_entries(oplog: Oplog, written: list[bytes]) -> None:
    entry = Entry.parse(written[2])
    assert oplog.at(entry.ts) == entry == oplog.fetch(entry.ts)
    missing = Timestamp(entry.ts.time, 0)
    assert oplog.at(missing) is None
    with pytest.raises(OplogTruncatedError, match="no longer holds"):
        oplog.fetch(missing)


def test_an_oplog_that_begins_too_late(oplog: Oplog, written: list[bytes]) -> None:
    oldest, last = oplog.oldest(), Entry.parse(written[-1]).ts
    oplog.require(oldest)
    before = Timestamp(oldest.time - 1, 1)
    for reading in (oplog.batches(before, last), oplog.batches_from(before, last), oplog.entries(before, last)):
        with pytest.raises(OplogTruncatedError, match="no longer reaches back"):
            next(iter(reading))


def test_how_a_timestamp_is_shown() -> None:
    assert shown(Timestamp(0, 7)) == "1970-01-01T00:00:00Z (0:7)"
