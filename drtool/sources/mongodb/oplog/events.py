"""What the entries of an archived oplog did, in words that an operator looks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import bson

from drtool.errors import OplogTruncatedError
from drtool.sources.log import LogEvent
from drtool.sources.mongodb.connection import DECODED, Document
from drtool.sources.mongodb.oplog.dropping import whole_drops
from drtool.sources.mongodb.oplog.entries import Entry, Operation, opened
from drtool.sources.mongodb.oplog.transactions import Transactions, Visible

#: drtool's words for what happens to single records, by the server's letters.
WORDS = {"i": "insert", "u": "update", "d": "delete"}
#: Commands whose first value is the collection that they are about, under `<database>.$cmd`.
_OF_COLLECTION = {
    "drop": "drop",
    "create": "create",
    "collMod": "collMod",
    "createIndexes": "createIndexes",
    "commitIndexBuild": "createIndexes",
    "dropIndexes": "dropIndexes",
    "deleteIndexes": "dropIndexes",
}
_BUCKETS = "system.buckets."


def events(entries: Iterable[Entry]) -> Iterator[LogEvent]:
    """What happened, where it became visible: a transaction at its commit, and the dropping of a database at its first
    collection (see ``whole_drops``).

    Of a transaction that began before the first entry only what is in these entries is told.
    """
    return whole_drops(_events(entries))


def _events(entries: Iterable[Entry]) -> Iterator[LogEvent]:
    transactions = Transactions(_out_of_sight)
    for entry in entries:
        try:
            visible = transactions.feed(entry)
        except OplogTruncatedError:
            visible = Visible(entry.ts, entry.term, tuple(opened(entry.operation)), is_transaction=True)
        if visible is not None:
            for operation in visible.operations:
                yield from _told(operation, visible)


def _out_of_sight(_ts: object) -> Entry:
    raise OplogTruncatedError("the transaction began before what was searched")


def _told(operation: Operation, visible: Visible) -> Iterator[LogEvent]:
    at, within = (visible.ts.time, visible.ts.inc), visible.is_transaction
    word = WORDS.get(operation.op)
    if word is not None:
        yield LogEvent(at, stream_of(operation.ns), word, 1, in_transaction=within)
        return
    command = operation.command
    database = operation.ns.partition(".")[0]
    if command in _OF_COLLECTION:
        name = stream_of(f"{database}.{operation.decoded()[command]}")
        yield LogEvent(at, name, _OF_COLLECTION[command], _count(operation), in_transaction=within)
    elif command == "dropDatabase":
        yield LogEvent(at, database, "dropDatabase", in_transaction=within)
    elif command == "renameCollection":
        fields = operation.decoded()
        old, new = stream_of(str(fields[command])), stream_of(str(fields["to"]))
        if fields.get("dropTarget"):
            yield LogEvent(at, new, "drop", _count(operation), in_transaction=within)
        yield LogEvent(at, old, "rename", to=new, in_transaction=within)


def _count(operation: Operation) -> int | None:
    """How many records a dropped collection had: the server notes it, to be able to roll back."""
    noted: Document = bson.decode(operation.o2, DECODED) if operation.o2 is not None else {}
    count = noted.get("numRecords")
    return None if count is None else int(count)


def stream_of(namespace: str) -> str:
    """The name of a namespace's stream: a time series' records lie in another collection."""
    database, _, collection = namespace.partition(".")
    return f"{database}.{collection.removeprefix(_BUCKETS)}"
