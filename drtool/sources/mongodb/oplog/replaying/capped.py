"""Capped collections under an overlay: what the log inserts may have come and gone before the collection was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bson.raw_bson import RawBSONDocument

from drtool.sources.mongodb.connection import RAW, Client, Document
from drtool.sources.mongodb.keys import any_of, key_of
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.mongodb.oplog.replaying.state import Tracked

_AT_ONCE = 1000


def since_read(client: Client, tracked: Tracked, operations: Sequence[Operation]) -> Sequence[Operation]:
    """Of the operations under the overlay those from the first insert on whose record was read.

    What was inserted before it had gone already: put in again, it would be the last instead of the first. If none was
    read, all came after the reading. Raises pymongo's errors.
    """
    inserted = [operation.key for operation in operations if operation.op == "i" and operation.key]
    there = set(_there(client, tracked, inserted))
    for number, operation in enumerate(operations):
        if operation.op == "i" and operation.key in there:
            return operations[number:]
    return operations


def _there(client: Client, tracked: Tracked, keys: Sequence[bytes]) -> Iterator[bytes]:
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        command: Document = {
            "find": tracked.records_in,
            "filter": RawBSONDocument(any_of(some), RAW),
            "projection": {"_id": 1},
            "batchSize": len(some),
            "singleBatch": True,
        }
        reply = client[tracked.database].command(command, codec_options=RAW)
        for found in reply["cursor"]["firstBatch"]:
            yield key_of(bytes(found.raw))
