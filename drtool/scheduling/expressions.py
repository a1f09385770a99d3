"""When a cron expression fires, in a time zone, across every change of its clocks.

croniter finds the times on the wall clock. Which moments those are is decided here: where the clocks of a zone change
it is known to leave times out or to name them twice (pallets-eco/croniter#258, taichino/croniter#116 and others).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from croniter import croniter

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
#: No zone changes its clocks twice within so long; those that stop for Ramadan come closest.
_ONE_CHANGE = timedelta(days=20)
#: To this precision the moment of a change of clocks is looked for.
_RESOLUTION = timedelta(seconds=1)
_HOURS = 24


@dataclass(frozen=True, slots=True)
class Schedule:
    """The slots of a cron expression of five fields; ``timezone`` is a zone's name, None this host's.

    An expression that names hours (``30 2 * * *``) fires once at each time that it names, on every day: where the
    clocks skip that time, at the first moment after the gap; where it comes twice, the first time. One of every hour
    (``*/15 * * * *``) fires at each moment whose time on the wall clock it names, so that it goes on through a repeated
    hour, and leaves out nothing but a skipped one.

    Each slot is put off by up to ``jitter_seconds``: always by the same, which follows from ``key``. Moments are handed
    over with any zone, and come back in UTC.
    """

    expression: str
    timezone: str | None = None
    jitter_seconds: float = 0.0
    key: str = ""

    @property
    def offset(self) -> timedelta:
        """By how much each slot is put off."""
        if not self.jitter_seconds:
            return timedelta(0)
        digest = int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:8], "big")
        return timedelta(seconds=int(digest % (int(self.jitter_seconds) + 1)))

    def next_after(self, moment: datetime) -> datetime:
        """The first slot after a moment."""
        return self._finder().next_after(moment.astimezone(UTC) - self.offset) + self.offset

    def previous_at_or_before(self, moment: datetime) -> datetime:
        """The last slot that is not after a moment."""
        return self._finder().previous_at_or_before(moment.astimezone(UTC) - self.offset) + self.offset

    def back_from(self, moment: datetime) -> Iterator[datetime]:
        """All slots that are not after a moment, newest first."""
        finder, before = self._finder(), moment.astimezone(UTC) - self.offset
        while True:
            slot = finder.previous_at_or_before(before)
            yield slot + self.offset
            before = slot - timedelta(microseconds=1)

    def interval(self, moment: datetime) -> timedelta:
        """The time between the slots around a moment."""
        return self.next_after(moment) - self.previous_at_or_before(moment)

    def _finder(self) -> _Named | _Hourly:
        from croniter import croniter

        cron = croniter(self.expression, datetime(2000, 1, 1))
        wall, hours = _Wall(self.timezone), cron.expanded[1]
        is_hourly = hours[0] == "*" or len(set(hours)) == _HOURS
        return _Hourly(cron, wall) if is_hourly else _Named(cron, wall)


class _Wall:
    """The clock on the wall of a zone. Its times are without a zone; moments are in UTC."""

    def __init__(self, timezone: str | None) -> None:
        self._zone = ZoneInfo(timezone) if timezone else None

    def offset(self, moment: datetime) -> timedelta:
        found = moment.astimezone(self._zone).utcoffset()
        assert found is not None
        return found

    def shown(self, moment: datetime) -> datetime:
        return moment.replace(tzinfo=None) + self.offset(moment)

    def first_moment(self, time: datetime) -> datetime:
        """When the clock first shows a time, or has gone past it."""
        as_utc = time.replace(tzinfo=UTC)
        early, late = as_utc - _DAY, as_utc + _DAY
        moments = (as_utc - offset for offset in {self.offset(early), self.offset(late)})
        shown = [moment for moment in moments if self.shown(moment) == time]
        return min(shown) if shown else self.change(early, late)

    def change(self, early: datetime, late: datetime) -> datetime:
        """The moment at which the clocks change between two, which differ in their offset."""
        before = self.offset(early)
        # Changes come at whole seconds, and so does what is halved here.
        early, late = early.replace(microsecond=0), late.replace(microsecond=0)
        while late - early > _RESOLUTION:
            middle = early + timedelta(seconds=(late - early) // _RESOLUTION // 2)
            early, late = (middle, late) if self.offset(middle) == before else (early, middle)
        return late


def _next(cron: croniter, time: datetime) -> datetime:
    """The first time on the wall that the expression names after the minute of `time`."""
    found: datetime = cron.get_next(datetime, start_time=time.replace(second=0, microsecond=0))
    return found


def _previous(cron: croniter, time: datetime) -> datetime:
    """The last one that it names up to the minute of `time`, this included."""
    found: datetime = cron.get_prev(datetime, start_time=time.replace(second=30, microsecond=0))
    return found


@dataclass(frozen=True, slots=True)
class _Named:
    """Of an expression that names hours: each time that it names has one moment, in the same order."""

    cron: croniter
    wall: _Wall

    def next_after(self, moment: datetime) -> datetime:
        time = self.wall.shown(moment)
        while True:
            time = _next(self.cron, time)
            slot = self.wall.first_moment(time)
            if slot > moment:
                return slot

    def previous_at_or_before(self, moment: datetime) -> datetime:
        # Of times that come twice, those that the clock has yet to show again have had their moment.
        offset = max(self.wall.offset(moment), self.wall.offset(moment - _DAY))
        time = moment.replace(tzinfo=None) + offset
        while True:
            time = _previous(self.cron, time)
            slot = self.wall.first_moment(time)
            if slot <= moment:
                return slot
            time -= _MINUTE


@dataclass(frozen=True, slots=True)
class _Hourly:
    """Of an expression of every hour: from one change of the clocks to the next, each time as it is shown."""

    cron: croniter
    wall: _Wall

    def next_after(self, moment: datetime) -> datetime:
        time = self.wall.shown(moment)
        while True:
            offset = self.wall.offset(moment)
            slot = _next(self.cron, time).replace(tzinfo=UTC) - offset
            end = min(slot, moment + _ONE_CHANGE)
            if self.wall.offset(end) != offset:
                moment = self.wall.change(moment, end)
                time = self.wall.shown(moment) - _MINUTE
            elif end < slot:
                moment, time = end, self.wall.shown(end)
            else:
                return slot

    def previous_at_or_before(self, moment: datetime) -> datetime:
        while True:
            offset = self.wall.offset(moment)
            slot = _previous(self.cron, self.wall.shown(moment)).replace(tzinfo=UTC) - offset
            start = max(slot, moment - _ONE_CHANGE)
            if self.wall.offset(start) != offset:
                moment = self.wall.change(start, moment) - timedelta(microseconds=1)
            elif start > slot:
                moment = start
            else:
                return slot
