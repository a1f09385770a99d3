"""What a row of runs comes to: ok, late, failed or never."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.timing import Repeated
from drtool.operations.unattended.standing.courses import Course, State, course, longest_interval, slots_since
from drtool.scheduling.due import standing
from drtool.scheduling.entries import Entry
from drtool.scheduling.expressions import Schedule
from drtool.scheduling.ledger import Pause, RunRecord, RunState

_NIGHT = datetime(2026, 11, 20, 2, tzinfo=UTC)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def _run(started: datetime, state: RunState = RunState.OK, *, exit_code: int = 0, by_hand: bool = False) -> RunRecord:
    ended = None if state is RunState.RUNNING else started + timedelta(minutes=10)
    slot = None if by_hand else started
    return RunRecord(started.isoformat(), "backup", "nightly", "nightly", slot, started, ended, state, exit_code)


def _course(
    runs: Sequence[RunRecord], now: datetime, *, alive: Sequence[str] = (), pause: Pause | None = None
) -> Course:
    """Of a job that is due at two each night and was first seen long ago."""
    newest_first = sorted(runs, key=lambda run: run.started, reverse=True)
    entry = Entry("nightly", "backup", "nightly", ("nightly",), Schedule("0 2 * * *", "UTC"), Repeated())
    found = standing(entry, newest_first, pause, now, _NIGHT - 9 * _DAY)
    good = next((run.ended for run in newest_first if run.state is RunState.OK), None)
    return course([(entry, found)], newest_first, alive, good, now)


def test_a_night_that_went_well() -> None:
    found = _course([_run(_NIGHT)], _NIGHT + 5 * _HOUR)
    assert (found.state, found.late_since, found.behind, found.missed) == (State.OK, None, 0, 0)
    assert found.next_run == _NIGHT + _DAY
    assert found.interval == 86400


def test_one_run_on_its_way_is_not_late() -> None:
    running = _run(_NIGHT + _DAY, RunState.RUNNING)
    found = _course([_run(_NIGHT), running], _NIGHT + _DAY + 5 * _HOUR, alive=[running.id])
    assert found.state is State.OK
    assert found.running == running
    assert found.last_run is not None
    assert found.last_run.state is RunState.OK


def test_what_did_not_start_is_late_after_an_hour() -> None:
    soon = _course([_run(_NIGHT)], _NIGHT + _DAY + _HOUR)
    late = _course([_run(_NIGHT)], _NIGHT + _DAY + 2 * _HOUR)
    assert (soon.state, soon.missed) == (State.OK, 1)
    assert (late.state, late.late_since) == (State.LATE, _NIGHT + _DAY)


def test_what_is_skipped_night_after_night_is_late_from_the_second_on() -> None:
    skipped = [_run(_NIGHT + day * _DAY, RunState.SKIPPED) for day in (1, 2)]
    assert _course([_run(_NIGHT), skipped[0]], _NIGHT + _DAY + 9 * _HOUR).state is State.OK
    found = _course([_run(_NIGHT), *skipped], _NIGHT + 2 * _DAY + _HOUR)
    assert (found.state, found.behind, found.late_since) == (State.LATE, 2, _NIGHT + _DAY)


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.PARTIAL, RunState.STOPPED, RunState.LOST])
def test_a_bad_end_counts_until_the_next_success(state: RunState) -> None:
    bad = _run(_NIGHT + _DAY, state, exit_code=1)
    assert _course([_run(_NIGHT), bad], _NIGHT + _DAY + _HOUR).state is State.FAILED
    again = _run(_NIGHT + _DAY + 2 * _HOUR, by_hand=True)
    assert _course([_run(_NIGHT), bad, again], _NIGHT + _DAY + 3 * _HOUR).state is State.OK


def test_what_a_person_called_off_says_nothing() -> None:
    called_off = _run(_NIGHT + _HOUR, RunState.STOPPED, exit_code=130, by_hand=True)
    assert _course([_run(_NIGHT), called_off], _NIGHT + 2 * _HOUR).state is State.OK


def test_a_run_whose_process_is_gone_has_failed() -> None:
    found = _course([_run(_NIGHT), _run(_NIGHT + _DAY, RunState.RUNNING)], _NIGHT + _DAY + _HOUR)
    assert (found.state, found.running) == (State.FAILED, None)


def test_nothing_yet() -> None:
    assert _course([], _NIGHT + _HOUR).state is State.NEVER


def test_a_pause_is_told_and_what_is_not_done_meanwhile_is_late_all_the_same() -> None:
    pause = Pause("nightly", _NIGHT + _HOUR, None, "root", "moving")
    found = _course([_run(_NIGHT)], _NIGHT + 3 * _DAY, pause=pause)
    assert found.paused == pause
    assert (found.missed, found.state) == (0, State.LATE)


def test_without_a_record_of_runs_the_last_success_says_it() -> None:
    """As on a host that takes no backups: the snapshot is all that is known."""
    entry = Entry("nightly", "backup", "nightly", ("nightly",), Schedule("0 2 * * *", "UTC"), Repeated())
    fine = course([(entry, None)], [], [], _NIGHT, _NIGHT + _DAY + 5 * _HOUR)
    late = course([(entry, None)], [], [], _NIGHT, _NIGHT + 2 * _DAY + 5 * _HOUR)
    assert (fine.state, late.state) == (State.OK, State.LATE)
    assert late.late_since == _NIGHT + _DAY


def test_the_longest_interval_spans_a_weekend() -> None:
    weekdays = Schedule("0 2 * * 1-5", "UTC")
    for hours in range(0, 24 * 7, 5):
        assert longest_interval(weekdays, _NIGHT + hours * _HOUR) == 3 * 86400


@given(st.integers(0, 20 * 24 * 60), st.integers(0, 20 * 24 * 60))
def test_slots_since_a_moment_are_all_that_have_come(before: int, after: int) -> None:
    schedule = Schedule("30 */7 * * *", "UTC")
    moment, now = _NIGHT + timedelta(minutes=before), _NIGHT + timedelta(minutes=before + after)
    expected, slot = [], schedule.next_after(moment)
    while slot <= now:
        expected.append(slot)
        slot = schedule.next_after(slot)
    assert slots_since(schedule, moment, now) == expected[-100:]


@pytest.mark.parametrize(
    ("runs", "now", "is_to_begin"),
    [
        ([], _NIGHT - 9 * _DAY + _HOUR, True),
        ([], _NIGHT, False),  # it was missed
        ([_run(_NIGHT, RunState.SKIPPED)], _NIGHT + _HOUR, False),
        ([_run(_NIGHT)], _NIGHT + _HOUR, False),
    ],
)
def test_what_waits_for_its_first_turn(runs: list[RunRecord], now: datetime, is_to_begin: bool) -> None:
    assert _course(runs, now).is_to_begin is is_to_begin
