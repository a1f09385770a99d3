"""Looking for an operation in the archived log, to restore to just before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from drtool.errors import DamagedObjectError, OutOfReachError, RepositoryError, UsageError, WrongKeyError
from drtool.operations.pitr.entries import Piece, pieces
from drtool.operations.pitr.grouping import Candidate, grouped
from drtool.operations.pitr.searched import Hole, Span, holes, hull
from drtool.operations.reporting import Reporter
from drtool.repository.archive import Archive, Archived, Stretch
from drtool.repository.reader import ChunkReader
from drtool.repository.segments import At, number_of, place_of
from drtool.sources.log import Log, LogEvent

#: What ends or empties something: looked for where nothing else is said.
DESTRUCTIVE = frozenset({"delete", "drop", "dropDatabase", "rename"})
ALL = frozenset({*DESTRUCTIVE, "insert", "update", "create", "collMod", "createIndexes", "dropIndexes"})


def _none(_stream: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: namespaces, operations, and places with `since` <= place < `until`; None is no bound. What
    happened to namespaces that are passed over is left out."""

    matches: Callable[[str], bool]
    ops: Set[str]
    since: At | None = None
    until: At | None = None
    passes_over: Callable[[str], bool] = _none

    def __post_init__(self) -> None:
        """Raises ``UsageError`` where nothing lies between the bounds."""
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError("nothing lies between the two times", hint="--since must be before --until.")

    def wants(self, event: LogEvent) -> bool:
        """Is it one of those?"""
        if event.op not in self.ops or (self.since is not None and (event.last or event.at) < self.since):
            return False
        if self.passes_over(event.namespace):
            return False
        return self.matches(event.namespace) or (bool(event.to) and self.matches(event.to))

    def is_past(self, at: At) -> bool:
        """Does nothing from here on count?"""
        return self.until is not None and at >= self.until


class Finding:
    """A search of the archived log. ``holes`` are the parts of the time asked for that could not be searched: all of
    them, once the candidates were read. ``OutOfReachError`` where nothing is archived."""

    def __init__(self, reader: ChunkReader, archive: Archive, log: Log, search: Search, reporter: Reporter) -> None:
        span = hull(archive)
        if span is None:
            raise OutOfReachError(
                f"no log of {archive.source} is archived, so that nothing can be found in it",
                hint="Archive it from now on with: drtool pitr capture",
            )
        self._reader = reader
        self._archive = archive
        self._log = log
        self._search = search
        self._reporter = reporter
        self._span = span
        self._failing = ""
        self.holes = holes(archive, search.since, search.until)

    @property
    def searched(self) -> Span | None:
        """From where to where was looked, but for the holes; None where that is nowhere."""
        since, until = self._search.since, self._search.until
        first, last = max(self._span[0], since or (0, 0)), min(self._span[1], until or self._span[1])
        return (first, last) if first < last else None

    def candidates(self) -> Iterator[Candidate]:
        """What was found, timeline by timeline, in order."""
        for timeline in self._archive.timelines:
            for stretch in timeline.stretches:
                events = self._events(stretch)
                yield from grouped(timeline.id, (event for event in events if self._search.wants(event)))

    def _events(self, stretch: Stretch) -> Iterator[LogEvent]:
        search = self._search
        since = search.since or (0, 0)
        segments = [
            one for one in stretch.segments if one.segment.end.at >= since and not search.is_past(one.segment.start.at)
        ]
        task = "Searching the archived log"
        self._reporter.start(task, sum(one.segment.root.bytes for one in segments))
        try:
            for event in self._log.events(self._chunks(segments, task), search.ops, search.matches):
                if search.is_past(event.last or event.at):
                    return
                yield event
        finally:
            self._reporter.finish(task)

    def _chunks(self, segments: Sequence[Archived], task: str) -> Iterator[bytes]:
        """All that can be read. Whole segments: a transaction that was committed later may have begun in the same."""
        for one in segments:
            waiting = deque(self._pieces(one))
            while waiting:
                try:
                    for chunk in self._reader.stream([piece.ref for piece in waiting]):
                        waiting.popleft()
                        yield chunk
                        self._reporter.advance(task, len(chunk))
                except (DamagedObjectError, WrongKeyError) as error:
                    bad = waiting.popleft()
                    self._failed(one, place_of(bad.first), place_of(bad.last), error)

    def _pieces(self, one: Archived) -> list[Piece]:
        found: list[Piece] = []
        until = self._search.until
        try:
            for piece in pieces(self._reader, one):
                if until is not None and piece.first >= number_of(until):
                    break
                found.append(piece)
        except (DamagedObjectError, WrongKeyError) as error:
            first = place_of(found[-1].last) if found else one.segment.start.at
            self._failed(one, first, one.segment.end.at, error)
        return found

    def _failed(self, one: Archived, first: At, last: At, error: RepositoryError) -> None:
        hole = Hole(first, last, f"{one.segment.name} cannot be read: {error.message}", one.segment.timeline)
        if not hole.concerns(self._search.since, self._search.until):
            return
        if self._failing == one.segment.name:  # told once, from the first entry that cannot be read to the last
            self.holes[-1] = replace(self.holes[-1], last=last)
        else:
            self.holes.append(hole)
            self._failing = one.segment.name
