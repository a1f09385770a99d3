"""Slots of cron expressions, against a clock on the wall that is looked at every minute."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drtool.scheduling.expressions import Schedule

MINUTE, WEEK = timedelta(minutes=1), timedelta(weeks=1)
SUNDAY = datetime(2023, 1, 1)
#: Zones of every kind of change: by an hour, by half of one, at midnight, on Saturday night, for Ramadan, none.
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "America/Nuuk",
    "America/Scoresbysund",
    "Atlantic/Azores",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Apia",
    "UTC",
)
NAMED = ("30 2 * * *", "0 0 * * *", "15 1,2,3 * * *", "*/20 2 * * *", "30 23 * * 6", "5 */2 * * *", "59 0-3 * * 0")
HOURLY = ("*/15 * * * *", "0 * * * *", "30 * * * *", "10 0-23 * * *", "45 * * * 0,6")


@functools.cache
def _named(expression: str) -> frozenset[timedelta]:
    """The minutes of a week that an expression without months and days of them names, from Sunday on."""
    minutes, hours, _, _, days = croniter(expression).expanded
    week = [SUNDAY + MINUTE * n for n in range(7 * 24 * 60)]
    fields = [((minutes, t.minute), (hours, t.hour), (days, t.isoweekday() % 7)) for t in week]
    fits = [all(field[0] == "*" or str(value) in map(str, field) for field, value in given) for given in fields]
    return frozenset(moment - SUNDAY for moment, fit in zip(week, fits, strict=True) if fit)


def _watched(expression: str, zone: str, start: datetime, hours: int) -> list[datetime]:
    """The slots of a stretch, as somebody finds them who looks at the clock every minute."""
    named, zone_info = _named(expression), ZoneInfo(zone)
    found, last = [], SUNDAY
    seen: set[datetime] = set()
    for moment in (start + MINUTE * number for number in range(-26 * 60, hours * 60)):
        shown = moment.astimezone(zone_info).replace(tzinfo=None)
        times = {shown} if expression in HOURLY else {shown, *_skipped(last, shown)} - seen
        if moment >= start and any((one - SUNDAY) % WEEK in named for one in times):
            found.append(moment)
        seen |= times
        last = shown
    return found


def _skipped(last: datetime, shown: datetime) -> list[datetime]:
    return [] if last == SUNDAY else [last + MINUTE * n for n in range(1, int((shown - last) / MINUTE))]


def _forward(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    def slots() -> Iterator[datetime]:
        moment = start - timedelta(microseconds=1)
        while True:
            moment = schedule.next_after(moment)
            yield moment

    return list(takewhile(lambda slot: slot < end, slots()))


def _backward(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    slots = schedule.back_from(end - timedelta(microseconds=1))
    return list(takewhile(lambda slot: slot >= start, slots))[::-1]


@functools.cache
def _changes(zone: str, year: int) -> list[datetime]:
    """The half days of a year, by their beginning, in which the clocks of a zone change."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=12 * n) for n in range(2 * 365)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hour for hour, (one, other) in zip(hours, pairwise(offsets), strict=False) if one != other]


@pytest.mark.heavy
@settings(max_examples=30, deadline=None)
@given(
    expression=st.sampled_from((*NAMED, *HOURLY)),
    zone=st.sampled_from(ZONES),
    year=st.integers(1990, 2036),
    which=st.integers(0, 3),
    early=st.integers(0, 6 * 60),
)
@example("30 2 * * *", "Europe/Berlin", 2026, 0, 60)
@example("30 2 * * *", "Europe/Berlin", 2026, 1, 60)
@example("0 * * * *", "Australia/Lord_Howe", 2019, 1, 60)
@example("45 * * * 0,6", "America/Nuuk", 2024, 1, 60)
@example("0 0 * * *", "Pacific/Apia", 2011, 2, 60)
def test_around_every_change_the_slots_are_those_that_somebody_sees_on_the_wall(
    expression: str, zone: str, year: int, which: int, early: int
) -> None:
    changes = _changes(zone, year) or [datetime(year, 3, 1, tzinfo=UTC)]
    start = changes[which % len(changes)] - MINUTE * early
    end = start + timedelta(hours=26)
    schedule = Schedule(expression, zone)
    watched = _watched(expression, zone, start, 26)
    assert _forward(schedule, start, end) == watched
    assert _backward(schedule, start, end) == watched


@pytest.mark.parametrize(
    ("expression", "after", "slots"),
    [
        # The clocks go from 02:00 to 03:00 on 29 March, and from 03:00 back to 02:00 on 25 October.
        ("30 2 * * *", "2026-03-28T12:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("30 2 * * *", "2026-10-24T12:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("*/20 2 * * *", "2026-03-28T12:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("30 * * * *", "2026-03-29T01:00+01:00", ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00"]),
        (
            "30 * * * *",
            "2026-10-25T02:00+02:00",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T03:30+01:00"],
        ),
    ],
)
def test_what_an_operator_in_berlin_gets(expression: str, after: str, slots: list[str]) -> None:
    moment, found = datetime.fromisoformat(after), []
    for _ in slots:
        moment = Schedule(expression, "Europe/Berlin").next_after(moment)
        found.append(moment.astimezone(ZoneInfo("Europe/Berlin")).isoformat(timespec="minutes"))
    assert found == slots


def test_without_a_zone_it_is_the_host_s(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime(2026, 3, 28, 12, tzinfo=UTC)
    monkeypatch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")  # New York's rules, which no file has to tell
    time.tzset()
    try:
        found = [Schedule(one).next_after(moment) for one in ("30 2 * * *", "0 * * * *")]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == [Schedule(one, "America/New_York").next_after(moment) for one in ("30 2 * * *", "0 * * * *")]
