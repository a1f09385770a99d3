"""Oplog entries, taken apart as far as needed, without decoding what they carry.

Shapes: https://github.com/mongodb/mongo/blob/master/src/mongo/db/repl/README.md. An entry is the server's own
document; ``applyOps`` holds operations of the same shape, nested to any depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bson
from bson.timestamp import Timestamp

from drtool.errors import SourceError
from drtool.sources.mongodb.batches import Batch, documents
from drtool.sources.mongodb.connection import DECODED, Document
from drtool.sources.mongodb.keys import elements, int32, key_of, value_length

_DOCUMENT = 0x03
_ARRAY = 0x04
_BINARY = 0x05
_STRING = 0x02
_TIMESTAMP = 0x11
_INT32 = 0x10
_INT64 = 0x12
#: Deeper nesting than this is refused: the server itself nests at most ten deep.
_DEEPEST = 32
_APPLY_OPS = b"applyOps"


@dataclass(frozen=True, slots=True)
class Operation:
    """One change: ``op`` is the server's letter (``i``, ``u``, ``d``, ``c``, …), ``o`` and ``o2`` are BSON documents.

    ``uuid`` is the collection's, where the server says it.
    """

    op: str
    ns: str
    uuid: bytes | None
    o: bytes
    o2: bytes | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Operation:
        """Take an operation apart that is no entry of its own. ``SourceError`` for what is none."""
        return _operation(raw, {name: (kind, at) for kind, name, at in elements(raw)})

    @property
    def command(self) -> str:
        """The name of a command (``drop``, ``create``, …): its first field; empty for what is none."""
        if self.op != "c":
            return ""
        return next((name.decode() for _, name, _ in elements(self.o)), "")

    @property
    def key(self) -> bytes:
        """The record key of the document that an insert, update or delete is about; empty where it has no ``_id``."""
        return key_of(self.o2 if self.op == "u" and self.o2 is not None else self.o)

    def decoded(self) -> Document:
        """``o`` as a dictionary."""
        return bson.decode(self.o, DECODED)


@dataclass(frozen=True, slots=True)
class Entry:
    """An oplog entry: `raw` is all of it, ``term`` is -1 where it has none.

    ``session`` distinguishes transactions (lsid and txnNumber as bytes), empty outside of them and of retryable
    writes; ``previous`` is the ts of the entry of the same session before it, None where there is none.
    """

    raw: bytes
    ts: Timestamp
    term: int
    operation: Operation
    session: bytes = b""
    previous: Timestamp | None = None
    is_multi: bool = False

    @classmethod
    def parse(cls, raw: bytes) -> Entry:
        """Take an entry apart. ``SourceError`` for what is none."""
        found = {name: (kind, value) for kind, name, value in elements(raw)}
        ts = _timestamp(raw, found.get(b"ts"))
        if ts is None:
            raise SourceError("the oplog holds an entry without a timestamp")
        session = b""
        if b"lsid" in found and b"txnNumber" in found:
            session = _value(raw, found[b"lsid"]) + b"/" + _value(raw, found[b"txnNumber"])
        previous = None
        if b"prevOpTime" in found and found[b"prevOpTime"][0] == _DOCUMENT:
            inner = {name: (kind, value) for kind, name, value in elements(raw, found[b"prevOpTime"][1])}
            previous = _timestamp(raw, inner.get(b"ts"))
        if previous is not None and previous.time == 0:
            previous = None
        return cls(
            raw=raw,
            ts=ts,
            term=_integer(raw, found.get(b"t"), -1),
            operation=_operation(raw, found),
            session=session,
            previous=previous,
            is_multi=_integer(raw, found.get(b"multiOpType"), 0) == 1,
        )

    def flags(self) -> dict[str, Any]:
        """The fields of an ``applyOps`` command beside its operations (``partialTxn``, ``prepare``, ``count``, …)."""
        found: dict[str, Any] = {}
        o = self.operation.o
        for kind, name, value in elements(o):
            if name != _APPLY_OPS:
                end = value + value_length(kind, o, value)
                one = bytes((kind,)) + name + b"\0" + o[value:end]
                document = (5 + len(one)).to_bytes(4, "little") + one + b"\0"
                found |= bson.decode(document, DECODED)
        return found


def opened(operation: Operation, depth: int = 0) -> Iterator[Operation]:
    """An operation, or where it is an ``applyOps`` those inside it, at any depth and under any namespace."""
    if operation.command != "applyOps":
        yield operation
        return
    for inner in documents(inside(operation, depth)):
        yield from opened(Operation.parse(inner), depth + 1)


def inside(operation: Operation, depth: int) -> Batch:
    """What an ``applyOps`` that is itself `depth` deep inside of others holds: documents of the shape of operations."""
    if depth >= _DEEPEST:
        raise SourceError("the oplog holds an applyOps that is nested too deep")
    o = operation.o
    kind, array = next((kind, value) for kind, name, value in elements(o) if name == _APPLY_OPS)
    if kind != _ARRAY:
        raise SourceError("the oplog holds an applyOps that is no list of operations")
    if any(kind != _DOCUMENT for kind, _, _ in elements(o, array)):
        raise SourceError("the oplog holds an applyOps with something in it that is no operation")
    return Batch(o, array + 4, array + int32(o, array) - 1)


def _operation(raw: bytes, found: dict[bytes, tuple[int, int]]) -> Operation:
    if b"op" not in found or b"o" not in found or found[b"o"][0] != _DOCUMENT:
        raise SourceError("the oplog holds an entry that is no operation")
    uuid = None
    if b"ui" in found and found[b"ui"][0] == _BINARY:
        at = found[b"ui"][1]
        uuid = raw[at + 5 : at + 5 + int32(raw, at)]
    o2 = found.get(b"o2")
    return Operation(
        op=_text(raw, found[b"op"]),
        ns=_text(raw, found[b"ns"]) if b"ns" in found else "",
        uuid=uuid,
        o=_document(raw, found[b"o"][1]),
        o2=_document(raw, o2[1]) if o2 is not None and o2[0] == _DOCUMENT else None,
    )


def _document(raw: bytes, at: int) -> bytes:
    return raw[at : at + int32(raw, at)]


def _text(raw: bytes, place: tuple[int, int]) -> str:
    kind, at = place
    if kind != _STRING:
        raise SourceError("the oplog holds an entry whose op or ns is no text")
    return raw[at + 4 : at + 4 + int32(raw, at) - 1].decode()


def _timestamp(raw: bytes, place: tuple[int, int] | None) -> Timestamp | None:
    if place is None or place[0] != _TIMESTAMP:
        return None
    at = place[1]
    inc, time = int.from_bytes(raw[at : at + 4], "little"), int.from_bytes(raw[at + 4 : at + 8], "little")
    return Timestamp(time, inc)


def _integer(raw: bytes, place: tuple[int, int] | None, default: int) -> int:
    if place is None or place[0] not in (_INT32, _INT64):
        return default
    kind, at = place
    return int.from_bytes(raw[at : at + (4 if kind == _INT32 else 8)], "little", signed=True)


def _value(raw: bytes, place: tuple[int, int]) -> bytes:
    kind, at = place
    return raw[at : at + value_length(kind, raw, at)]
