"""Did a capped collection change between the instant and the end of its reading?"""

from __future__ import annotations

from bson.binary import UUID_SUBTYPE, Binary
from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure

from drtool.sources.mongodb.catalogue import Entry
from drtool.sources.mongodb.connection import UNAUTHORIZED, Client
from drtool.sources.mongodb.sessions import NO_RESTRAINT, Restraint


def touched_after(
    client: Client, entry: Entry, instant: Timestamp, until: Timestamp, restraint: Restraint = NO_RESTRAINT
) -> str:
    """Why what was read up to `until` may not be what there was at `instant`; empty where the oplog shows no change.

    Operations of a collection carry its UUID, also inside transactions and nested applyOps. Raises pymongo's errors.
    """
    if entry.uuid is None:
        return "the server gave it no UUID to look for in the oplog"
    uuid = Binary(entry.uuid, UUID_SUBTYPE)
    fields = ("ui", "o.applyOps.ui", "o.applyOps.o.applyOps.ui")
    changed = {"ts": {"$gt": instant, "$lte": until}, "$or": [{field: uuid} for field in fields]}
    try:
        command = {"find": "oplog.rs", "filter": changed, "limit": 1, "singleBatch": True, "projection": {"ts": 1}}
        if client["local"].command({**command, **restraint.options})["cursor"]["firstBatch"]:
            return "it was written to while it was read"
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return "the oplog may not be read to see whether it changed"
    return ""
