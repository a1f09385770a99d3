"""Batches of operations on records, done as fast as the server does them.

Measured on 6.0, on two cores: ``applyOps`` with ``allowAtomic: false`` does about 15,000 operations a second, two such
commands at a time 23,000; `update` and `delete` commands are no faster. So a batch is done in two lanes, and all
operations on a record in the same one, as a secondary's applier does it. `insert` takes two to three times as many, so
inserts of records that a batch has not touched before go ahead of it that way. No order among different records
matters: unique indexes are built after a replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, TypeVar

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from drtool.errors import IncompleteRestoreError
from drtool.sources.mongodb.connection import DECODED, RAW, UNAUTHORIZED, Client, Document
from drtool.sources.mongodb.definitions import Kind
from drtool.sources.mongodb.keys import FIXED_LENGTHS, bound
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.mongodb.oplog.order import sort_key
from drtool.sources.mongodb.oplog.replaying.permission import not_permitted
from drtool.sources.mongodb.oplog.replaying.state import Tracked

#: Commands at a time.
LANES = 2
_Done = TypeVar("_Done")
_INT32 = Struct("<i").pack
_DUPLICATE_KEY = 11000
_SOME_FAILED = 8
#: For error texts: an id that is no proper text is shown all the same.
_LENIENT = DECODED.with_options(unicode_decode_error_handler="replace")
#: Types of ``_id`` that are the same to the server only if their bytes are, as far as one type goes: binary, ObjectId,
#: boolean, date, int32, int64; and strings without a collation.
_PLAIN = frozenset(b"\x05\x07\x08\x09\x10\x12")
_STRING = 0x02
#: Lengths of ``_id`` by how an element with it begins.
_FIXED = {bytes((kind,)) + b"_id\0": length for kind, length in FIXED_LENGTHS.items()}


@dataclass(frozen=True, slots=True)
class Write:
    """An insert, update or delete of a record."""

    tracked: Tracked
    operation: Operation

    def failure(self, reason: str) -> IncompleteRestoreError:
        """That it could not be done."""
        what = {"i": "insert", "u": "update", "d": "deletion"}[self.operation.op]
        key = self.operation.key
        identity = f"with _id {bson.decode(bound(key), _LENIENT)['_id']!r}" if key else "without an _id"
        return IncompleteRestoreError(
            f"{self.tracked.name}: the {what} of the record {identity} could not be done again: {reason}",
            hint="What was written before is kept in the target.",
        )


class Batches:
    """Does them; `write_concern` for each command. To be closed. Raises pymongo's errors."""

    def __init__(self, client: Client, write_concern: Document) -> None:
        self._client, self._write_concern = client, write_concern
        self._lanes = ThreadPoolExecutor(LANES, thread_name_prefix="drtool-lane")

    def close(self) -> None:
        """Give up the threads."""
        self._lanes.shutdown(cancel_futures=True)

    def do(self, writes: Sequence[Write], *, overlaid: bool) -> None:
        """Do them in order, as far as it matters. `overlaid`: the records may hold them already.

        Raises ``IncompleteRestoreError`` for what cannot be done: outside of an overlay an update of a missing record,
        too, for then log and records do not belong together.
        """
        order = _Order()
        for write in writes:
            order.add(write)
        inserts = [
            self._lanes.submit(self._insert, tracked, some)
            for tracked, writes in order.ahead.items()
            for some in _in_lanes(writes)
        ]
        again = [write for each in _all_done(inserts) for write in each]
        lanes = _in_lanes([*again, *order.rest])
        _all_done([self._lanes.submit(self._apply, writes, overlaid=overlaid) for writes in lanes])

    def in_order(self, writes: Sequence[Write], *, overlaid: bool) -> None:
        """Do them one after the other."""
        self._apply(writes, overlaid=overlaid)

    def _insert(self, tracked: Tracked, writes: Sequence[Write]) -> list[Write]:
        """Insert records; returns those whose ``_id`` is there already."""
        command: Document = {
            "insert": tracked.records_in,
            "ordered": False,
            "bypassDocumentValidation": True,
            "writeConcern": self._write_concern,
            "documents": [RawBSONDocument(write.operation.o, RAW) for write in writes],
        }
        reply = self._client[tracked.database].command(command)
        _check_concern(reply)
        errors = reply.get("writeErrors", [])
        for error in errors:
            if error["code"] != _DUPLICATE_KEY:
                raise writes[error["index"]].failure(error["errmsg"])
        return [writes[error["index"]] for error in errors]

    def _apply(self, writes: Sequence[Write], *, overlaid: bool) -> None:
        while writes:
            command: Document = {
                "applyOps": [_as_operation(write) for write in writes],
                "allowAtomic": False,
                "alwaysUpsert": False,
                "bypassDocumentValidation": True,
                "writeConcern": self._write_concern,
            }
            reply = self._client.admin.command(command, check=False)
            results: Sequence[bool] = reply.get("results", ())
            if not reply["ok"]:
                self._check(reply, writes, results)
            for write, done in zip(writes, results, strict=False):
                if not done and not (overlaid and write.operation.op == "u"):
                    raise write.failure("there is no such record, or the server does not take it")
            _check_concern(reply)
            writes = writes[len(results) :]

    def _check(self, reply: Document, writes: Sequence[Write], results: Sequence[bool]) -> None:
        """Raises for what failed as a whole, or at one operation, after which the server did not go on."""
        code, reason = int(reply.get("code", 0)), str(reply.get("errmsg", ""))
        if code == UNAUTHORIZED:
            raise not_permitted()
        if code == _SOME_FAILED and len(results) == len(writes):
            return
        if not results:
            raise OperationFailure(reason, code, reply)
        raise writes[len(results) - 1].failure(reason)


