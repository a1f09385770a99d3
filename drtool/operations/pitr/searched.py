"""What of the time that a search is about the archive does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from drtool.errors import MissingObjectError
from drtool.operations.pitr.reach import moment
from drtool.repository.archive import Archive
from drtool.repository.segments import At

Span = tuple[At, At]
"""What comes after a place, up to another one."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Nothing after ``first`` and up to ``last`` could be searched, in one timeline or, without one, in any."""

    first: At
    last: At
    why: str
    timeline: str | None = None

    def concerns(self, since: At | None, until: At | None) -> bool:
        """Does it lie, at least in part, between the two? None is no bound."""
        return (since is None or self.last >= since) and (until is None or self.first < until)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a timeline, by id: the spans that it holds, and those of lost segments by their names."""

    id: str
    held: tuple[Span, ...]
    lost: tuple[tuple[Span, str], ...]

    @property
    def spans(self) -> list[Span]:
        return [*self.held, *(span for span, _ in self.lost)]

    def holes(self) -> Iterator[Hole]:
        for first, last in _uncovered(_hull(self.spans), self.held):
            names = [name for (start, end), name in self.lost if start < last and end > first]
            why = f"cannot be read or is gone: {', '.join(names)}" if names else "a gap in the archived log"
            yield Hole(first, last, why, self.id)


def hull(archive: Archive) -> Span | None:
    """From where to where anything is archived; None where nothing is."""
    spans = [span for one in _known(archive) for span in one.spans]
    return _hull(spans) if spans else None


def holes(archive: Archive, since: At | None, until: At | None) -> list[Hole]:
    """What the archive lacks between the two; without a bound, between where it begins and where it ends."""
    known = _known(archive)
    spans = [span for one in known for span in one.spans]
    if not spans:
        return []
    found = [hole for one in known for hole in one.holes()]
    first, last = _hull(spans)
    if since is None:
        found += _beheaded(archive)
    begin, end = since or first, last
    if until is not None or begin >= last:
        now = int(datetime.now(UTC).timestamp())
        end = max(min(until or (now, 0), (now, 0)), (begin[0] + 1, 0))
    for start, stop in _uncovered((begin, end), [*spans, *((hole.first, hole.last) for hole in found)]):
        if stop <= first:
            why = f"archiving began at {moment(first).isoformat()}"
        elif start >= last:
            why = f"archived up to {moment(last).isoformat()} only"
        else:
            why = "nothing of it was archived"
        found.append(Hole(start, stop, why))
    return sorted((one for one in found if one.concerns(since, until)), key=lambda one: (one.first, one.last))


def _beheaded(archive: Archive) -> Iterator[Hole]:
    """Where the beginning of a timeline is gone without an announced removal; nobody knows from when it was."""
    if not any(isinstance(problem, MissingObjectError) for problem in archive.problems):
        return
    for timeline in archive.timelines:
        segment = timeline.stretches[0].segments[0].segment
        if segment.number > 1:
            yield Hole((0, 0), segment.start.at, "what was archived before it is gone", timeline.id)


def _known(archive: Archive) -> list[_Known]:
    held = {one.id: tuple((each.start.at, each.end.at) for each in one.stretches) for one in archive.timelines}
    lost: dict[str, list[tuple[Span, str]]] = {}
    for name in archive.lost:
        lost.setdefault(name.timeline, []).append(((name.start, name.end), str(name)))
    return [_Known(id_, held.get(id_, ()), tuple(lost.get(id_, ()))) for id_ in dict.fromkeys([*held, *lost])]


def _hull(spans: Iterable[Span]) -> Span:
    starts, ends = zip(*spans, strict=True)
    return min(starts), max(ends)


def _uncovered(whole: Span, covered: Iterable[Span]) -> Iterator[Span]:
    at, last = whole
    for start, end in sorted(covered):
        if start >= last:
            break
        if start > at:
            yield at, start
        at = max(at, end)
    if at < last:
        yield at, last
