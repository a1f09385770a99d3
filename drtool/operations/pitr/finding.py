"""Looking for an operation in the archived log, to restore to just before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, replace

from drtool.operations.pitr.entries import pieces
from drtool.operations.reporting import Reporter
from drtool.repository.archive import Archive, Stretch
from drtool.repository.reader import ChunkReader
from drtool.repository.segments import At, number_of
from drtool.sources.log import Log, LogEvent

#: What ends or empties something: looked for where nothing else is said.
DESTRUCTIVE = frozenset({"delete", "drop", "dropDatabase", "rename"})
ALL = frozenset({*DESTRUCTIVE, "insert", "update", "create", "collMod", "createIndexes", "dropIndexes"})
#: So many seconds may lie between two operations that are told as one.
_APART = 1
_UNCOUNTED = frozenset({"insert", "update", "delete"})


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: namespaces, operations, and places with `since` <= place < `until`; None is no bound."""

    matches: Callable[[str], bool]
    ops: Set[str]
    since: At | None = None
    until: At | None = None

    def wants(self, event: LogEvent) -> bool:
        """Is it one of those?"""
        if event.op not in self.ops or (self.since is not None and event.at < self.since):
            return False
        return self.matches(event.namespace) or (bool(event.to) and self.matches(event.to))

    def is_past(self, at: At) -> bool:
        """Does nothing from here on count?"""
        return self.until is not None and at >= self.until


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operation, or several of a kind in one go: ``event`` is the first, with the count of all, ``last`` where the
    last one stands."""

    timeline: str
    event: LogEvent
    last: At


def find(reader: ChunkReader, archive: Archive, log: Log, search: Search, reporter: Reporter) -> Iterator[Candidate]:
    """The candidates, timeline by timeline, in order."""
    for timeline in archive.timelines:
        for stretch in timeline.stretches:
            events = _events(reader, stretch, log, search, reporter)
            yield from grouped(timeline.id, (event for event in events if search.wants(event)))


def grouped(timeline: str, events: Iterable[LogEvent]) -> Iterator[Candidate]:
    """Inserts, updates or deletes of one namespace that follow each other closely are one candidate."""
    current: Candidate | None = None
    for event in events:
        if current is not None and _belongs(current, event):
            count = (current.event.count or 0) + (event.count or 0)
            current = replace(current, event=replace(current.event, count=count), last=event.at)
            continue
        if current is not None:
            yield current
        current = Candidate(timeline, event, event.at)
    if current is not None:
        yield current


def _belongs(current: Candidate, event: LogEvent) -> bool:
    before = current.event
    if event.op not in _UNCOUNTED or (before.op, before.namespace) != (event.op, event.namespace):
        return False
    if before.in_transaction or event.in_transaction:
        return current.last == event.at
    return event.at[0] - current.last[0] <= _APART


def _events(reader: ChunkReader, stretch: Stretch, log: Log, search: Search, reporter: Reporter) -> Iterator[LogEvent]:
    since = search.since or (0, 0)
    segments = [one for one in stretch.segments if one.segment.end.at >= since]
    task = "Searching the archived log"
    reporter.start(task, sum(one.segment.root.bytes for one in segments))

    def chunks() -> Iterator[bytes]:
        # Whole segments: a transaction that was committed later may have begun in the same one.
        for one in segments:
            if search.is_past(one.segment.start.at):
                return
            within = (p for p in pieces(reader, one) if search.until is None or p.first < number_of(search.until))
            for chunk in reader.stream(piece.ref for piece in within):
                yield chunk
                reporter.advance(task, len(chunk))

    try:
        for event in log.events(chunks()):
            if search.is_past(event.at):
                return
            yield event
    finally:
        reporter.finish(task)
