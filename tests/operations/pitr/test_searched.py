"""What a search of the archived log could not see, and what it tells as one; without a server."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import OutOfReachError, UsageError
from drtool.operations.pitr.finding import Finding, Search
from drtool.operations.pitr.grouping import grouped
from drtool.operations.pitr.searched import holes, hull
from drtool.repository.archive import Archive
from drtool.repository.segments import At, SegmentName
from drtool.sources.log import LogEvent
from tests.operations.pitr.test_reach import A, B, archive, timeline


def lacking(found: Archive, since: int | None, until: int | None) -> list[tuple[int, int, str | None]]:
    """The holes between two seconds: from, to, the timeline's first letter."""
    bounds = [None if second is None else (second, 0) for second in (since, until)]
    return [
        (hole.first[0], hole.last[0], hole.timeline and hole.timeline[0]) for hole in holes(found, bounds[0], bounds[1])
    ]


def test_gaps_count_where_they_touch_what_is_asked_for() -> None:
    found = archive(timeline(A, (10, 20), (30, 60), (70, 90)))
    assert lacking(found, None, None) == [(20, 30, "a"), (60, 70, "a")]
    assert lacking(found, 40, None) == [(60, 70, "a")]
    assert lacking(found, 40, 60) == []
    assert lacking(found, 25, 26) == [(20, 30, "a")]


def test_what_was_never_archived() -> None:
    found = archive(timeline(A, (10, 20)), timeline(B, (40, 60)))
    assert lacking(found, None, None) == [(20, 40, None)]
    assert lacking(found, 5, 15) == [(5, 10, None)]
    assert lacking(found, 50, 80) == [(60, 80, None)]
    now = int(time.time())
    [(first, last, _)] = lacking(found, 100, None)
    assert (first, last >= now) == (100, True)
    # What one timeline lacks another may hold: it is of another history.
    both = archive(timeline(A, (10, 20), (30, 60)), timeline(B, (10, 60)))
    assert lacking(both, None, None) == [(20, 30, "a")]


def test_segments_that_are_known_by_name_only() -> None:
    def lost(start: int, end: int) -> SegmentName:
        return SegmentName("0" * 32, A, (start, 0), (end, 0))

    found = replace(archive(timeline(A, (10, 20))), lost=(lost(20, 30),))
    assert (lacking(found, None, None), hull(found)) == ([(20, 30, "a")], ((10, 0), (30, 0)))
    assert str(lost(20, 30)) in holes(found, None, None)[0].why
    # A copy of what another segment holds too is no loss.
    assert lacking(replace(found, lost=(lost(12, 18),)), None, None) == []
    assert lacking(replace(archive(), lost=(lost(20, 30),)), None, None) == [(20, 30, "a")]


spans = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 8)), min_size=1, max_size=6)


@given(spans, st.integers(0, 40), st.integers(1, 10))
def test_every_second_is_searched_or_told(made: list[tuple[int, int]], since: int, length: int) -> None:
    found = archive(timeline(A, *((start, start + size) for start, size in made)))
    covered = [(s.start.at[0], s.end.at[0]) for t in found.timelines for s in t.stretches]
    told = lacking(found, since, since + length)
    for second in range(since + 1, since + length):
        is_held = any(start < second <= end for start, end in covered)
        assert is_held != any(first < second <= last for first, last, _ in told)


def test_nothing_to_search() -> None:
    nothing: Any = None  # neither is looked at
    with pytest.raises(OutOfReachError):
        Finding(nothing, archive(), nothing, Search(bool, frozenset()), nothing)
    with pytest.raises(UsageError):
        Search(bool, frozenset(), since=(5, 0), until=(5, 0))


def _event(at: At, namespace: str, op: str = "delete", **fields: Any) -> LogEvent:
    return LogEvent(at, namespace, op, fields.pop("count", 1), **fields)


def test_what_happens_elsewhere_meanwhile_parts_nothing() -> None:
    events = [
        _event((1, 1), "a.b"),
        _event((1, 2), "a.c"),
        _event((1, 3), "a.b"),
        _event((1, 4), "a.d", "drop"),
        _event((2, 1), "a.c"),
        _event((2, 2), "a.b"),
        _event((4, 1), "a.b"),
    ]
    told = [(one.event.at, one.event.namespace, one.event.count, one.last) for one in grouped(A, events)]
    assert told == [
        ((1, 1), "a.b", 3, (2, 2)),
        ((1, 2), "a.c", 2, (2, 1)),
        ((1, 4), "a.d", 1, (1, 4)),
        ((4, 1), "a.b", 1, (4, 1)),
    ]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a.b", "a.c"]), st.sampled_from(["delete", "drop"]))))
def test_no_event_is_lost_in_groups(steps: list[tuple[int, str, str]]) -> None:
    events, second = [], 1
    for number, (step, namespace, op) in enumerate(steps):
        second += step
        events.append(_event((second, number), namespace, op))
    found = list(grouped(A, events))
    assert sum(one.event.count or 0 for one in found) == len(events)
    assert [one.event.at for one in found] == sorted(one.event.at for one in found)
    for namespace in ("a.b", "a.c"):
        mine = [one for one in found if (one.event.namespace, one.event.op) == (namespace, "delete")]
        assert all(after.event.at[0] - one.last[0] > 1 for one, after in itertools.pairwise(mine))