def _in_lanes(writes: Sequence[Write]) -> Iterator[list[Write]]:
    """In their order, but all on a record in the same lane; lanes without any are left out."""
    lanes: list[list[Write]] = [[] for _ in range(LANES)]
    for write in writes:
        lanes[_lane(write)].append(write)
    return filter(None, lanes)


def _lane(write: Write) -> int:
    """To the server, 1 and 1.0 are one id; where ids that are one to it cannot be told, all are in one lane."""
    if not write.tracked.definition.keyed or "collation" in write.tracked.options:
        return 0
    return hash(sort_key(_key(write.operation))) % LANES


def _all_done(futures: Sequence[Future[_Done]]) -> list[_Done]:
    """Their results, or the first error, when none is at work any more."""
    wait(futures)
    return [future.result() for future in futures]


@dataclass(slots=True)
class _Order:
    """Which inserts may go ahead of all else in a batch.

    Those that are the first to touch their record. After a deletion in the same collection that asks for ids that
    differ for certain: to the server, 1 and 1.0 are one.
    """

    ahead: dict[Tracked, list[Write]] = field(default_factory=dict)
    rest: list[Write] = field(default_factory=list)
    _touched: set[tuple[int, bytes]] = field(default_factory=set)
    _deleted: dict[int, set[int]] = field(default_factory=dict)

    def add(self, write: Write) -> None:
        """The next one."""
        operation, collection = write.operation, id(write.tracked)
        key = _key(operation)
        known = len(self._touched)
        self._touched.add((collection, key))
        if operation.op == "i" and len(self._touched) > known and self._is_free(write.tracked, key):
            self.ahead.setdefault(write.tracked, []).append(write)
            return
        self.rest.append(write)
        if operation.op == "d":
            self._deleted.setdefault(collection, set()).add(key[0] if key else 0)

    def _is_free(self, tracked: Tracked, key: bytes) -> bool:
        if tracked.kind not in (Kind.COLLECTION, Kind.CLUSTERED) or not tracked.definition.keyed or not key:
            return False
        deleted = self._deleted.get(id(tracked))
        if not deleted:
            return True
        kind = key[0]
        return deleted == {kind} and (kind in _PLAIN or (kind == _STRING and "collation" not in tracked.options))


def _key(operation: Operation) -> bytes:
    """`Operation.key`; quickly where ``_id`` comes first and is of a fixed length."""
    document = operation.o2 if operation.op == "u" and operation.o2 is not None else operation.o
    length = _FIXED.get(document[4:9])
    return operation.key if length is None else document[4:5] + document[9 : 9 + length]


def _as_operation(write: Write) -> RawBSONDocument:
    """As applyOps takes it: a foreign UUID would be an error."""
    operation = write.operation
    namespace = f"{write.tracked.database}.{write.tracked.records_in}".encode()
    parts = [
        b"\x02op\0\x02\0\0\0" + operation.op.encode() + b"\0\x02ns\0" + _INT32(len(namespace) + 1) + namespace + b"\0",
        b"\x03o\0" + operation.o,
    ]
    if operation.op == "u" and operation.o2 is not None:
        parts.append(b"\x03o2\0" + operation.o2)
    body = b"".join(parts)
    return RawBSONDocument(_INT32(len(body) + 5) + body + b"\0", RAW)


def _check_concern(reply: Document) -> None:
    concern: Any = reply.get("writeConcernError")
    if concern is not None:
        raise OperationFailure(concern["errmsg"], concern["code"], reply)


def of_collection(tracked: Tracked, operations: Iterable[Operation]) -> list[Write]:
    """Operations on one collection."""
    return [Write(tracked, operation) for operation in operations]
