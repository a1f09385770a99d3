"""Transactions become visible whole, when they are committed, and not otherwise."""

from __future__ import annotations

import bson
import pytest
from bson import Timestamp

from drtool.errors import SourceError
from drtool.sources.mongodb.oplog.entries import Entry
from drtool.sources.mongodb.oplog.transactions import Transactions, Visible, visible
from tests.sources.mongo import Client, unique_database
from tests.sources.oplog.test_entries import made, raw_entries


def entries_after(client: Client, ts: Timestamp) -> list[Entry]:
    """What the oplog holds, but for no-ops and the server's own doings."""
    found = map(Entry.parse, raw_entries(client, {"ts": {"$gt": ts}, "op": {"$ne": "n"}}))
    return [entry for entry in found if not entry.operation.ns.startswith(("config.", "admin.system."))]


def now(client: Client) -> Timestamp:
    """The newest entry's ts."""
    found: Timestamp = client.admin.command("hello")["lastWrite"]["opTime"]["ts"]
    return found


def no_fetch(ts: Timestamp) -> Entry:
    """For what needs no entry from before."""
    raise AssertionError(ts)


def ids(found: Visible) -> list[object]:
    """The ids written to."""
    return [
        (bson.decode(each.o2) if each.op == "u" and each.o2 else each.decoded())["_id"] for each in found.operations
    ]


def chain(client: Client, count: int) -> list[Entry]:
    """The entries of a transaction of `count` inserts."""
    database = unique_database(client)
    client[database].create_collection("c")
    start = now(client)
    with client.start_session() as session, session.start_transaction():
        client[database]["c"].insert_many([{"_id": number} for number in range(count)], session=session)
    return entries_after(client, start)


def test_single_operations_are_visible_at_once(client: Client, database: str) -> None:
    client[database].create_collection("c")
    start = now(client)
    client[database]["c"].insert_one({"_id": 1})
    client[database]["c"].update_one({"_id": 1}, {"$set": {"x": 1}})
    entries = entries_after(client, start)
    found = list(visible(iter(entries), no_fetch))
    assert [each.ts for each in found] == [each.ts for each in entries]
    assert [ids(each) for each in found] == [[1], [1]]
    assert not any(each.is_transaction for each in found)


def test_a_chain_is_visible_with_its_last_entry(chaining: Client) -> None:
    entries = chain(chaining, 40)
    assert len(entries) == 3
    transactions = Transactions(no_fetch)
    for entry in entries[:-1]:
        assert transactions.feed(entry) is None
        assert transactions.open_since == entries[0].ts
    whole = transactions.feed(entries[-1])
    assert whole is not None
    assert transactions.open_since is None
    assert whole.is_transaction
    assert whole.ts == entries[-1].ts
    assert ids(whole) == list(range(40))
    # begun in the middle, with what lies before looked up
    by_ts = {entry.ts: entry for entry in entries}
    for at in range(1, len(entries)):
        assert [ids(each) for each in visible(iter(entries[at:]), by_ts.__getitem__)] == [list(range(40))]


def test_a_chain_whose_parts_do_not_belong_together_is_refused(chaining: Client) -> None:
    *_, last = chain(chaining, 40)
    with pytest.raises(SourceError, match="not the one"):
        list(visible(iter([last]), lambda ts: Entry.parse(made(ts=ts))))


def entries_of_prepared(client: Client, database: str, count: int, *, committed: bool) -> list[Entry]:
    """A prepared transaction, something else, and the transaction's end."""
    client[database].create_collection("c")
    start = now(client)
    with client.start_session() as session:
        session.start_transaction()
        client[database]["c"].insert_many([{"_id": number} for number in range(count)], session=session)
        prepared = client.admin.command("prepareTransaction", session=session)["prepareTimestamp"]
        client[database]["other"].insert_one({"_id": "meanwhile"})
        if committed:
            client.admin.command({"commitTransaction": 1, "commitTimestamp": prepared}, session=session)
        else:
            client.admin.command("abortTransaction", session=session)
    return entries_after(client, start)


@pytest.mark.parametrize("count", [2, 40])
@pytest.mark.parametrize("committed", [True, False])
def test_what_is_prepared_waits(chaining: Client, count: int, committed: bool) -> None:
    entries = entries_of_prepared(chaining, unique_database(chaining), count, committed=committed)
    transactions = Transactions(no_fetch)
    found = [transactions.feed(entry) for entry in entries]
    assert transactions.open_since is None
    assert (found[-1] is not None) == committed
    assert [ids(each) for each in found[:-1] if each is not None and each.operations[0].op == "i"] == [["meanwhile"]]
    last = visible(iter(entries[-1:]), {entry.ts: entry for entry in entries}.__getitem__)
    expected = [list(range(count))] if committed else []
    assert [ids(each) for each in last] == expected
    assert [ids(each) for each in found[-1:] if each is not None] == expected


def test_operations_applied_together_are_no_transaction(client: Client, database: str) -> None:
    client[database].create_collection("c")
    start = now(client)
    inserts = [{"op": "i", "ns": f"{database}.c", "o": {"_id": number}} for number in range(3)]
    client.admin.command({"applyOps": inserts})
    found = list(visible(iter(entries_after(client, start)), no_fetch))
    assert [number for each in found for number in ids(each)] == [0, 1, 2]
    assert not any(each.is_transaction for each in found)
    retryable = made(op="c", o={"applyOps": inserts}, lsid={"id": 1}, txnNumber=1, multiOpType=1)
    [each] = visible(iter([Entry.parse(retryable)]), no_fetch)
    assert not each.is_transaction
    assert ids(each) == [0, 1, 2]
