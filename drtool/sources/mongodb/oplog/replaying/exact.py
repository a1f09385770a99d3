"""Records with a field ``Timestamp(0, 0)``, which a server replaces by the time in inserts and replacements (on 6.0
`applyOps` does so in replacements)."""

from __future__ import annotations

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from drtool.sources.mongodb.connection import RAW, Client, Document
from drtool.sources.mongodb.keys import bound, elements
from drtool.sources.mongodb.loading import EMPTY_TIMESTAMP, has_empty_timestamp
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.mongodb.oplog.replaying.batches import Write

#: How a document begins that says what to change: with the field ``$v``.
_DIFF = b"$v\0"


def may_be_altered(operation: Operation) -> bool:
    """Does it give a record whole, with such a field?"""
    if operation.op == "d" or EMPTY_TIMESTAMP.search(operation.o) is None:
        return False
    is_whole = operation.op == "i" or operation.o[5:8] != _DIFF
    return is_whole and has_empty_timestamp(operation.o)


def put_right(client: Client, write: Write, write_concern: Document) -> None:
    """Give a record that was just written the bytes that it is to have.

    Raises ``IncompleteRestoreError`` where that is not possible, and pymongo's errors.
    """
    wanted = write.operation.o
    database, collection = client[write.tracked.database], write.tracked.records_in
    by_id = RawBSONDocument(bound(write.operation.key), RAW)
    find: Document = {"find": collection, "filter": by_id, "limit": 1, "singleBatch": True}
    found = database.command(find, codec_options=RAW)["cursor"]["firstBatch"]
    if not len(found) or bytes(found[0].raw) == wanted:
        return
    names = [name for _, name, _ in elements(wanted)]
    if len(names) != len(set(names)):  # such an update ends a mongod 6.0
        raise write.failure("it has a field Timestamp(0, 0) and two fields of the same name")
    literal = {"$replaceRoot": {"newRoot": {"$literal": RawBSONDocument(wanted, RAW)}}}
    update: Document = {
        "update": collection,
        "updates": [{"q": by_id, "u": [literal]}],
        "bypassDocumentValidation": True,
        "writeConcern": write_concern,
    }
    reply = database.command(update)
    for error in reply.get("writeErrors", []):
        raise write.failure(error["errmsg"])
    if "writeConcernError" in reply:
        concern = reply["writeConcernError"]
        raise OperationFailure(concern["errmsg"], concern["code"], reply)
