"""What is due, by what was run."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import ExitCode
from drtool.scheduling.due import MOST_MISSED, standing
from drtool.scheduling.ledger import Pause, RunRecord, RunState
from tests.scheduling.samples import at, entry, run

SINCE = at("20 12:00")
NIGHTLY = entry()
FAILED = int(ExitCode.FAILED)


def paused(since: str, until: str | None) -> Pause:
    return Pause("nightly", at(since), None if until is None else at(until), "alice", "")


def test_a_slot_is_due_from_its_time_on_until_something_is_started() -> None:
    assert standing(NIGHTLY, [], None, at("21 01:59"), SINCE).due_slot is None
    assert standing(NIGHTLY, [], None, at("21 02:00"), SINCE).due_slot == at("21 02:00")
    begun = run(at("21 02:00"), RunState.RUNNING, slot=at("21 02:00"))
    assert standing(NIGHTLY, [begun], None, at("21 02:01"), SINCE).due_slot is None
    assert standing(NIGHTLY, [begun], None, at("22 02:00"), SINCE).due_slot == at("22 02:00")


def test_what_a_person_starts_counts() -> None:
    by_hand = run(at("21 02:30"))
    assert standing(NIGHTLY, [by_hand], None, at("21 03:00"), SINCE).due_slot is None
    before = run(at("21 01:59"))
    assert standing(NIGHTLY, [before], None, at("21 03:00"), SINCE).due_slot == at("21 02:00")


def test_several_missed_slots_are_made_up_for_by_one_run() -> None:
    found = standing(NIGHTLY, [run(at("20 13:00"))], None, at("23 09:00"), SINCE)
    assert found.missed == (at("21 02:00"), at("22 02:00"), at("23 02:00"))
    assert found.overdue_since == at("21 02:00")
    assert found.due_slot == at("23 02:00")
    caught_up = run(at("23 09:00"), slot=at("23 02:00"))
    assert standing(NIGHTLY, [caught_up], None, at("23 09:01"), SINCE).missed == ()


def test_a_slot_is_missed_only_after_a_while() -> None:
    assert standing(NIGHTLY, [], None, at("21 02:04"), SINCE).overdue_since is None
    assert standing(NIGHTLY, [], None, at("21 02:05"), SINCE).overdue_since == at("21 02:00")


def test_without_catching_up_missed_slots_are_passed_over() -> None:
    unforgiving = entry(catch_up=False)
    late = standing(unforgiving, [], None, at("21 09:00"), SINCE)
    assert (late.due_slot, late.passed_over, late.missed) == (None, at("21 02:00"), (at("21 02:00"),))
    # Whoever calls once an hour is in time.
    hourly = standing(unforgiving, [], None, at("21 02:59"), SINCE)
    assert (hourly.due_slot, hourly.passed_over) == (at("21 02:00"), None)


def test_an_entry_that_is_new_begins_with_its_next_slot() -> None:
    assert standing(NIGHTLY, [], None, at("21 12:00"), at("21 12:00")).due_slot is None
    assert standing(NIGHTLY, [], None, at("21 12:00"), None).due_slot is None
    assert standing(NIGHTLY, [], None, at("22 02:00"), at("21 12:00")).due_slot == at("22 02:00")


@pytest.mark.parametrize("until", [None, "21 09:00"])
def test_while_it_is_paused_nothing_is_due(until: str | None) -> None:
    found = standing(NIGHTLY, [], paused("20 13:00", until), at("21 08:00"), SINCE)
    assert (found.due_slot, found.missed) == (None, ())
    assert found.next_run == (None if until is None else at("22 02:00"))


def test_what_fell_into_a_pause_is_not_made_up_for() -> None:
    over = paused("20 13:00", "21 09:00")
    assert standing(NIGHTLY, [], over, at("21 09:01"), SINCE).due_slot is None
    assert standing(NIGHTLY, [], over, at("22 02:00"), SINCE).due_slot == at("22 02:00")


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.PARTIAL, RunState.SKIPPED, RunState.STOPPED])
def test_an_attempt_of_any_outcome_is_the_slots(state: RunState) -> None:
    attempt = run(at("21 02:00"), state, slot=at("21 02:00"), exit_code=FAILED)
    assert standing(NIGHTLY, [attempt], None, at("21 23:00"), SINCE).due_slot is None


def test_one_that_failed_is_tried_again_where_that_is_configured() -> None:
    patient = entry(retries=2, retry_after="30m")
    slot = at("21 02:00")
    first = run(at("21 02:00"), RunState.FAILED, slot=slot, ended=at("21 02:10"), exit_code=FAILED)
    assert standing(patient, [first], None, at("21 02:39"), SINCE).due_slot is None
    again = standing(patient, [first], None, at("21 02:40"), SINCE)
    assert (again.due_slot, again.tried) == (slot, 1)
    others = [run(at(f"21 0{hour}:00"), RunState.FAILED, slot=slot, exit_code=FAILED) for hour in (4, 3)]
    assert standing(patient, [others[1], first], None, at("21 05:00"), SINCE).tried == 2
    assert standing(patient, [*others, first], None, at("21 05:00"), SINCE).due_slot is None


@pytest.mark.parametrize("code", [ExitCode.USAGE, ExitCode.REFUSED, ExitCode.WRONG_KEY, ExitCode.VERIFICATION_FAILED])
def test_what_would_fail_the_same_way_is_not_tried_again(code: ExitCode) -> None:
    last = run(at("21 02:00"), RunState.FAILED, slot=at("21 02:00"), exit_code=int(code))
    assert standing(entry(retries=3), [last], None, at("21 09:00"), SINCE).due_slot is None


def test_one_that_was_lost_is_made_up_for_once() -> None:
    slot = at("21 02:00")
    lost = run(at("21 02:00"), RunState.LOST, slot=slot, exit_code=FAILED)
    assert standing(NIGHTLY, [lost], None, at("21 02:30"), SINCE).due_slot == slot
    assert standing(entry(catch_up=False), [lost], None, at("21 02:30"), SINCE).due_slot is None
    twice = run(at("21 02:30"), RunState.LOST, slot=slot, exit_code=FAILED)
    assert standing(NIGHTLY, [twice, lost], None, at("21 03:00"), SINCE).due_slot is None


def test_a_clock_that_is_put_back_a_little_starts_nothing_twice() -> None:
    slot = at("21 02:00")
    begun = run(slot + timedelta(seconds=1), slot=slot)
    for seconds in (-5, 0, 1):
        assert standing(NIGHTLY, [begun], None, slot + timedelta(seconds=seconds), SINCE).due_slot is None


def test_of_very_many_missed_slots_the_newest_are_told() -> None:
    found = standing(entry("* * * * *"), [], None, at("23 12:00"), SINCE)
    assert len(found.missed) == MOST_MISSED - 5
    assert found.due_slot == at("23 12:00")


@settings(max_examples=25, deadline=None)
@given(
    expression=st.sampled_from(["0 2 * * *", "5 * * * *", "0 */6 * * *", "15 4 * * 1,4"]),
    pauses=st.lists(st.integers(1, 900) | st.just(4000), min_size=1, max_size=8),
)
def test_whenever_somebody_comes_every_slot_is_made_up_for_exactly_once(expression: str, pauses: list[int]) -> None:
    one, moment = entry(expression), SINCE
    runs: list[RunRecord] = []
    for minutes in pauses:
        before, moment = moment, moment + timedelta(minutes=minutes)
        found = standing(one, runs, None, moment, SINCE)
        expected = one.schedule.previous_at_or_before(moment)
        assert found.due_slot == (expected if expected > before else None)
        if found.due_slot is not None:
            runs.insert(0, run(moment, slot=found.due_slot))
        assert standing(one, runs, None, moment, SINCE).due_slot is None
    slots = [record.slot for record in runs]
    assert len(set(slots)) == len(slots)
