"""Oplog entries, taken apart, say what pymongo says of them."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Binary, Timestamp
from bson.raw_bson import RawBSONDocument

from drtool.errors import SourceError
from drtool.sources.mongodb.keys import key_of
from drtool.sources.mongodb.oplog.entries import Entry, Operation, opened
from tests.sources.mongo import RAW, Client, Document


def raw_entries(client: Client, filter_: Document) -> list[bytes]:
    """What the oplog holds of it, in order."""
    oplog: Any = client["local"].get_collection("oplog.rs", codec_options=RAW)
    return [bytes(each.raw) for each in oplog.find(filter_).sort("$natural", 1)]


def test_entries_of_a_server(client: Client, database: str) -> None:
    client[database]["c"].insert_one({"_id": "a", "x": 1})
    client[database]["c"].update_one({"_id": "a"}, {"$set": {"x": 2}})
    client[database]["c"].delete_one({"_id": "a"})
    client[database]["c"].create_index("x")
    with client.start_session() as session, session.start_transaction():
        client[database]["c"].insert_one({"_id": "b"}, session=session)
    found = raw_entries(client, {"$or": [{"ns": {"$regex": f"^{database}"}}, {"o.applyOps.ns": f"{database}.c"}]})
    assert len(found) >= 5
    for raw in found:
        entry, expected = Entry.parse(raw), bson.decode(raw)
        operation = entry.operation
        assert (entry.raw, entry.ts, entry.term) == (raw, expected["ts"], expected["t"])
        assert (operation.op, operation.ns, operation.decoded()) == (expected["op"], expected["ns"], expected["o"])
        assert operation.uuid == (bytes(expected["ui"]) if "ui" in expected else None)
        assert bool(entry.session) == ("txnNumber" in expected)
        assert entry.previous is None
        if operation.op == "c":
            assert operation.command == next(iter(expected["o"]))
            assert entry.flags() == {name: value for name, value in expected["o"].items() if name != "applyOps"}
        else:
            assert operation.command == ""
            assert operation.key == key_of(bson.encode({"_id": "a"}))


def made(**fields: object) -> bytes:
    """An entry with what every entry has, and `fields`."""
    return bson.encode({"op": "i", "ns": "db.c", "o": {"_id": 1}, "ts": Timestamp(5, 6), **fields})


def test_what_an_entry_may_lack() -> None:
    entry = Entry.parse(made())
    assert (entry.term, entry.session, entry.previous, entry.is_multi) == (-1, b"", None, False)
    assert (entry.operation.uuid, entry.operation.o2) == (None, None)
    assert Entry.parse(made(o={"x": 1})).operation.key == b""
    assert Entry.parse(made(op="u", o2={"_id": 2})).operation.key == key_of(bson.encode({"_id": 2}))


def test_what_binds_an_entry_to_others() -> None:
    lsid = {"id": Binary(bytes(16), 4), "uid": b"u"}
    one = made(lsid=lsid, txnNumber=1, prevOpTime={"ts": Timestamp(4, 3), "t": 1}, multiOpType=1)
    entry = Entry.parse(one)
    assert entry.previous == Timestamp(4, 3)
    assert entry.is_multi
    assert entry.session
    assert entry.session != Entry.parse(made(lsid=lsid, txnNumber=2)).session
    assert Entry.parse(made(prevOpTime={"ts": Timestamp(0, 0), "t": -1})).previous is None


@pytest.mark.parametrize(
    "raw",
    [
        bson.encode({"op": "i", "o": {}}),
        bson.encode({"ts": Timestamp(1, 1), "o": {}}),
        bson.encode({"ts": Timestamp(1, 1), "op": "i"}),
        bson.encode({"ts": Timestamp(1, 1), "op": "i", "o": 1}),
        bson.encode({"ts": Timestamp(1, 1), "op": 1, "o": {}}),
        bson.encode({"ts": 1, "op": "i", "o": {}}),
    ],
)
def test_what_is_no_entry(raw: bytes) -> None:
    with pytest.raises(SourceError):
        Entry.parse(raw)


def apply_ops(value: object) -> Operation:
    """An ``applyOps`` command."""
    return Operation("c", "admin.$cmd", None, bson.encode({"applyOps": value}))


def test_what_is_nested_is_opened_in_order() -> None:
    uuid = Binary(bytes(range(16)), 4)
    innermost = [{"op": "d", "ns": "db.c", "ui": uuid, "o": {"_id": number}} for number in range(3)]
    middle = [innermost[0], {"op": "c", "ns": "x.$cmd", "o": {"applyOps": innermost[1:]}}]
    found = list(opened(apply_ops([{"op": "c", "ns": "y.$cmd", "o": {"applyOps": middle}}])))
    assert [bson.decode(each.o)["_id"] for each in found] == [0, 1, 2]
    assert {each.uuid for each in found} == {bytes(uuid)}
    assert list(opened(found[0])) == found[:1]
    assert list(opened(apply_ops([]))) == []


@pytest.mark.parametrize("value", [1, {"0": {"op": "i", "o": {}}}, [1], [{"op": "i"}], [[]]])
def test_an_apply_ops_of_something_else(value: object) -> None:
    with pytest.raises(SourceError):
        list(opened(apply_ops(value)))


def test_a_nesting_without_end_is_refused() -> None:
    value: object = [{"op": "i", "ns": "db.c", "o": {"_id": 1}}]
    for _ in range(100):
        value = [{"op": "c", "ns": "db.$cmd", "o": RawBSONDocument(bson.encode({"applyOps": value}))}]
    with pytest.raises(SourceError, match="deep"):
        list(opened(apply_ops(value)))
