"""What the operations of the oplog mean for the records of collections that keep their UUID."""

from __future__ import annotations

from enum import Enum, auto

from drtool.sources.mongodb.keys import find_element, int32
from drtool.sources.mongodb.oplog.entries import Operation

#: Operations that are not about records: no-ops, and what newer servers write to indexes and other containers.
NO_RECORDS = frozenset({"n", "ci", "cd", "cu", "km"})
#: Commands that leave the records of every collection as they are, or end it. A collection that is converted to
#: another form (convertToCapped) or moved to another database gets another UUID.
_HARMLESS = frozenset(
    {
        *("abortIndexBuild", "commitIndexBuild", "createIndexes", "dropIndexes", "startIndexBuild"),
        *("deleteIndex", "deleteIndexes", "dropIndex", "setMultikeyMetadata", "createIdent", "dropIdent"),
        *("collMod", "convertToCapped", "dropDatabase", "emptycapped"),
        *("commitTransaction", "abortTransaction"),
    }
)
_VERSION = "admin.system.version"
_VERSION_KEY = b"\x02" + int.to_bytes(28, 4, "little") + b"featureCompatibilityVersion\0"
_BINARY = 0x05


class Effect(Enum):
    """What an operation may have done."""

    NONE = auto()
    RECORD = auto()  # to the record with its key
    COLLECTION = auto()  # to all records of its collection, which may have been made anew under its old UUID
    RENAME = auto()  # none, but names mean something else from then on
    VERSION = auto()  # the feature compatibility version changed: to anything
    UNKNOWN = auto()


def effect(operation: Operation) -> Effect:
    """What an operation that is no ``applyOps`` may have done."""
    if operation.op in ("i", "u", "d"):
        is_version = operation.ns == _VERSION and operation.key == _VERSION_KEY
        return Effect.VERSION if is_version else Effect.RECORD
    if operation.op in NO_RECORDS:
        return Effect.NONE
    command = operation.command
    if command in _HARMLESS:
        return Effect.NONE
    if command == "renameCollection":
        return Effect.RENAME
    if command in ("create", "drop", "truncateRange"):
        return Effect.COLLECTION
    return Effect.UNKNOWN


def dropped_by_rename(rename: Operation) -> bytes | None:
    """The UUID of the collection that a renameCollection replaced; None where it replaced none."""
    found = find_element(rename.o, 0, b"dropTarget")
    if found is None or found[0] != _BINARY:
        return None
    at = found[1]
    return rename.o[at + 5 : at + 5 + int32(rename.o, at)]


def is_version(namespace: str) -> bool:
    """Does this collection hold the feature compatibility version?"""
    return namespace == _VERSION
