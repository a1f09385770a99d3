"""Junk that would push good snapshots out: more of them within a while than the job's rhythm explains.

Whoever holds an agent's key can add snapshots, and every rule that counts (``last``, ``daily``, …) then drops others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from drtool.repository.chain import ChainKey, Snapshot
from drtool.scheduling.expressions import Schedule

#: So many times what the rhythm explains is too much.
FACTOR = 3
#: A window holds so many turns of the rhythm, and is no shorter than a week; windows of this long ago are looked at.
_TURNS = 7
_WEEK = timedelta(days=7)
_LOOK_BACK = timedelta(days=31)
#: A rhythm is known once so many snapshots were taken before the window.
_LEAST_BEFORE = 3


@dataclass(frozen=True, slots=True)
class Surplus:
    """``count`` snapshots are there of a ``window`` that ends with ``until``; the rhythm explains ``explained``."""

    count: int
    explained: int
    window: timedelta
    until: datetime

    def __str__(self) -> str:
        days = self.window / timedelta(days=1)
        return (
            f"{self.count} snapshots of the {days:.0f} days up to {self.until.isoformat(timespec='seconds')},"
            f" where its rhythm explains {self.explained}"
        )


def surplus(times: Sequence[tuple[datetime, Snapshot]], schedule: Schedule | None) -> Surplus | None:
    """The worst window of a job's snapshots (with when each was taken); None where none has too many.

    Without a schedule the rhythm is what the numbers of the signed chains tell of the time before: they go on counting
    when retention removes snapshots.
    """
    ordered = sorted(((time.astimezone(UTC), snapshot) for time, snapshot in times), key=lambda pair: pair[0])
    if not ordered:
        return None
    newest = ordered[-1][0]
    rhythm = _planned(schedule, newest, len(ordered)) if schedule is not None else _observed(ordered)
    if rhythm is None:
        return None
    window, explained = rhythm
    moments = [time for time, _ in ordered if time > newest - max(_LOOK_BACK, window)]
    worst, first = Surplus(0, explained, window, newest), 0
    for position, until in enumerate(moments):
        while moments[first] <= until - window:
            first += 1
        if position - first + 1 > worst.count:
            worst = Surplus(position - first + 1, explained, window, until)
    return worst if worst.count > FACTOR * explained else None


def _planned(schedule: Schedule, until: datetime, most: int) -> tuple[timedelta, int]:
    """A window, and how many backups the schedule explains in it; it is not counted further than to `most`."""
    back = schedule.back_from(until - timedelta(microseconds=1))
    turns = list(islice(back, _TURNS))
    length = max(_WEEK, until - turns[-1])
    explained = _TURNS
    while explained < most and next(back) > until - length:
        explained += 1
    return length, explained


def _observed(ordered: Sequence[tuple[datetime, Snapshot]]) -> tuple[timedelta, int] | None:
    """The window and what it explains, by how often snapshots were taken before it."""
    newest = ordered[-1][0]
    since = newest - _WEEK
    before = [(time, snapshot) for time, snapshot in ordered if time <= since]
    taken = sum(_taken(chain) for chain in _chains(before))
    if taken < _LEAST_BEFORE or before[-1][0] == before[0][0]:
        return None
    turn = (before[-1][0] - before[0][0]) / taken
    window = max(_WEEK, _TURNS * turn)
    return window, max(_TURNS, round(window / turn))


def _chains(ordered: Sequence[tuple[datetime, Snapshot]]) -> list[list[int]]:
    chains: dict[ChainKey, list[int]] = defaultdict(list)
    for _, snapshot in ordered:
        chains[snapshot.chain].append(snapshot.manifest.number)
    return list(chains.values())


def _taken(numbers: Sequence[int]) -> int:
    return max(numbers) - min(numbers)
