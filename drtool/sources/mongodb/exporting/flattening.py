"""A snapshot's overlay as other tools can replay it: plain inserts, updates and deletions, under the names of its end.

A tool that takes entries as they are follows names. Within the overlay these may mean other collections than at its
end, of which all definitions are; and a transaction may hold operations on collections that are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

from drtool.sources.exporting import ExportItem
from drtool.sources.mongodb.definitions import Definition, Kind
from drtool.sources.mongodb.exporting.dumped import Dumped
from drtool.sources.mongodb.exporting.records import count_records
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.mongodb.oplog.replaying.window import Steps, Window
from drtool.sources.restoring import Loaded

_PIECE = 1 << 20
_ON_RECORDS = frozenset("iud")
_INT32 = Struct("<i").pack
_TIMESTAMP = Struct("<II").pack
_VERSION = b"\x12v\0" + int.to_bytes(2, 8, "little")


class Flattened:
    """The entries of the overlay `item` as operations on the collections of `plan`. ``read`` counts the entries
    taken."""

    def __init__(self, item: ExportItem, plan: Iterable[Dumped]) -> None:
        self._since = Definition.decode(item.stream.definition).options["since"]
        self._names = dict(_names(plan))
        self.read = Loaded(0, 0)

    def entries(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Entries back to back, in pieces of about `_PIECE` bytes. Raises ``SourceError`` for what is no oplog."""
        steps = Steps(Window(self._since))
        piece: list[bytes] = []
        size = 0
        for step in steps.of(self._counted(chunks)):
            position = _TIMESTAMP(steps.position.inc, steps.position.time)
            for operation in step.operations:
                name = self._names.get(operation.uuid) if operation.op in _ON_RECORDS else None
                if name is not None:
                    piece.append(_entry(operation, name, position))
                    size += len(piece[-1])
            if size >= _PIECE:
                yield b"".join(piece)
                piece, size = [], 0
        if piece:
            yield b"".join(piece)

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.read = Loaded(self.read.records + count_records(chunk), self.read.bytes + len(chunk))
            yield chunk


def _names(plan: Iterable[Dumped]) -> Iterator[tuple[bytes | None, bytes]]:
    """By the UUID of what holds their records. Capped collections were read at the overlay's end, and whole."""
    for one in plan:
        if one.item is None or one.is_account or one.is_overlay:
            continue
        definition = Definition.decode(one.item.stream.definition)
        if definition.uuid and definition.kind is not Kind.CAPPED:
            yield bytes.fromhex(definition.uuid), f"{one.database}.{one.data}".encode()


def _entry(operation: Operation, name: bytes, position: bytes) -> bytes:
    parts: Sequence[bytes] = (
        b"\x11ts\0" + position,
        _VERSION,
        b"\x02op\0\x02\0\0\0" + operation.op.encode() + b"\0",
        b"\x02ns\0" + _INT32(len(name) + 1) + name + b"\0",
        b"\x03o\0" + operation.o,
        b"\x03o2\0" + operation.o2 if operation.o2 is not None else b"",
    )
    body = b"".join(parts)
    return _INT32(len(body) + 5) + body + b"\0"
