"""Junk that would push good snapshots out is noticed, and a job's own habits are not taken for junk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from drtool.operations.retention.guards import taken_at
from drtool.operations.retention.surplus import Surplus, surplus
from drtool.repository.chain import Snapshot
from drtool.scheduling.expressions import Schedule
from tests.operations.retention.making import snapshot

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NIGHTLY = Schedule("0 2 * * *", "Europe/Berlin")


def _every(interval: timedelta, count: int, *, until: datetime = NOW, first: int = 1) -> list[Snapshot]:
    return [snapshot(until - interval * (count - n), first + n - 1) for n in range(1, count + 1)]


def _judged(snapshots: Iterable[Snapshot], schedule: Schedule | None = None) -> Surplus | None:
    return surplus([(taken_at(one), one) for one in snapshots], schedule)


@pytest.mark.parametrize("schedule", [None, NIGHTLY])
def test_junk_within_an_hour(schedule: Schedule | None) -> None:
    honest = _every(DAY, 60)
    junk = _every(timedelta(minutes=1), 40, until=NOW + HOUR, first=61)
    assert _judged(honest, schedule) is None
    found = _judged([*honest, *junk], schedule)
    assert found is not None
    assert (found.explained, found.window) == (7, timedelta(days=7))
    assert 40 < found.count <= 47
    assert "where its rhythm explains 7" in str(found)


@pytest.mark.parametrize("schedule", [None, NIGHTLY])
def test_some_backups_by_hand_are_no_junk(schedule: Schedule | None) -> None:
    assert _judged([*_every(DAY, 60), *_every(HOUR, 10, until=NOW + DAY, first=61)], schedule) is None


@pytest.mark.parametrize(
    ("interval", "expression"),
    [
        (timedelta(minutes=15), "*/15 * * * *"),
        (HOUR, "0 * * * *"),
        (6 * HOUR, "0 */6 * * *"),
        (DAY, "0 2 * * *"),
        (7 * DAY, "0 2 * * 6"),
        (30 * DAY, "0 2 1 * *"),
    ],
)
def test_a_steady_rhythm_is_none(interval: timedelta, expression: str) -> None:
    snapshots = _every(interval, 700)
    assert _judged(snapshots) is None
    assert _judged(snapshots, Schedule(expression, "UTC")) is None
    # Four times as many within a window are too many.
    window = max(timedelta(days=7), 7 * interval)
    junk = _every(window / 10_000, round(4 * window / interval), until=NOW + window / 2, first=701)
    assert _judged([*snapshots, *junk]) is not None
    assert _judged([*snapshots, *junk], Schedule(expression, "UTC")) is not None


def test_thinned_out_history_is_not_taken_for_a_slower_rhythm() -> None:
    """The chain's numbers go on counting when retention removes snapshots."""
    hourly = _every(HOUR, 24 * 60)
    thinned = [one for one in hourly[: -24 * 10] if taken_at(one).hour == 2] + hourly[-24 * 10 :]
    assert _judged(thinned) is None


def test_a_rhythm_that_is_not_known_yet_is_no_reason() -> None:
    assert _judged(_every(timedelta(minutes=1), 50)) is None
    assert _judged([]) is None
    assert _judged([], NIGHTLY) is None


def test_junk_that_was_removed_is_forgotten() -> None:
    honest, junk = _every(DAY, 60), _every(timedelta(minutes=1), 100, until=NOW + HOUR, first=61)
    after = [snapshot(NOW + DAY * n, 160 + n) for n in range(1, 5)]
    assert _judged([*honest, *junk, *after]) is not None
    assert _judged([*honest, *after]) is None


def test_two_hosts_of_one_job_are_counted_together() -> None:
    first = _every(DAY, 60)
    second = [snapshot(taken_at(one) + HOUR, one.manifest.number, signer=b"host2") for one in first]
    found = _judged([*first, *second])
    assert found is None
