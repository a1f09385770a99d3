"""The part of the oplog that leads the streams of a view, read at different instants, to the view's own.

It is a stream like any other: its records are the server's entries, whole and in order; a record's key is its ts as
eight bytes, greatest first. Entries about other collections are left out, those of transactions only where no part of
them can be about a collection of the view; commands too: the definitions beside it are those of its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from drtool.errors import OplogTruncatedError
from drtool.sources.cutting import Chunk, CutRule, cut
from drtool.sources.mongodb.batches import documents
from drtool.sources.mongodb.connection import RAW
from drtool.sources.mongodb.definitions import Definition, Kind
from drtool.sources.mongodb.oplog.changes import timestamp, why_no_oplog
from drtool.sources.mongodb.oplog.effects import NO_RECORDS
from drtool.sources.mongodb.oplog.entries import Entry, opened
from drtool.sources.mongodb.oplog.reading import Oplog
from drtool.sources.reading import Proof, StreamInfo

NAME = "$oplog"
_ONLY = {"op": {"$nin": sorted(NO_RECORDS)}}
#: An ``applyOps`` with one of these is part of a transaction of several entries, or waits for its end.
_OF_SEVERAL = ("partialTxn", "prepare", "count")
_ENDS_OF_TRANSACTIONS = ("commitTransaction", "abortTransaction")


def overlay(oplog: Oplog, since: Mapping[str, Any], now: Mapping[str, Any]) -> StreamInfo:
    """The stream of the entries from `since` to `now`. ``OplogTruncatedError`` where it cannot be had."""
    because = why_no_oplog(since) or why_no_oplog(now)
    if because:
        raise OplogTruncatedError(f"there is no oplog from that instant on: {because}")
    start, through = timestamp(since, "replay_from"), timestamp(now, "cluster_time")
    began = timestamp(since, "cluster_time")
    oplog.require(start)
    definition = Definition(
        name=NAME,
        kind=Kind.OPLOG,
        uuid="",
        options=RawBSONDocument(bson.encode({"from": start, "since": began, "through": through}), RAW),
        id_index=None,
        indexes=(),
    )
    return StreamInfo(NAME, str(Kind.OPLOG), Proof.IDENTICAL, definition.encode(), keyed=False)


def read_overlay(oplog: Oplog, stream: StreamInfo, uuids: Collection[bytes], rule: CutRule) -> Iterator[Chunk]:
    """The entries of an overlay that concern the collections with these UUIDs, cut by `rule`."""
    options = Definition.decode(stream.definition).options
    yield from cut(_records(oplog, options["from"], options["through"], frozenset(uuids)), rule)


def _records(
    oplog: Oplog, start: Timestamp, through: Timestamp, uuids: frozenset[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    for batch in oplog.batches_from(start, through, _ONLY):
        for raw in documents(batch):
            entry = Entry.parse(raw)
            if _concerns(entry, uuids):
                yield entry.ts.time.to_bytes(4) + entry.ts.inc.to_bytes(4), raw


def _concerns(entry: Entry, uuids: frozenset[bytes]) -> bool:
    """May an entry have changed records of these collections?"""
    operation = entry.operation
    if operation.command == "applyOps":
        if any(name in _OF_SEVERAL for name in entry.flags()):
            return True
        return any(each.uuid is None or each.uuid in uuids for each in opened(operation))
    if operation.op == "c":
        return operation.command in _ENDS_OF_TRANSACTIONS
    return operation.uuid is None or operation.uuid in uuids
