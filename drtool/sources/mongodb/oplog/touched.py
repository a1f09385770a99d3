"""Which chunks of earlier snapshots may hold something else, after one pass over the oplog for all streams.

Entries are matched by collection UUID, whatever their namespace. A transaction counts as soon as any part of it is in
the oplog, for what is prepared may become visible before its commit is logged; parts from before the pass are looked
up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import ParamSpec, TypeVar

from bson.timestamp import Timestamp

from drtool.errors import SourceError
from drtool.sources.mongodb.batches import Batch
from drtool.sources.mongodb.keys import key_of
from drtool.sources.mongodb.oplog.effects import NO_RECORDS, Effect, dropped_by_rename, effect, is_version
from drtool.sources.mongodb.oplog.entries import Entry, Operation, inside
from drtool.sources.mongodb.oplog.marks import Marks
from drtool.sources.mongodb.oplog.reading import Oplog

_LENGTH = Struct("<i").unpack_from
#: Of what is inside `o` the server sends no more than needed: entries of large documents are as quick as small ones.
#: Other commands are looked up one by one.
_WHOLE_COMMANDS = ("applyOps", "commitTransaction", "abortTransaction")
_FIELDS = {
    "_id": False,
    **dict.fromkeys(("ts", "op", "ns", "ui", "o2", "prevOpTime", "multiOpType", "o._id"), True),
    **dict.fromkeys((f"o.{name}" for name in _WHOLE_COMMANDS), True),
}
_ONLY = {"op": {"$nin": sorted(NO_RECORDS)}}
_PREPARED = {"op": "c", "o.prepare": True}
#: How entries of inserts, updates and deletes begin; is the key in `o2`?
_IN_O2 = {b"\x02op\0\x02\0\0\0%s\0\x02ns\0" % op: op == b"u" for op in (b"i", b"u", b"d")}
_UUID = b"\x05ui\0\x10\0\0\0\x04"
_ID = b"\x07_id\0"
_MOST_FOREIGN = 100_000

_In = ParamSpec("_In")
_Out = TypeVar("_Out")


class UnknowableError(Exception):
    """The oplog does not tell what changed; the text is why."""


class Pass:
    """One pass over the oplog that fills `marks`, which are by collection UUID; `names` gives those UUIDs by namespace.

    Raises ``UnknowableError``, and whatever reading the oplog raises.
    """

    def __init__(self, oplog: Oplog, marks: Mapping[bytes, Marks], names: Mapping[str, bytes]) -> None:
        self._oplog, self._marks, self._names = oplog, marks, names
        self._foreign: set[bytes] = set()
        self._nameless: set[str] = set()
        self._renamed = False
        self._base = Timestamp(0, 0)

    def run(self, start: Timestamp, base: Timestamp, through: Timestamp) -> None:
        """Take what became visible after `base`, the instant of the bases, up to `through`.

        Of what was logged by then only transactions can still have been open, none of which began before `start`.
        """
        self._base = base
        for batch in self._oplog.batches_from(start, base, _PREPARED, _FIELDS):
            self.take(batch)
        for batch in self._oplog.batches(base, through, _ONLY, _FIELDS):
            self.take(batch)
        self._oplog.require(start)
        self.settle()

    def take(self, batch: Batch) -> None:
        """Take these entries."""
        self._take(batch, self._take_entry)
        for each in self._marks.values():
            each.flush()

    def settle(self) -> None:
        """Names tell which collections were meant, unless some were renamed meanwhile."""
        for name in self._nameless:
            if name in self._names:
                self._marks[self._names[name]].give_up("the oplog holds changes of it that name no UUID")
            elif self._renamed:
                raise UnknowableError("the oplog holds changes that name no UUID, and collections were renamed")

    def _take(self, batch: Batch, otherwise: Callable[[bytes], None]) -> None:
        """Nearly all entries, and operations inside of others, are inserts, updates and deletes in the server's usual
        order of fields, which are taken apart here by position; `otherwise` takes the rest."""
        raw, position, end = batch.raw, batch.start, batch.end
        in_o2, marks, foreign = _IN_O2.get, self._marks.get, self._foreign
        while position < end:
            start = raw.index(0, position) + 1
            position = start + _LENGTH(raw, start)[0]
            second = in_o2(raw[start + 4 : start + 18])
            if second is None:
                otherwise(raw[start:position])
                continue
            at = start + 22 + _LENGTH(raw, start + 18)[0]
            uuid = raw[at + 9 : at + 25]
            found = marks(uuid)
            if found is None or raw[at : at + 9] != _UUID or raw[at + 25 : at + 28] != b"\x03o\0":
                if uuid not in foreign:
                    otherwise(raw[start:position])
                continue
            document = at + 28
            if second:
                document += _LENGTH(raw, document)[0] + 4
                if raw[document - 4 : document] != b"\x03o2\0":
                    otherwise(raw[start:position])
                    continue
            if raw[document + 4 : document + 9] == _ID:
                found.add(b"\x07" + raw[document + 9 : document + 21])
            else:
                found.touch(key_of(raw, document))

    def _take_entry(self, raw: bytes) -> None:
        entry = _understood(Entry.parse, raw)
        operation = entry.operation
        if operation.op == "c" and operation.command not in _WHOLE_COMMANDS:
            operation = self._oplog.fetch(entry.ts).operation
        self._take_operation(operation)
        if operation.command in ("applyOps", "commitTransaction") and not entry.is_multi:
            before = entry.previous
            while before is not None and before <= self._base:
                part = self._oplog.fetch(before)
                self._take_operation(part.operation)
                before = part.previous

    def _take_operation(self, operation: Operation, depth: int = 0) -> None:
        if operation.command == "applyOps":
            nested = _understood(inside, operation, depth)
            self._take(nested, lambda raw: self._take_operation(_understood(Operation.parse, raw), depth + 1))
        else:
            self._take_one(operation)

    def _take_one(self, operation: Operation) -> None:
        what = effect(operation)
        if what is Effect.UNKNOWN:
            self._give_up_named(operation)
        elif what is Effect.VERSION:
            raise UnknowableError("the server's feature compatibility version was set")
        elif what is Effect.RENAME:
            self._renamed = True
            replaced = dropped_by_rename(operation)
            if replaced is not None:
                self._give_up_ended(replaced)
        elif what is Effect.COLLECTION and operation.uuid is not None:
            self._give_up_ended(operation.uuid)
        elif what is Effect.RECORD and operation.uuid is not None:
            self._touch(operation, operation.uuid)
        elif what is not Effect.NONE:
            self._nameless.add(_namespace(operation))

    def _touch(self, operation: Operation, uuid: bytes) -> None:
        found = self._marks.get(uuid)
        if found is not None:
            found.touch(operation.key)
        elif not is_version(operation.ns):
            if len(self._foreign) >= _MOST_FOREIGN:
                self._foreign.clear()
            self._foreign.add(uuid)

    def _give_up_ended(self, uuid: bytes) -> None:
        """Of a collection that is there at both instants: it was made anew under its UUID, as restores do."""
        found = self._marks.get(uuid)
        if found is not None:
            found.give_up("it was emptied, or dropped and created again with the same UUID")

    def _give_up_named(self, operation: Operation) -> None:
        """Of an operation that nobody knows: what it names must be read in full, everything where it names nothing."""
        what = f"the command {operation.command}" if operation.op == "c" else f"operations of the kind {operation.op!r}"
        says = operation.o + (operation.o2 or b"") + (operation.uuid or b"")
        named = [found for uuid, found in self._marks.items() if uuid in says]
        if not named:
            raise UnknowableError(f"the oplog holds {what}, whose effect is not known")
        for found in named:
            found.give_up(f"the oplog holds {what} of it, whose effect is not known")


def _namespace(operation: Operation) -> str:
    """The namespace of an operation without a UUID; a command's is in its first field."""
    if operation.op != "c":
        return operation.ns
    return f"{operation.ns.partition('.')[0]}.{operation.decoded()[operation.command]}"


def _understood(parse: Callable[_In, _Out], /, *args: _In.args, **kwargs: _In.kwargs) -> _Out:
    try:
        return parse(*args, **kwargs)
    except SourceError as error:
        raise UnknowableError(error.message) from error
