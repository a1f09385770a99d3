"""One pass of archiving: from the last archived entry to the majority commit point, in segments."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from drtool.errors import OplogTruncatedError, PreconditionFailedError
from drtool.operations.admitting import require_writer
from drtool.operations.pitr.writing import Place, Writing, live
from drtool.operations.reporting import Reporter
from drtool.repository.archive import read_ends
from drtool.repository.chain import Snapshot, newest_first, read_catalogue
from drtool.repository.repository import Repository
from drtool.repository.segments import TIMELINE_BYTES, At
from drtool.sources.cutting import CutRule
from drtool.sources.log import Anchor, LiveLog, Log, LogPiece, LogPosition

#: A segment is committed when it holds so many bytes of entries, so that a killed pass has lost little.
SEGMENT_BYTES = 64 * 1024 * 1024
#: Entries are so long on the average, about.
_ENTRY_BYTES = 256
_ATTEMPTS = 3
#: While no snapshot leads into what is being archived, one is looked for (and missed) every so many seconds.
_ASK_SECONDS = 300.0
_FIRST = "nothing was archived before"


@dataclass(frozen=True, slots=True)
class Captured:
    """What one pass archived of a source; ``end`` is where the archive stands.

    ``lost`` says what can no longer be reached, ``why_new`` why a timeline began; both empty where the pass went on
    where the one before ended. ``based`` is False where no snapshot is known to lead into what is being archived.
    """

    source: str
    timeline: str
    end: LogPosition
    segments: int = 0
    entries: int = 0
    bytes: int = 0
    lost: str = ""
    why_new: str = ""
    based: bool = True

    @property
    def lag(self) -> float:
        """Seconds between the last archived entry and now, by this host's clock."""
        return max(0.0, datetime.now(UTC).timestamp() - self.end.at[0])

    @property
    def is_first(self) -> bool:
        """Was nothing archived of the source before?"""
        return self.why_new == _FIRST


