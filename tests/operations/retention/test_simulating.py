"""Made-up backups: how they are described, and what is told of the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drtool.config.rules import Rules
from drtool.config.spans import Span
from drtool.errors import UsageError
from drtool.operations.retention.simulating import course, every, parse_times, simulate, stretches

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_times_with_and_without_tags() -> None:
    lines = [
        "2026-08-01T02:00:00+02:00 release prod\n",
        "# a comment",
        "",
        "2026-08-02 02:00:00+02:00 release,prod # both",
        "20260803T020000Z",
        "2026-08-04T02:00:00.123Z x",
    ]
    found = parse_times(lines, "times.txt")
    assert [sorted(one.tags) for one in found] == [["prod", "release"], ["prod", "release"], [], ["x"]]
    assert found[0].time == datetime(2026, 8, 1, tzinfo=UTC)
    assert found[0].time.utcoffset() == 2 * HOUR
    assert [one.time.astimezone(UTC).day for one in found] == [1, 2, 3, 4]


def test_a_time_without_a_zone_is_this_hosts() -> None:
    [found] = parse_times(["2026-08-01T02:00:00"], "times.txt")
    assert found.time == datetime(2026, 8, 1, 2).astimezone()


@pytest.mark.parametrize("line", ["yesterday", "2026-13-01", "2026-08-01T25:00:00Z", f"2026-08-01 {'x' * 101}"])
def test_lines_that_are_no_times(line: str) -> None:
    with pytest.raises(UsageError, match=r"times\.txt:2: "):
        parse_times(["2026-08-01", line], "times.txt")


def test_a_file_without_times() -> None:
    with pytest.raises(UsageError, match="holds no times"):
        parse_times(["# nothing"], "times.txt")


def test_regular_backups() -> None:
    taken = every(6 * HOUR, Span(days=2), NOW)
    assert [one.time for one in taken] == [NOW - 2 * DAY + n * 6 * HOUR for n in range(9)]
    with pytest.raises(UsageError, match="more than"):
        every(timedelta(seconds=1), Span(years=1), NOW)
    with pytest.raises(UsageError, match="--every"):
        every(timedelta(0), Span(years=1), NOW)


def test_the_way_and_the_end() -> None:
    rules = Rules(last=3, daily=7, weekly=4)
    taken = every(DAY, Span(years=1), NOW)
    found = course(taken, rules)
    assert [one.after for one in found][:2] == [DAY, 7 * DAY]
    assert found[-1].after == NOW - taken[0].time
    assert [len(one.ages) for one in found][:2] == [2, 8]
    assert all(len(one.ages) <= 12 for one in found)
    assert found[-1].ages == tuple(NOW - time for time in simulate(taken, rules, NOW + HOUR).kept)
    ends = stretches(found[-1])
    assert sum(one.count for one in ends) == len(found[-1].ages)
    assert ends[0].gap == DAY
    assert ends[-1].gap == 7 * DAY
    assert course([], rules) == []
