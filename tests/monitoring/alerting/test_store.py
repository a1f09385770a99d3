"""What is kept of alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from drtool.monitoring.alerting.messages import Kind, Notice
from drtool.monitoring.alerting.store import AlertStore, open_alerts
from drtool.monitoring.conditions import Severity
from tests.monitoring.notices import AT, condition

MINUTE = timedelta(minutes=1)
HOURS = timedelta(hours=4)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    with AlertStore(tmp_path) as opened:
        yield opened


def _nothing(_key: str) -> bool:
    return False


def test_nothing_is_made_by_asking(tmp_path: Path) -> None:
    assert open_alerts(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_an_alert_opens_goes_on_and_ends(store: AlertStore, tmp_path: Path) -> None:
    one = condition()
    store.observe([one], _nothing, AT)
    (alert,) = store.alerts()
    assert (alert.condition, alert.opened, alert.ended) == (one, AT, None)
    assert open_alerts(tmp_path) == [alert]
    store.observe([one], _nothing, AT + MINUTE)
    assert store.alerts() == [alert]
    store.observe([], _nothing, AT + 2 * MINUTE)
    assert store.alerts()[0].ended == AT + 2 * MINUTE
    assert open_alerts(tmp_path) == []


def test_of_what_nobody_can_tell_nothing_ends(store: AlertStore) -> None:
    store.observe([condition("suspect/nightly"), condition("disk/state")], _nothing, AT)
    store.observe([], lambda key: key.startswith("suspect/"), AT + MINUTE)
    assert {alert.condition.key: alert.ended for alert in store.alerts()} == {
        "suspect/nightly": None,
        "disk/state": AT + MINUTE,
    }


def test_an_acknowledgement_lasts_until_it_gets_worse_or_comes_back(store: AlertStore) -> None:
    warning, critical = condition(severity=Severity.WARNING), condition()
    store.observe([warning], _nothing, AT)
    assert store.acknowledge(warning.key, "alice")
    assert not store.acknowledge("other", "alice")
    store.observe([warning], _nothing, AT)
    assert store.alerts()[0].who == "alice"
    store.observe([critical], _nothing, AT)
    assert store.alerts()[0].who == ""
    store.acknowledge(critical.key, "bob")
    store.observe([], _nothing, AT)
    store.observe([critical], _nothing, AT)
    assert store.alerts()[0].who == ""


def test_what_a_target_was_told(store: AlertStore) -> None:
    one = condition(severity=Severity.WARNING)
    for kind, at, expected in (
        (Kind.OPEN, AT, (1, False, False)),
        (Kind.STILL, AT + MINUTE, (2, False, False)),
        (Kind.ACKNOWLEDGED, AT + 2 * MINUTE, (2, True, False)),
        (Kind.RECOVERED, AT + 3 * MINUTE, (2, True, True)),
        (Kind.OPEN, AT + 4 * MINUTE, (3, False, False)),
    ):
        store.told("ops", [Notice(kind, one, AT)], at)
        found = store.delivered("ops")[one.key]
        assert (found.times, found.acknowledged, found.recovered) == expected
    store.told("ops", [Notice(Kind.OPEN, condition(), AT)], AT)
    assert store.delivered("ops")[one.key].times == 1
    assert store.delivered("mail") == {}


def test_how_deliveries_go(store: AlertStore) -> None:
    assert store.target("ops").failures == 0
    store.told("ops", [], AT)
    store.failed("ops", "answered 500", AT + MINUTE, AT + 2 * MINUTE)
    store.failed("ops", "answered 503", AT + 3 * MINUTE, AT + 9 * MINUTE)
    state = store.target("ops")
    assert (state.succeeded, state.failing_since, state.failures) == (AT, AT + MINUTE, 2)
    assert (state.error, state.next) == ("answered 503", AT + 9 * MINUTE)
    store.told("ops", [], AT + 10 * MINUTE)
    assert (store.target("ops").failures, store.target("ops").next) == (0, None)


def test_an_event_waits_until_it_was_told(store: AlertStore) -> None:
    event = condition("event/playbook/1")
    store.announce(event, ["ops", "mail"], AT)
    store.announce(event, ["ops", "mail"], AT)
    (waiting,) = store.events("ops")
    assert (waiting.kind, waiting.condition) == (Kind.EVENT, event)
    store.told("ops", [waiting], AT)
    assert store.events("ops") == []
    assert len(store.events("mail")) == 1
    store.forget(["ops", "mail"], AT + timedelta(days=2), HOURS)
    assert store.events("mail") == []


def test_what_is_over_is_forgotten_once_everybody_knows(store: AlertStore) -> None:
    one = condition()
    store.observe([one], _nothing, AT)
    for target in ("ops", "mail", "gone"):
        store.told(target, [Notice(Kind.OPEN, one, AT)], AT)
    store.observe([], _nothing, AT + MINUTE)
    store.told("ops", [Notice(Kind.RECOVERED, one, AT)], AT + MINUTE)
    store.forget(["ops", "mail"], AT + MINUTE, HOURS)
    assert len(store.alerts()) == 1  # mail does not know
    store.told("mail", [Notice(Kind.RECOVERED, one, AT)], AT + MINUTE)
    store.forget(["ops", "mail"], AT + MINUTE, HOURS)
    assert store.alerts() == []
    assert store.delivered("gone") == {}
    assert store.delivered("ops")[one.key].recovered
    store.forget(["ops", "mail"], AT + MINUTE + HOURS, HOURS)
    assert store.delivered("ops") == {}


def test_a_target_that_never_answers_keeps_nothing_for_ever(store: AlertStore) -> None:
    store.observe([condition()], _nothing, AT)
    store.told("ops", [Notice(Kind.OPEN, condition(), AT)], AT)
    store.observe([], _nothing, AT + MINUTE)
    store.forget(["ops"], AT + timedelta(days=2), HOURS)
    assert store.alerts() == []
    assert store.delivered("ops") == {}
