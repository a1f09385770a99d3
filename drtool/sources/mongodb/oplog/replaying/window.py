"""From which entry to which an oplog is done again, and what became visible there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bson.timestamp import Timestamp

from drtool.errors import OplogTruncatedError, SourceError, UsageError
from drtool.sources.mongodb.loading import split_documents
from drtool.sources.mongodb.oplog.entries import Entry, Operation
from drtool.sources.mongodb.oplog.reading import shown
from drtool.sources.mongodb.oplog.replaying.scanning import scan
from drtool.sources.mongodb.oplog.transactions import Transactions
from drtool.sources.restoring import Stop


@dataclass(frozen=True, slots=True)
class Window:
    """What became visible after ``begin``, the instant of the records, up to ``end`` (None: to the last entry).

    Up to ``overlay_until`` the records are of different instants: some hold already what the log says.
    """

    begin: Timestamp
    end: Timestamp | None = None
    before_end: bool = False
    overlay_until: Timestamp | None = None

    @classmethod
    def of(cls, since: Mapping[str, Any], stop: Stop | None) -> Window:
        """From a view's point and a stop. ``UsageError`` where the stop lies before the records' instant, or before
        what the last of them may hold (``read_until``)."""
        begin, until = timestamp(since["cluster_time"]), since.get("overlay_until")
        overlay_until = None if until is None else timestamp(until)
        if stop is None or stop.position is None:
            return cls(begin, overlay_until=overlay_until)
        end = timestamp(stop.position)
        earliest = max(begin, overlay_until or begin)
        if end < earliest:
            raise UsageError(
                f"the snapshot is of {shown(earliest)}, which is after {shown(end)}",
                hint="Restore an earlier snapshot: a log leads forwards only.",
            )
        made = cls(begin, end, stop.before, overlay_until)
        read_until = since.get("read_until")
        if read_until is not None and made.is_past(timestamp(read_until)):
            raise UsageError(
                f"capped collections of the snapshot were read up to {shown(timestamp(read_until))}, which is after"
                f" {shown(end)}",
                hint="Restore an earlier snapshot: a log leads forwards only.",
            )
        return made

    def is_past(self, ts: Timestamp) -> bool:
        """Does it lie behind the end?"""
        return self.end is not None and (ts >= self.end if self.before_end else ts > self.end)

    @property
    def limit(self) -> int:
        """The first place behind the end."""
        if self.end is None:
            return 1 << 64
        return _u64(self.end) + (0 if self.before_end else 1)

    def takes(self, ts: Timestamp) -> bool:
        """Is what became visible then to be done?"""
        return ts > self.begin and not self.is_past(ts)

    def overlays(self, ts: Timestamp) -> bool:
        """May the records hold already what became visible then?"""
        return self.overlay_until is not None and ts <= self.overlay_until


@dataclass(frozen=True, slots=True)
class Step:
    """Operations that became visible together. ``overlaid``: the records may hold them already."""

    operations: tuple[Operation, ...]
    overlaid: bool


class _BeginningMissingError(Exception):
    """Part of a transaction lies before the first entry at hand, at the timestamp given."""


@dataclass(slots=True)
class Steps:
    """The steps in chunks of entries, in order.

    A transaction counts when it was committed; a prepared one at its commitTimestamp, which its entry follows, so that
    while one is open entries behind the end are looked at, too.
    """

    window: Window
    _followed: int = field(init=False)
    _transactions: Transactions = field(init=False)
    _lost: dict[bytes, str] = field(default_factory=dict, init=False)
    _prepared: dict[bytes, Timestamp] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Nothing was followed yet."""
        self._followed = _u64(self.window.begin)
        self._transactions = Transactions(_gone)

    def of(self, chunks: Iterable[bytes]) -> Iterator[Step]:
        """Raises ``SourceError`` for entries out of order, and for a transaction that is not there whole or whose end
        is not known."""
        begin, limit, overlay = _u64(self.window.begin), self.window.limit, _u64(self.window.overlay_until)
        last = 0
        for chunk in chunks:
            for raw in split_documents(chunk):
                scanned = scan(raw)
                entry = Entry.parse(raw) if scanned is None else None
                at = _u64(entry.ts) if entry is not None else scanned[0] if scanned is not None else 0
                if at <= last:
                    raise SourceError(f"the oplog entry at {_shown(at)} comes after the one at {_shown(last)}")
                last = at
                if at >= limit:
                    self._reached_end()
                    if not self._prepared:
                        return
                elif at > self._followed:
                    self._followed = at
                if entry is not None:
                    step = self._step(entry)
                    if step is not None:
                        yield step
                elif scanned is not None and begin < at < limit:
                    yield Step((scanned[1],), at <= overlay)
        self._require_decided()

    @property
    def position(self) -> Timestamp:
        """How far the log was followed."""
        return _timestamp(self._followed)

    def _reached_end(self) -> None:
        if self.window.end is not None and not self.window.before_end:
            self._followed = max(self._followed, _u64(self.window.end))

    def _require_decided(self) -> None:
        """A transaction that is prepared where the entries end may be committed as of a time before that."""
        if self.window.end is not None and self._prepared:
            first = min(self._prepared.values())
            raise OplogTruncatedError(
                f"whether the transaction prepared at {shown(first)} was committed is not in the oplog entries, which"
                f" end at {shown(self.position)}",
                hint=f"Archive on until it is decided, or choose a time before {shown(first)}.",
            )

    def _step(self, entry: Entry) -> Step | None:
        operation, at = entry.operation, entry.ts
        if operation.op != "c":
            takes = self.window.takes(at)
            return Step((operation,), self.window.overlays(at)) if takes else None
        command = operation.command
        if command == "commitTransaction":
            at = operation.decoded().get("commitTimestamp", at)
            if self.window.before_end and entry.ts == self.window.end:
                at = entry.ts  # to stop before this very operation was asked for
        if command in ("commitTransaction", "abortTransaction"):
            self._prepared.pop(entry.session, None)
        elif self.window.is_past(entry.ts):
            return None
        elif command == "applyOps" and entry.session and entry.flags().get("prepare"):
            self._prepared[entry.session] = entry.ts
        takes = self.window.takes(at)
        try:
            visible = self._transactions.feed(entry)
        except _BeginningMissingError as error:
            missing = self._lost.setdefault(entry.session, str(error))
            if not takes or _is_open(entry):
                return None
            raise OplogTruncatedError(
                f"the transaction committed at {shown(at)} has a part at {missing}, before the first oplog entry",
                hint="Restore a later snapshot, or to a time before it.",
            ) from None
        return Step(visible.operations, self.window.overlays(at)) if visible is not None and takes else None


def timestamp(pair: Any) -> Timestamp:
    """From ``[seconds, increment]``."""
    seconds, increment = pair
    return Timestamp(int(seconds), int(increment))


def _u64(ts: Timestamp | None) -> int:
    """As a number that sorts alike; 0 for none."""
    return 0 if ts is None else (ts.time << 32) + ts.inc


def _timestamp(number: int) -> Timestamp:
    return Timestamp(number >> 32, number & 0xFFFFFFFF)


def _shown(number: int) -> str:
    return shown(_timestamp(number))


def _gone(ts: Timestamp) -> Entry:
    raise _BeginningMissingError(shown(ts))


def _is_open(entry: Entry) -> bool:
    """Is its transaction still open after it?"""
    if entry.operation.command != "applyOps":
        return False
    flags = entry.flags()
    return bool(flags.get("partialTxn") or flags.get("prepare"))
