"""Operations of a kind that follow each other closely, told as one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from drtool.repository.segments import At
from drtool.sources.log import LogEvent

#: So many seconds may lie between two operations that are told as one.
_APART = 1
_OF_RECORDS = frozenset({"insert", "update", "delete"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operation, or several of a kind in one go: ``event`` is the first, with the count of all, ``last`` where the
    last one stands."""

    timeline: str
    event: LogEvent
    last: At


def grouped(timeline: str, events: Iterable[LogEvent]) -> Iterator[Candidate]:
    """Inserts, updates or deletes of one namespace that follow each other closely are one candidate, whatever happened
    elsewhere meanwhile. They come in the order of their first entries."""
    waiting: deque[_Group] = deque()
    current: dict[tuple[str, str], _Group] = {}
    for event in events:
        group = current.get((event.namespace, event.op))
        if group is not None and group.takes(event):
            group.add(event)
            continue
        if group is not None:
            group.is_over = True
        group = _Group(Candidate(timeline, event, event.last or event.at), is_over=event.op not in _OF_RECORDS)
        waiting.append(group)
        if not group.is_over:
            current[event.namespace, event.op] = group
        while waiting and waiting[0].ended_before(event):
            yield waiting.popleft().candidate
    yield from (group.candidate for group in waiting)


@dataclass(slots=True)
class _Group:
    """A candidate that may grow, unless it ``is_over``."""

    candidate: Candidate
    is_over: bool

    def takes(self, event: LogEvent) -> bool:
        """Is the event one of them?"""
        if self.candidate.event.in_transaction or event.in_transaction:
            return self.candidate.last == event.at
        return event.at[0] - self.candidate.last[0] <= _APART

    def add(self, event: LogEvent) -> None:
        """Count it in."""
        before = self.candidate.event
        count = (before.count or 0) + (event.count or 0)
        self.candidate = replace(self.candidate, event=replace(before, count=count), last=event.at)

    def ended_before(self, event: LogEvent) -> bool:
        """Can nothing that follows be one of them?"""
        return self.is_over or (event.last or event.at)[0] - self.candidate.last[0] > _APART
