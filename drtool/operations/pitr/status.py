"""How the archive of a source stands: what can be reached, gaps, lag, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from drtool.errors import DrtoolError, UnknownSignerError
from drtool.operations.pitr.holding import without_unheld
from drtool.operations.pitr.reach import Range, bases, moment, ranges
from drtool.repository.archive import Timeline, read_archive
from drtool.repository.chain import Catalogue
from drtool.repository.repository import Repository
from drtool.sources.log import Log

#: A lag over this many seconds is a problem: ``--follow`` is at most about five minutes behind on an idle source.
LATE_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing that happened after ``first`` and up to ``last`` is archived."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class TimelineStatus:
    """One timeline: ``first`` to ``last`` is archived, but for the gaps; the ranges can be reached."""

    timeline: str
    current: bool
    first: datetime
    last: datetime
    segments: int
    bytes: int
    ranges: tuple[Range, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source's archive. ``lag`` is seconds since the last archived entry, None where nothing is archived.

    ``leads_on`` says whether a snapshot leads into what is being archived: if not, no moment of it can be reached.
    ``problems`` are sentences, the most pressing first; ``errors`` what is wrong with the repository, but for segments
    that never counted.
    """

    source: str
    lag: float | None
    timelines: tuple[TimelineStatus, ...]
    problems: tuple[str, ...]
    errors: tuple[DrtoolError, ...]
    leads_on: bool

    @property
    def ok(self) -> bool:
        """Can what is being archived be restored, and is nothing wrong with the repository?"""
        return self.leads_on and not self.errors


def status(repository: Repository, catalogue: Catalogue, source: str, log: Log) -> SourceStatus:
    """Reads the source's segments, and sees that what they need is there; asks nothing of the source."""
    archive = without_unheld(repository, read_archive(repository, source))
    found = bases(archive, catalogue.snapshots, log.anchor)
    reachable = ranges(found)
    timelines = tuple(
        _timeline(timeline, reachable, current=timeline is archive.timelines[-1]) for timeline in archive.timelines
    )
    lag = None
    if timelines:
        lag = max(0.0, (datetime.now(UTC) - timelines[-1].last).total_seconds())
    leads_on = bool(timelines) and any(base.stretch.segments[-1] is archive.timelines[-1].newest for base in found)
    problems = (*(error.message for error in archive.problems), *_problems(archive.source, timelines, lag, leads_on))
    errors = tuple(error for error in archive.problems if not isinstance(error, UnknownSignerError))
    return SourceStatus(source, lag, timelines, problems, errors, leads_on)


def _timeline(timeline: Timeline, reachable: Sequence[Range], *, current: bool) -> TimelineStatus:
    segments = [one.segment for stretch in timeline.stretches for one in stretch.segments]
    return TimelineStatus(
        timeline=timeline.id,
        current=current,
        first=moment(segments[0].start.at),
        last=moment(segments[-1].end.at),
        segments=len(segments),
        bytes=sum(segment.root.bytes for segment in segments),
        ranges=tuple(one for one in reachable if one.timeline == timeline.id),
        gaps=tuple(Gap(moment(before.at), moment(after.at)) for before, after in timeline.gaps()),
    )


def _problems(source: str, timelines: Sequence[TimelineStatus], lag: float | None, leads_on: bool) -> list[str]:
    if not timelines or lag is None:
        return [f"no log of {source} is archived: run drtool pitr capture"]
    told = []
    if not leads_on:
        told.append(
            f"no snapshot leads to what is being archived of {source}, so that nothing of it can be restored: take one"
            " with drtool backup, then let drtool pitr capture go on"
        )
    if lag > LATE_SECONDS:
        told.append(f"the log of {source} was last archived at {timelines[-1].last.isoformat()}")
    told += [
        f"the archived log of {source} has a gap from {gap.first.isoformat()} to {gap.last.isoformat()}"
        for timeline in timelines
        for gap in timeline.gaps
    ]
    return told
