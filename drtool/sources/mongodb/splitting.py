"""Ranges of ``_id`` for several readers, from a sample. They need not be even, and correctness does not rest on
them."""

from __future__ import annotations

from collections.abc import Sequence

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from drtool.sources.mongodb.connection import RAW, UNAUTHORIZED, Client, Document
from drtool.sources.mongodb.cursors import Collection
from drtool.sources.mongodb.keys import key_of
from drtool.sources.mongodb.sessions import NO_RESTRAINT, Restraint
from drtool.sources.reading import WHOLE, KeyRange

#: Smaller parts are not worth their joints: each reads on by about half a chunk.
PART_BYTES = 24 * 1024 * 1024
_SAMPLES_PER_PART = 32


def split(
    client: Client, collection: Collection, parts: int, restraint: Restraint = NO_RESTRAINT
) -> Sequence[KeyRange]:
    """At most `parts` ranges of about the same number of records. Raises pymongo's errors."""
    if parts <= 1:
        return [WHOLE]
    sample = _sample(client, collection, parts * _SAMPLES_PER_PART, restraint)
    bounds: list[bytes] = []
    for number in range(1, parts):
        at = number * len(sample) // parts
        if 0 < at < len(sample) and sample[at] not in bounds:
            bounds.append(sample[at])
    lowers: list[bytes | None] = [None, *bounds]
    uppers: list[bytes | None] = [*bounds, None]
    return [KeyRange(lower, upper) for lower, upper in zip(lowers, uppers, strict=True)]


def _sample(client: Client, collection: Collection, size: int, restraint: Restraint) -> list[bytes]:
    """Keys of random records in the server's order; none where the user may not sample."""
    pipeline: list[Document] = [{"$sample": {"size": size}}, {"$project": {"_id": 1}}, {"$sort": {"_id": 1}}]
    # one more than there can be: a batch that is just full would leave the cursor open
    cursor = {"batchSize": size + 1}
    command = {"aggregate": collection.name, "pipeline": pipeline, "cursor": cursor, **restraint.options}
    try:
        reply = client[collection.database].command(command, codec_options=RAW)
    except OperationFailure as error:
        if error.code == UNAUTHORIZED:
            return []
        raise
    batch: Sequence[RawBSONDocument] = reply["cursor"]["firstBatch"]
    return [key_of(bytes(document.raw)) for document in batch]
