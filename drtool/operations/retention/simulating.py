"""What a policy keeps of made-up backups, without a repository."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drtool.config.rules import Rules, check_tag
from drtool.config.spans import Span
from drtool.errors import UsageError
from drtool.operations.pitr.times import parse_moment
from drtool.operations.retention.policy import Taken, reasons

#: More than a policy is worth being asked about.
MOST_SNAPSHOTS = 500_000
#: Before this, and in the year 9999, a time may have no place in another zone.
_FIRST_YEAR, _LAST_YEAR = 2, 9998
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d(?:[T ]\d\d:[\d:.,]+(?: ?(?:Z|[+-]\d\d:?\d\d))?)?(?!\S)|\S+)\s*(.*)", re.IGNORECASE
)
_YEAR = 365.25
#: The moments and ages that a course is told of: a day, a week, a month, a quarter, half a year, years.
_MARKS = tuple(timedelta(days=days) for days in (1, 7, _YEAR / 12, _YEAR / 4, _YEAR / 2)) + tuple(
    timedelta(days=_YEAR * years) for years in (1, 2, 3, 5, 7, 10, 20, 50)
)


@dataclass(frozen=True, slots=True)
class Remaining:
    """How old (newest first) the snapshots are that remain once the backups have gone on for a while (``after``)."""

    after: timedelta
    ages: tuple[timedelta, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The snapshots with an age up to ``age``, and over the last stretch's: so many, at most so far apart."""

    age: timedelta
    count: int
    gap: timedelta


@dataclass(frozen=True, slots=True)
class Simulation:
    """The reasons for each of ``taken``, in its order."""

    taken: tuple[Taken, ...]
    reasons: tuple[tuple[str, ...], ...]

    @property
    def kept(self) -> tuple[datetime, ...]:
        """When those were taken that remain, newest first."""
        return tuple(sorted((one.time for one, why in zip(self.taken, self.reasons, strict=True) if why), reverse=True))


def check_present(now: datetime) -> datetime:
    """The time as of which is simulated; ``UsageError`` where nobody can mean it."""
    if not _FIRST_YEAR <= now.year <= _LAST_YEAR:
        raise UsageError(f"--now {now.isoformat()} is none of the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return now


def simulate(taken: Sequence[Taken], rules: Rules, now: datetime) -> Simulation:
    """What remains of snapshots; applying the policy more often on the way leaves the same."""
    return Simulation(tuple(taken), tuple(reasons(taken, rules, now)))


def course(taken: Sequence[Taken], rules: Rules) -> list[Remaining]:
    """What remains after a day, a week, a month, …, and at the end; `taken` are the oldest first."""
    if not taken:
        return []
    first, last = taken[0].time, taken[-1].time
    found = []
    for moment in (first + mark for mark in _marks(last - first)):
        until = [one for one in taken if one.time <= moment]
        kept = simulate(until, rules, moment + timedelta(seconds=1)).kept
        found.append(Remaining(moment - first, tuple(until[-1].time - time for time in kept)))
    return found


def stretches(remaining: Remaining) -> list[Stretch]:
    """How close together what remains is, by age."""
    found, before, previous = [], timedelta(-1), timedelta(0)
    for age in _marks(remaining.after):
        ages = [one for one in remaining.ages if before < one <= age]
        gaps = [after - one for one, after in zip([previous, *ages], ages, strict=False)]
        if ages:
            found.append(Stretch(age, len(ages), max(gaps)))
            previous = ages[-1]
        before = age
    return found


def _marks(length: timedelta) -> list[timedelta]:
    """The marks on the way to `length`, and itself in place of one that is about as long."""
    return [*(mark for mark in _MARKS if mark < length * 0.95), length]


def every(interval: timedelta, span: Span, now: datetime) -> list[Taken]:
    """Backups at this interval for so long, up to `now`, oldest first; each with this host's offset at its time."""
    begin = span.before(now)
    if begin.year < _FIRST_YEAR:
        raise UsageError(f"{span} before {now.isoformat()} there was no calendar: take a shorter --for")
    if interval <= timedelta(0):
        raise UsageError("--every 0s: backups need some time between them")
    count = int((now - begin) / interval)
    if count > MOST_SNAPSHOTS:
        raise UsageError(f"that makes {count:,} snapshots, more than {MOST_SNAPSHOTS:,}: take a longer --every")
    return [Taken((now - step * interval).astimezone()) for step in range(count, -1, -1)]


def parse_times(lines: Iterable[str], name: str) -> list[Taken]:
    """One ISO 8601 time in each line, optionally followed by tags; empty lines and ``#`` comments are passed over.

    A time without a zone is this host's. ``UsageError`` names file and line.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.append(_parsed(text))
            except (UsageError, ValueError) as error:
                hint = "A line is a time and perhaps tags: 2026-08-01T02:00:00+02:00 release"
                raise UsageError(f"{name}:{number}: {error}", hint=hint) from None
    if not found:
        raise UsageError(f"{name} holds no times")
    return found


def _parsed(text: str) -> Taken:
    match = _TIME.fullmatch(text)
    assert match is not None  # the second alternative takes any word
    return Taken(
        parse_moment(re.sub(" (?=[Zz+-])", "", match[1])),
        frozenset(check_tag(tag) for tag in re.split(r"[\s,]+", match[2]) if tag),
    )
