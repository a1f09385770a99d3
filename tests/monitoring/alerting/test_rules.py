"""Whom to tell of what, and when again."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.monitoring.alerting.messages import Kind
from drtool.monitoring.alerting.rules import (
    LONGEST_COOLDOWN,
    UNREACHABLE,
    Route,
    cooldown,
    due,
    may_try,
    next_try,
)
from drtool.monitoring.alerting.store import SETTLED, Alert, Delivered
from drtool.monitoring.conditions import Severity
from tests.monitoring.notices import AT, condition

MINUTE = timedelta(minutes=1)


def _alert(severity: Severity = Severity.CRITICAL, **changes: object) -> Alert:
    return Alert(condition(severity=severity), AT, **changes)  # type: ignore[arg-type]


def _kinds(route: Route, alert: Alert, told: Delivered | None, now: datetime) -> list[Kind]:
    delivered = {} if told is None else {alert.condition.key: told}
    return [notice.kind for notice in due(route, [alert], delivered, now)]


def test_what_is_bad_enough_is_told() -> None:
    for severity in Severity:
        for least in Severity:
            told = _kinds(Route("ops", least), _alert(severity), None, AT)
            assert told == ([Kind.OPEN] if severity >= least else [])


def test_jobs_of_others_are_not_told() -> None:
    for jobs, job, is_told in (
        ((), "nightly", True),
        (("nightly",), "nightly", True),
        (("weekly",), "nightly", False),
        (("weekly",), "", True),
    ):
        alert = Alert(condition(job=job), AT)
        assert bool(due(Route("ops", jobs=jobs), [alert], {}, AT)) is is_told


@pytest.mark.parametrize(
    ("severity", "minutes"),
    [
        (Severity.CRITICAL, [5, 10, 20, 40, 80, 160, 240, 240]),
        (Severity.WARNING, [15, 30, 60, 120, 240, 240]),
        (Severity.INFO, []),
    ],
)
def test_repeats_come_later_and_later(severity: Severity, minutes: list[int]) -> None:
    route, told = Route("ops", Severity.INFO), Delivered(AT, 1, severity)
    for wait in minutes:
        before, at = told.at + wait * MINUTE - MINUTE, told.at + wait * MINUTE
        assert _kinds(route, _alert(severity), told, before) == []
        assert _kinds(route, _alert(severity), told, at) == [Kind.STILL]
        told = Delivered(at, told.times + 1, severity)
    if not minutes:
        assert _kinds(route, _alert(severity), told, AT + timedelta(days=30)) == []


def test_a_weekend_of_a_critical_alert() -> None:
    """From Friday evening to Monday morning."""
    told, count = None, 0
    for minute in range(62 * 60):
        at = AT + minute * MINUTE
        if _kinds(Route("ops"), _alert(), told, at):
            told, count = Delivered(at, 1 if told is None else told.times + 1, Severity.CRITICAL), count + 1
    assert count == 21


def test_worse_is_told_at_once() -> None:
    told = Delivered(AT, 3, Severity.WARNING)
    assert _kinds(Route("ops"), _alert(), told, AT + MINUTE) == [Kind.OPEN]
    assert _kinds(Route("ops"), _alert(Severity.WARNING), Delivered(AT, 3, Severity.CRITICAL), AT + MINUTE) == []


def test_the_next_channel_hears_of_what_stays_open() -> None:
    route = Route("boss", after=30 * MINUTE)
    assert _kinds(route, _alert(), None, AT + 29 * MINUTE) == []
    assert _kinds(route, _alert(), None, AT + 30 * MINUTE) == [Kind.OPEN]
    assert _kinds(route, _alert(who="alice"), None, AT + 30 * MINUTE) == []
    assert _kinds(route, _alert(ended=AT + 10 * MINUTE), None, AT + 30 * MINUTE) == []


def test_an_acknowledgement_is_told_once_and_ends_the_repeats() -> None:
    told = Delivered(AT, 1, Severity.CRITICAL)
    assert _kinds(Route("ops"), _alert(who="alice"), told, AT + MINUTE) == [Kind.ACKNOWLEDGED]
    knows = Delivered(AT, 1, Severity.CRITICAL, acknowledged=True)
    assert _kinds(Route("ops"), _alert(who="alice"), knows, AT + timedelta(days=9)) == []
    assert _kinds(Route("ops"), _alert(who="alice", ended=AT), knows, AT + MINUTE) == [Kind.RECOVERED]


def test_the_end_is_told_to_who_was_told() -> None:
    ended = _alert(ended=AT + MINUTE)
    assert _kinds(Route("ops"), ended, Delivered(AT, 1, Severity.CRITICAL), AT + MINUTE) == [Kind.RECOVERED]
    assert _kinds(Route("ops"), ended, None, AT + MINUTE) == []
    # Also where it would not be told today.
    elsewhere = Route("ops", jobs=("weekly",))
    assert _kinds(elsewhere, ended, Delivered(AT, 1, Severity.CRITICAL), AT + MINUTE) == [Kind.RECOVERED]


def test_what_comes_and_goes_is_told_no_more_often_than_what_stays() -> None:
    flapping = Delivered(AT, 1, Severity.CRITICAL, recovered=True)
    assert _kinds(Route("ops"), _alert(), flapping, AT + 4 * MINUTE) == []
    assert _kinds(Route("ops"), _alert(ended=AT + MINUTE), flapping, AT + 4 * MINUTE) == []
    assert _kinds(Route("ops"), _alert(), flapping, AT + 5 * MINUTE) == [Kind.OPEN]


def test_what_is_back_after_a_while_is_told_like_something_new() -> None:
    long_ago = Delivered(AT - SETTLED, 9, Severity.CRITICAL, recovered=True)
    lately = Delivered(AT - SETTLED + MINUTE, 9, Severity.CRITICAL, recovered=True)
    assert _kinds(Route("ops"), _alert(), long_ago, AT) == [Kind.OPEN]
    assert _kinds(Route("ops"), _alert(), lately, AT) == []


def test_a_clock_set_back_silences_nothing() -> None:
    ahead = Delivered(AT + timedelta(days=365), 9, Severity.CRITICAL)
    assert _kinds(Route("ops"), _alert(), ahead, AT) == [Kind.STILL]
    assert may_try(AT + timedelta(days=365), AT)


def test_a_target_is_not_told_that_it_cannot_be_reached() -> None:
    alert = Alert(condition(UNREACHABLE + "ops", Severity.WARNING, ""), AT)
    assert not due(Route("ops"), [alert], {}, AT)
    assert due(Route("mail"), [alert], {}, AT)


@given(st.integers(1, 10_000), st.sampled_from(Severity), st.none() | st.floats(0, 1e7))
def test_a_cooldown_is_bounded(times: int, severity: Severity, own: float | None) -> None:
    route = Route("ops", cooldown=None if own is None else timedelta(seconds=own))
    pause = cooldown(route, severity, times)
    if severity is Severity.INFO:
        assert pause is None
    else:
        assert pause is not None
        assert pause <= max(LONGEST_COOLDOWN, route.cooldown or LONGEST_COOLDOWN)
        assert pause >= (cooldown(route, severity, max(1, times - 1)) or pause)


@given(st.integers(1, 10_000), st.none() | st.floats(0, allow_nan=False))
def test_a_target_is_tried_again_soon_and_for_ever(failures: int, retry_after: float | None) -> None:
    at = next_try(failures, retry_after, AT)
    assert timedelta(seconds=30) <= at - AT <= timedelta(hours=1)
    if failures == 1 and retry_after is None:
        assert at - AT < MINUTE  # the next minute's run
    assert may_try(at, at)
    assert not may_try(at, AT)
    if retry_after is not None and retry_after <= 3600:
        assert at - AT >= timedelta(seconds=retry_after) - timedelta(microseconds=1)
