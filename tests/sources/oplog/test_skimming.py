"""Reading over entries gives what taking all of them apart gives, and reads over what a real server writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import bson
import pytest
from bson.int64 import Int64
from bson.timestamp import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.collection import Collection

from drtool.sources.log import LogEvent
from drtool.sources.mongodb.oplog.archiving import MongoLog
from drtool.sources.mongodb.oplog.entries import Entry
from drtool.sources.mongodb.oplog.events import events
from drtool.sources.mongodb.oplog.skimming import Skimmer
from drtool.sources.mongodb.server import Server
from tests.sources.mongo import Client, Document
from tests.sources.oplog.test_entries import raw_entries
from tests.sources.oplog.test_transactions import now

Made = dict[str, Any]

WORDS = ("insert", "update", "delete", "drop", "dropDatabase", "rename", "create")
NAMESPACES = ("a.x", "a.y", "a.system.buckets.x", "b.x", "")
BEGINNING: Made = {"prevOpTime": {"ts": Timestamp(0, 0), "t": Int64(-1)}}


def _operation(op: str, ns: str) -> Made:
    return {"op": op, "ns": ns, "ui": bson.Binary(bytes(16), 4), "o": {"_id": 1, "op": "d", "ns": "a.x"}}


RECORDS = st.builds(_operation, st.sampled_from("iudn"), st.sampled_from(NAMESPACES))
COMMANDS = st.sampled_from(
    [
        {"op": "c", "ns": "a.$cmd", "o": {"drop": "x"}, "o2": {"numRecords": 7}},
        {"op": "c", "ns": "a.$cmd", "o": {"dropDatabase": 1}},
        {"op": "c", "ns": "b.$cmd", "o": {"renameCollection": "b.x", "to": "a.x", "dropTarget": True}},
        {"op": "c", "ns": "a.$cmd", "o": {"create": "system.buckets.x"}},
    ]
)


@st.composite
def _applied(draw: st.DrawFn) -> Made:
    """An applyOps: by itself, or a part or the end of a transaction of the session that is added."""
    inner: list[Made] = draw(st.lists(RECORDS | COMMANDS, max_size=3))
    flags = draw(st.sampled_from([{}, {"partialTxn": True}, {"prepare": True}]))
    return {"op": "c", "ns": "admin.$cmd", "o": {"applyOps": inner, **flags}}


ENDS = st.sampled_from(["commitTransaction", "abortTransaction"]).map(
    lambda end: {"op": "c", "ns": "admin.$cmd", "o": {end: 1}}
)
TXN: Made = {"lsid": {"id": 1}, "txnNumber": Int64(1), **BEGINNING}
SESSIONS = st.sampled_from(
    [
        {},
        TXN,
        {"lsid": {"id": 2, "uid": b"x" * 32}, "txnNumber": Int64(1), **BEGINNING},
        {"lsid": {"id": 3}, "txnNumber": Int64(1), "txnRetryCounter": 0, **BEGINNING},
    ]
)
#: Where a server puts a session; at the end; and as a document of no order at all.
ORDERS = st.sampled_from(["before", "before", "after", "backwards"])


def _encoded(number: int, body: Made, session: Made, order: str) -> bytes:
    place = {"ts": Timestamp(5 + number // 3, number), "t": Int64(1), "v": Int64(2)}
    if order == "backwards":
        return bson.encode(dict(reversed((session | body | place).items())))
    return bson.encode(session | body | place if order == "before" else body | place | session)


def _wanted(found: Iterator[LogEvent], ops: frozenset[str], streams: frozenset[str]) -> list[LogEvent]:
    return [event for event in found if event.op in ops and ({event.namespace, event.to} & streams)]


@given(
    entries=st.lists(st.tuples(RECORDS | COMMANDS | _applied() | ENDS, SESSIONS, ORDERS), min_size=1, max_size=12),
    ops=st.frozensets(st.sampled_from(WORDS), min_size=1),
    streams=st.frozensets(st.sampled_from(["a", "a.x", "a.y", "b.x", "."]), min_size=1),
    cut=st.integers(0, 12),
)
@example(
    entries=[
        (
            {"op": "c", "ns": "admin.$cmd", "o": {"applyOps": [_operation("d", "a.x")], "partialTxn": True}},
            TXN,
            "before",
        ),
        (_operation("i", "a.y"), {}, "before"),
        ({"op": "c", "ns": "admin.$cmd", "o": {"applyOps": []}}, TXN, "before"),
    ],
    ops=frozenset({"delete"}),
    streams=frozenset({"a.x"}),
    cut=2,
)
def test_nothing_that_is_looked_for_is_read_over(
    entries: Sequence[tuple[Made, Made, str]], ops: frozenset[str], streams: frozenset[str], cut: int
) -> None:
    raws = [_encoded(number, *entry) for number, entry in enumerate(entries, 1)]
    chunks = [b"".join(raws[:cut]), b"".join(raws[cut:])]
    skimmed = MongoLog(mock.Mock()).events(iter(chunks), ops, streams.__contains__)
    expected = _wanted(events(map(Entry.parse, raws)), ops, streams)
    assert _wanted(skimmed, ops, streams) == expected


@pytest.mark.parametrize("retryable", [False, True])
def test_what_a_server_writes_is_told_by_its_first_bytes(replica_set: Server, database: str, retryable: bool) -> None:
    client: Client
    with MongoClient(replica_set.uri, retryWrites=retryable) as client:
        records: Collection[Document] = client[database]["c"]
        records.insert_one({"_id": 0})
        start = now(client)
        for number in range(1, 4):
            records.insert_one({"_id": number})
            records.update_one({"_id": number}, {"$set": {"x": 1}})
            records.delete_one({"_id": number})
        client[database]["other"].drop()
        records.drop()
        raws = raw_entries(client, {"ts": {"$gt": start}, "ns": {"$regex": f"^{database}\\."}})
        chunk = b"".join(raws)
    assert len(raws) == 10, "nine records, and one drop"
    assert all((b"\x03lsid\0" in raw[:10]) is retryable for raw in raws[:9])

    def letters(ops: set[str], *streams: str) -> list[str]:
        return [bson.decode(raw)["op"] for raw in Skimmer(ops, streams.__contains__).picked(chunk)]

    assert letters({"drop", "rename"}, f"{database}.c") == ["c"]
    assert letters({"delete", "drop"}, f"{database}.c") == ["d", "d", "d", "c"]
    assert letters({"insert", "delete", "drop"}, f"{database}.other") == ["c"]
