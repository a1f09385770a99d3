"""A year of backups under a retention policy, without the backups: what stays of them as time goes by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from drtool.config.policies import find_policy
from drtool.operations.demo.steps import Check, Remaining, RotationFigures
from drtool.operations.demo.workplace import Workplace
from drtool.operations.retention.policy import Taken, reasons

_POLICY = "six-hourly"
_INTERVAL = timedelta(hours=6)
_DAYS = 365
_MARKS = (1, 7, 30, 90, 180, _DAYS)
_DAY = timedelta(days=1)


def rotate(place: Workplace, now: datetime) -> tuple[RotationFigures, list[Check]]:
    """Take a snapshot every six hours for a year up to `now`, and apply the policy every day."""
    policy = find_policy(_POLICY, place.root)
    moment = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _DAYS * _DAY
    kept: list[Taken] = []
    taken = 0
    course: list[Remaining] = []
    for day in range(1, _DAYS + 1):
        fresh = [Taken(moment + step * _INTERVAL) for step in range(_DAY // _INTERVAL)]
        moment += _DAY
        taken += len(fresh)
        kept += fresh
        kept = [one for one, why in zip(kept, reasons(kept, policy.rules, moment), strict=True) if why]
        if day in _MARKS:
            course.append(Remaining(day, len(kept), (moment - kept[0].time).days))
    times = [one.time for one in kept]
    return RotationFigures(policy.name, taken, tuple(course)), _checks(times, moment)


def _checks(times: Sequence[datetime], now: datetime) -> list[Check]:
    week = [time for time in times if time >= now - 7 * _DAY]
    days = {(now - time) // _DAY for time in times}
    missed = sorted(set(range(30)) - days)
    months = {(time.year, time.month) for time in times}
    return [
        Check(
            "newest", times[-1] == now - _INTERVAL, f"the newest is {(now - times[-1]) // timedelta(hours=1)} hours old"
        ),
        Check("week", len(week) == 7 * _DAY // _INTERVAL, f"{len(week)} of the 28 of the last week are there"),
        Check("month", not missed, f"{30 - len(missed)} of the last 30 days have one"),
        Check("year", len(months) >= 12, f"{len(months)} months of the year have one"),
    ]
