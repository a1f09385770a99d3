"""How the archive of a source stands: what can be reached, gaps, lag, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from drtool.errors import DrtoolError
from drtool.operations.pitr.reach import Base, Range, bases, moment, ranges
from drtool.repository.archive import Archive, Timeline, read_archive
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

    ``problems`` are sentences, the most pressing first; ``errors`` what is wrong with the repository.
    """

    source: str
    lag: float | None
    timelines: tuple[TimelineStatus, ...]
    problems: tuple[str, ...]
    errors: tuple[DrtoolError, ...]


def status(repository: Repository, catalogue: Catalogue, source: str, log: Log) -> SourceStatus:
    """Reads the source's segments; asks nothing of the source."""
    archive = read_archive(repository, source)
    found = bases(archive, catalogue.snapshots, log.anchor)
    reachable = ranges(found)
    timelines = tuple(
        _timeline(timeline, reachable, current=timeline is archive.timelines[-1]) for timeline in archive.timelines
    )
    lag = None
    if timelines:
        lag = max(0.0, (datetime.now(UTC) - timelines[-1].last).total_seconds())
    problems = (*(error.message for error in archive.problems), *_problems(archive, timelines, lag, found))
    return SourceStatus(source, lag, timelines, problems, archive.problems)


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


def _problems(
    archive: Archive, timelines: Sequence[TimelineStatus], lag: float | None, found: Sequence[Base]
) -> list[str]:
    if not timelines or lag is None:
        return [f"no log of {archive.source} is archived: run drtool pitr capture"]
    told = []
    current = timelines[-1]
    newest = archive.timelines[-1].newest
    if not any(base.stretch.segments[-1] is newest for base in found):
        told.append(
            f"no snapshot leads to what is being archived of {archive.source}: take one with drtool backup,"
            " then let drtool pitr capture go on"
        )
    if lag > LATE_SECONDS:
        told.append(f"the log of {archive.source} was last archived at {current.last.isoformat()}")
    told += [
        f"the archived log of {archive.source} has a gap from {gap.first.isoformat()} to {gap.last.isoformat()}"
        for timeline in timelines
        for gap in timeline.gaps
    ]
    return told
