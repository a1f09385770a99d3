"""The pure policy: restic's documented cases, laws, and a second implementation that is too simple to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.config.rules import Rules
from drtool.config.spans import Span
from drtool.operations.retention.policy import Taken, reasons

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PERIODS: dict[str, Callable[[datetime], Any]] = {
    "hourly": lambda t: t.strftime("%Y-%m-%d %H"),
    "daily": lambda t: t.strftime("%Y-%m-%d"),
    "weekly": lambda t: t.strftime("%G-%V"),
    "monthly": lambda t: t.strftime("%Y-%m"),
    "yearly": lambda t: t.strftime("%Y"),
}


def _taken(*texts: str, tags: str = "") -> list[Taken]:
    return [Taken(datetime.fromisoformat(text + ("" if "+" in text else "+00:00")), frozenset(tags)) for text in texts]


def _kept(taken: Sequence[Taken], rules: Rules, now: datetime = NOW) -> list[Taken]:
    return [one for one, why in zip(taken, reasons(taken, rules, now), strict=True) if why]


def _texts(taken: Sequence[Taken], rules: Rules, now: datetime = NOW) -> list[str]:
    return [one.time.strftime("%Y-%m-%dT%H:%M") for one in _kept(taken, rules, now)]


# --- cases by hand -----------------------------------------------------------------------


def test_the_newest_of_each_day() -> None:
    taken = _taken("2026-11-18T02:00", "2026-11-19T02:00", "2026-11-19T23:59", "2026-11-20T00:00", "2026-11-20T06:00")
    assert _texts(taken, Rules(daily=2)) == ["2026-11-19T23:59", "2026-11-20T06:00"]
    assert _texts(taken, Rules(last=2)) == ["2026-11-20T00:00", "2026-11-20T06:00"]
    assert _texts(taken, Rules(hourly=3)) == ["2026-11-19T23:59", "2026-11-20T00:00", "2026-11-20T06:00"]


def test_days_without_a_snapshot_do_not_count() -> None:
    taken = _taken("2024-01-01T02:00", "2025-06-01T02:00", "2026-11-20T06:00")
    assert len(_kept(taken, Rules(daily=3))) == 3


def test_reasons_are_told_all() -> None:
    told = reasons(_taken("2026-11-20T06:00", "2026-11-20T05:00"), Rules(last=1, daily=5, yearly=1), NOW)
    assert told == [("last snapshot", "daily snapshot", "yearly snapshot"), ("oldest daily snapshot",)]


def test_the_oldest_stays_while_a_count_is_left() -> None:
    taken = _taken("2026-01-01T02:00", "2026-01-02T02:00", "2026-02-01T02:00")
    assert reasons(taken, Rules(monthly=3), NOW) == [
        ("oldest monthly snapshot",),
        ("monthly snapshot",),
        ("monthly snapshot",),
    ]
    assert _texts(taken, Rules(monthly=2)) == ["2026-01-02T02:00", "2026-02-01T02:00"]


def test_weeks_are_iso_weeks() -> None:
    # 29 December 2025 and 1 January 2026 are of week 1 of 2026; 28 December 2025 is the Sunday before.
    taken = _taken("2025-12-28T02:00", "2025-12-29T02:00", "2026-01-01T02:00", "2026-01-05T02:00")
    assert _texts(taken, Rules(weekly=2)) == ["2026-01-01T02:00", "2026-01-05T02:00"]
    assert _texts(taken, Rules(weekly=3)) == ["2025-12-28T02:00", "2026-01-01T02:00", "2026-01-05T02:00"]
    # 3 January 2027 is of week 53 of 2026.
    taken = _taken("2026-12-28T02:00", "2027-01-03T02:00")
    assert _texts(taken, Rules(weekly=1), datetime(2028, 1, 1, tzinfo=UTC)) == ["2027-01-03T02:00"]


def test_a_day_is_that_of_the_offset_that_a_snapshot_was_taken_with() -> None:
    # One instant later, but on the day before, where it was taken.
    taken = _taken("2026-11-20T00:30+02:00", "2026-11-19T23:00+00:00")
    assert len(_kept(taken, Rules(daily=2))) == 2
    assert [one.time.day for one in _kept(taken, Rules(daily=1))] == [19]
    same = _taken("2026-11-19T22:30+00:00", "2026-11-19T23:00+00:00")
    assert len(_kept(same, Rules(daily=1))) == 1


def test_snapshots_with_the_offsets_of_several_days_use_up_no_more_than_those() -> None:
    """Whoever stole a key can date each with another offset: on the last day of a year two days, weeks and years."""
    now = datetime(2028, 1, 1, 1, tzinfo=UTC)
    honest = [Taken(now - timedelta(days=n, hours=10)) for n in range(1500)]
    zones = [timezone(timedelta(hours=hours)) for hours in (14, -12)]
    junk = [Taken((now - timedelta(seconds=n)).astimezone(zones[n % 2])) for n in range(14)]
    rules = Rules(daily=14, weekly=8, monthly=12, yearly=4)
    lost = set(_texts(honest, rules, now)) - set(_texts(junk + honest, rules, now))
    assert len(lost) <= 4, "one of each kind"


def test_within_is_measured_from_the_newest_that_is_not_in_the_future() -> None:
    taken = _taken("2026-10-20T06:00", "2026-10-21T06:00", "2026-10-21T06:01", "2026-10-28T06:00", "2027-03-01T00:00")
    assert _texts(taken, Rules(within=Span(days=7))) == ["2026-10-21T06:01", "2026-10-28T06:00", "2027-03-01T00:00"]
    assert reasons(taken, Rules(within=Span(days=7)), NOW)[3] == ("within 7d",)
    everything_ahead = datetime(2020, 1, 1, tzinfo=UTC)
    assert len(_kept(taken, Rules(within=Span(hours=1)), everything_ahead)) == 5


def test_within_counts_months_as_the_calendar_of_go_does() -> None:
    # A month before 31 March is 31 February: 3 March.
    taken = _taken("2026-03-03T02:00", "2026-03-03T02:01", "2026-03-31T02:00")
    assert _texts(taken, Rules(within=Span(months=1))) == ["2026-03-03T02:01", "2026-03-31T02:00"]


def test_within_daily_and_the_like() -> None:
    taken = _taken("2026-11-01T02:00", "2026-11-18T01:00", "2026-11-18T02:00", "2026-11-20T01:00", "2026-11-20T02:00")
    told = reasons(taken, Rules(within_daily=Span(days=7)), NOW)
    assert told == [(), (), ("daily within 7d",), (), ("daily within 7d",)]
    told = reasons(taken[1:], Rules(within_daily=Span(days=7)), NOW)
    assert told[0] == ("oldest daily within 7d",)
    assert _texts(taken, Rules(within_hourly=Span(hours=1))) == ["2026-11-20T02:00"]


def test_tags_all_of_a_list_any_of_the_lists() -> None:
    taken = [*_taken("2026-11-01T02:00", tags="ab"), *_taken("2026-11-02T02:00", tags="b"), *_taken("2026-11-03T02:00")]
    assert _texts(taken, Rules(tags=(("a", "b"),))) == ["2026-11-01T02:00"]
    assert _texts(taken, Rules(tags=(("a",), ("b",)))) == ["2026-11-01T02:00", "2026-11-02T02:00"]
    assert reasons(taken, Rules(tags=(("a", "b"),)), NOW)[0] == ("has tags a, b",)


def test_rules_add_up() -> None:
    taken = _taken(*(f"2026-{month:02}-{day:02}T02:00" for month in range(1, 11) for day in (1, 15)))
    alone = [set(_texts(taken, rules)) for rules in (Rules(last=3), Rules(monthly=4), Rules(within=Span(months=2)))]
    assert set(_texts(taken, Rules(last=3, monthly=4, within=Span(months=2)))) == set.union(*alone)


def test_without_limit() -> None:
    taken = _taken(*(f"2026-10-{day:02}T{hour:02}:00" for day in range(1, 20) for hour in (2, 14)))
    assert len(_kept(taken, Rules(last=-1))) == 38
    assert len(_kept(taken, Rules(daily=-1))) == 20  # one a day, and the oldest
    assert reasons([], Rules(last=1), NOW) == []


# --- laws --------------------------------------------------------------------------------

#: Each runs over many snapshots and rules at once.
FEW = settings(max_examples=50)

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
OFFSETS = st.sampled_from([0, 0, 0, 60, -300, 825]).map(lambda minutes: timezone(timedelta(minutes=minutes)))
#: Close together, days apart, and years apart; some of them in the future.
MINUTES = st.integers(0, 600) | st.integers(0, 60 * 24 * 60) | st.integers(0, 60 * 24 * 1200)
TIMES = st.builds(lambda minutes, zone: (BEGIN + timedelta(minutes=minutes)).astimezone(zone), MINUTES, OFFSETS)
TAKEN = st.lists(st.builds(Taken, TIMES, st.frozensets(st.sampled_from("abc"), max_size=2)), min_size=1, max_size=20)
COUNTS = st.sampled_from([0, 0, 0, 1, 2, 3, 7, 30, -1])
SPANS = st.none() | st.builds(Span, st.integers(0, 1), st.integers(0, 13), st.integers(0, 40), st.integers(1, 30))
COUNTED = ("last", *PERIODS)
WITHIN = ("within", *(f"within_{word}" for word in PERIODS))
TAGS = st.sampled_from([(), (), (("a",),), (("a", "b"), ("c",))])
FIELDS = st.fixed_dictionaries(
    {**dict.fromkeys(COUNTED, COUNTS), **dict.fromkeys(WITHIN, st.none() | SPANS), "tags": TAGS}
).filter(lambda fields: any(fields.values()))


@FEW
@given(TAKEN, FIELDS)
def test_agrees_with_the_simple_implementation(taken: list[Taken], fields: dict[str, Any]) -> None:
    rules = Rules(**fields)
    ordered = [index for index, _ in sorted(enumerate(taken), key=lambda pair: pair[1].time, reverse=True)]
    told = reasons(taken, rules, NOW)
    assert {index for index, why in enumerate(told) if why} == {
        ordered[place] for place in _simple([taken[index] for index in ordered], rules)
    }


def _simple(newest_first: Sequence[Taken], rules: Rules) -> set[int]:
    """The places of those that are kept: each rule by itself, whole lists at a time."""
    times = [one.time for one in newest_first]
    last = len(times) - 1
    reference = next((time for time in times if time < NOW), None)
    kept = {place for place, one in enumerate(newest_first) if any(set(tags) <= one.tags for tags in rules.tags)}
    kept |= set(range(len(times) if rules.last == -1 else min(rules.last, len(times))))

    def inside(span: Span) -> list[int]:
        return [p for p, time in enumerate(times) if reference is None or time > span.before(reference)]

    if rules.within:
        kept |= set(inside(rules.within))
    for word, period in PERIODS.items():
        count, span = getattr(rules, word), getattr(rules, f"within_{word}")
        changes = [0, *(p + 1 for p, (one, other) in enumerate(pairwise(times)) if period(one) != period(other))]
        if count:
            earlier = [p for p in changes if p == 0 or period(times[p]) < min(map(period, times[:p]))]
            end = len(times) if count == -1 or len(earlier) < count else earlier[count - 1] + 1
            kept |= {p for p in changes if p < end} | ({last} if end > last else set())
        if span:
            places = inside(span)
            periods = [period(times[p]) for p in places]
            kept |= {p for n, p in enumerate(places) if n == 0 or periods[n] != periods[n - 1]}
            kept |= {last} & set(places)
    return kept


@FEW
@given(TAKEN, FIELDS)
def test_what_is_kept_is_something_and_is_kept_again(taken: list[Taken], fields: dict[str, Any]) -> None:
    rules = Rules(**fields)
    kept = _kept(taken, rules)
    assert _kept(kept, rules) == kept
    assert kept or not any(value for name, value in rules if name != "tags")


#: In one zone, and by days and hours: a month before 1 April is earlier than one before 31 March, which is 3 March.
STEADY = st.lists(MINUTES, min_size=1, max_size=20, unique=True).map(
    lambda minutes: [Taken(BEGIN + timedelta(minutes=one)) for one in sorted(minutes)]
)
DAYS = st.none() | st.builds(Span, days=st.integers(0, 400), hours=st.integers(1, 30))


@FEW
@given(STEADY, FIELDS, st.fixed_dictionaries(dict.fromkeys(WITHIN, st.none() | DAYS)))
def test_applying_on_the_way_leaves_the_same(taken: list[Taken], fields: dict[str, Any], spans: dict[str, Any]) -> None:
    """Whether retention ran after each backup, or once at the end."""
    rules = Rules(**fields | spans | {"last": max(1, fields["last"])})
    left: list[Taken] = []
    for one in taken:
        left = _kept([*left, one], rules, one.time + timedelta(seconds=1))
    assert left == _kept(taken, rules, taken[-1].time + timedelta(seconds=1))


@FEW
@given(TAKEN, FIELDS, st.sampled_from(COUNTED), st.sampled_from(WITHIN), st.integers(1, 50))
def test_a_more_generous_policy_keeps_no_less(
    taken: list[Taken], fields: dict[str, Any], counted: str, within: str, more: int
) -> None:
    count, span = fields[counted], fields[within]
    generous = fields | {
        counted: count if count == -1 else count + more,
        within: Span(days=more) if span is None else Span(span.years + 1, span.months, span.days, span.hours + more),
    }
    less, much = (reasons(taken, Rules(**one), NOW) for one in (fields, generous))
    assert all(there for here, there in zip(less, much, strict=True) if here)


@pytest.mark.parametrize("rules", [Rules(last=1), Rules(daily=3), Rules(within=Span(days=1))])
def test_the_order_of_what_is_given_does_not_matter(rules: Rules) -> None:
    taken = _taken("2026-11-20T06:00", "2026-11-18T02:00", "2026-11-19T02:00")
    by_time = sorted(taken, key=lambda one: one.time)
    assert sorted(_texts(taken, rules)) == sorted(_texts(by_time, rules))