class Capture:
    """Archives the log of one source, pass by pass. The caller holds the source's lock.

    ``WrongKeyError`` where nobody would accept what this process archives.
    """

    def __init__(self, repository: Repository, source: str, log: Log, reporter: Reporter) -> None:
        require_writer(repository, "an archived log")
        self._repository = repository
        self._source = source
        self._log = log
        self._reporter = reporter
        self._rule = CutRule.for_average(repository.keyring.cut_key, _ENTRY_BYTES)
        #: Where the last pass ended; None before the first, and where one failed.
        self._stood: Place | None = None
        #: The stretch (timeline and where it begins) that a snapshot is known to lead into, and when it was looked for.
        self._based: tuple[str, At] | None = None
        self._asked = -_ASK_SECONDS

    def take(self, found: LiveLog, writing: Writing, *, idle_seconds: float = 0.0) -> Captured:
        """Archive what is there. What changes nothing (no-ops) waits until it is `idle_seconds` old.

        ``OplogTruncatedError`` where the server drops entries faster than they are read.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._take(found, writing, idle_seconds)
            except OplogTruncatedError:
                # Dropped between looking and reading: looked at again, it is a gap that can be named.
                if attempt == _ATTEMPTS:
                    raise
            except PreconditionFailedError:
                # Another host archived the same meanwhile; or an object that counts for nothing lies in the way.
                if attempt == _ATTEMPTS:
                    return self._blocked()
        raise AssertionError("the last attempt returns or raises")

    def _blocked(self) -> Captured:
        last = self._last_place()
        assert last is not None  # a timeline that begins has a name of its own
        self._reporter.warn(
            f"{self._source}: an object that is no segment of this archive has the name of the next one;"
            " archiving goes on with the source's next entry"
        )
        return Captured(self._source, last.timeline, last.start)

    def _take(self, found: LiveLog, writing: Writing, idle_seconds: float) -> Captured:
        stood, self._stood = self._stood, None
        start = self._start(found, stood or self._last_place())
        place, done = start.place, _Tally()
        through = found.newest()
        if through.at > place.start.at:
            pieces = found.pieces(place.start, through, self._rule)
            waiting = list(itertools.islice(pieces, 2))
            # A segment of no-ops can wait, unless it is the one that begins something.
            is_idle = start.is_plain and len(waiting) == 1 and not waiting[0].changes
            if waiting and not (is_idle and waiting[0].end.at[0] - place.start.at[0] < idle_seconds):
                place = self._write(writing, place, itertools.chain(waiting, pieces), done)
        self._stood = place if start.is_plain or done.segments else None
        return Captured(
            self._source,
            place.timeline,
            place.start,
            done.segments,
            done.entries,
            done.bytes,
            lost=start.lost,
            why_new=start.why_new,
            based=self._is_based(place, start),
        )

    def _write(self, writing: Writing, place: Place, pieces: Iterator[LogPiece], done: _Tally) -> Place:
        task = f"Archiving {self._source}"
        self._reporter.start(task)
        writing.anew()
        size = 0
        end: LogPosition | None = None
        try:
            for piece in pieces:
                writing.add(piece.chunk)
                end = piece.end
                size += len(piece.chunk.data)
                done.entries += piece.chunk.records
                done.bytes += len(piece.chunk.data)
                self._reporter.advance(task, len(piece.chunk.data), piece.chunk.records)
                if size >= SEGMENT_BYTES:
                    place, size, end = self._commit(writing, place, end, done), 0, None
            if end is not None:
                place = self._commit(writing, place, end, done)
        finally:
            self._reporter.finish(task)
        return place

    def _commit(self, writing: Writing, place: Place, end: LogPosition, done: _Tally) -> Place:
        done.segments += 1
        return writing.commit(place, end, self._rule.threshold)

    def _last_place(self) -> Place | None:
        ends = read_ends(self._repository, self._source)
        if ends.last is None:
            return None
        last = ends.last.segment
        return Place(
            last.timeline,
            last.identity,
            live(last.end),
            ends.number,
            ends.hash,
            last.foreign,
            last.created,
            ends.begun,
        )

    def _start(self, found: LiveLog, last: Place | None) -> _Start:
        why = ""
        if last is not None:
            resumed = found.resume(last.start, last.identity)
            if resumed.start is not None:
                place = replace(last, identity=found.identity or last.identity)
                if resumed.lost:
                    place = replace(place, start=resumed.start, begun=resumed.start.at)
                return _Start(place, lost=resumed.lost)
            why = resumed.why
        anchors = self._anchors()
        begun = found.begin(anchors)
        place = Place(
            os.urandom(TIMELINE_BYTES).hex(),
            found.identity,
            begun,
            foreign=_foreign(found, anchors, last),
            created=last.created if last is not None else "",
            begun=begun.at,
        )
        return _Start(place, why_new=why or _FIRST)

    def _is_based(self, place: Place, start: _Start) -> bool:
        """Does a snapshot lead into what is being archived? Looked for again now and then, until there is one."""
        now = time.monotonic()
        if start.is_plain and (self._based == (place.timeline, place.begun) or now < self._asked + _ASK_SECONDS):
            return True
        self._asked = now
        if not any(_leads_into(place, anchor) for anchor in self._of(newest_first(self._repository))):
            return False
        self._based = place.timeline, place.begun
        return True

    def _anchors(self) -> list[Anchor]:
        """How the snapshots of the source are tied to its log, the one first that needs most of it."""
        return sorted(self._of(read_catalogue(self._repository).snapshots), key=lambda anchor: anchor.since)

    def _of(self, snapshots: Iterable[Snapshot]) -> Iterator[Anchor]:
        for snapshot in snapshots:
            for source in snapshot.manifest.sources:
                anchor = self._log.anchor(source.point) if source.name == self._source else None
                if anchor is not None:
                    yield anchor


def _leads_into(place: Place, anchor: Anchor) -> bool:
    if anchor.identity and place.identity and anchor.identity != place.identity:
        return False
    is_foreign = place.foreign is not None and place.foreign[0] <= anchor.at.at <= place.foreign[1]
    return place.begun < anchor.since and not is_foreign


def _foreign(found: LiveLog, anchors: Sequence[Anchor], last: Place | None) -> tuple[At, At] | None:
    """From where to where it is known that another timeline of the same system is not this one."""
    known = [(anchor.identity, anchor.at) for anchor in anchors]
    if last is not None:
        known.append((last.identity, last.start))
    here = [at for identity, at in known if not (identity and found.identity and identity != found.identity)]
    lacking = [position.at for position in found.lacks(here)]
    return (min(lacking), max(lacking)) if lacking else None


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a pass begins, and what has to be told about that."""

    place: Place
    lost: str = ""
    why_new: str = ""

    @property
    def is_plain(self) -> bool:
        """Does it go on where the one before ended?"""
        return not self.lost and not self.why_new


@dataclass(slots=True)
class _Tally:
    """What a pass has written so far."""

    segments: int = 0
    entries: int = 0
    bytes: int = 0
