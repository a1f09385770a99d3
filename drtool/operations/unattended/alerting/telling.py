"""Telling people what is wrong: conditions become alerts, and alerts messages, once and not again and again."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.config.root import Config
from drtool.errors import LockedError, StateError
from drtool.local.clock import Clock, now
from drtool.local.locks import held
from drtool.monitoring.alerting.delivering import Attempt, deliver
from drtool.monitoring.alerting.messages import Kind, Notice
from drtool.monitoring.alerting.rules import LONGEST_COOLDOWN, UNREACHABLE, Route, due, may_try, next_try
from drtool.monitoring.alerting.store import AlertStore
from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.reporting import Reporter
from drtool.operations.unattended.alerting.conditions import Assessment, assess
from drtool.operations.unattended.alerting.without_state import mark_of, take_over, tell_without_state, unusable
from drtool.operations.unattended.attending.records import ledger_of
from drtool.operations.unattended.standing.surveying import kept_survey
from drtool.scheduling.ledger import unattended_directory

if TYPE_CHECKING:
    from drtool.monitoring.targets.base import Target

#: A target that has failed so often, for so long, is itself something that the others are told of.
_FAILURES, _FAILING = 3, timedelta(minutes=10)


@dataclass(slots=True)
class Told:
    """What came of it: how many notices each target took, and why others did not take theirs. ``left`` is true where
    another process was at it, and sees to this, too."""

    delivered: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left: bool = False


def tell(config: Config, reporter: Reporter, clock: Clock = now, also: Sequence[Condition] = ()) -> Told:
    """Bring alerts up to date, and tell each target what is due. `also` happened, and is in no ledger.

    A target that does not take its message is a warning, and told again by the next call. Where the local state cannot
    be used, what is critical is told all the same.
    """
    directory = unattended_directory(config.repository.state_dir, config.repository.url)
    again = directory / "tell.again"
    while True:
        with ExitStack() as stack:
            try:
                _prepare(directory)
                again.touch()
                stack.enter_context(held(directory / "locks" / "tell.lock", "alerts are being told", "Wait for it."))
                again.unlink(missing_ok=True)
            except LockedError:
                # Whoever is at it looks for the mark once it is done, and finds what there is to tell by then.
                return Told(left=True)
            except OSError as error:
                problem = StateError(f"the local state {error.filename or directory} cannot be used: {error.strerror}")
                return _without_state(config, directory, problem, reporter, clock, also)
            told = _tell(config, directory, reporter, clock, also)
        if not again.exists():
            return told


def announce(config: Config, event: Condition, reporter: Reporter, clock: Clock = now) -> Told:
    """Something happened that is told once, and does not last: the end of a playbook, say. Its ``key`` is its own."""
    directory = unattended_directory(config.repository.state_dir, config.repository.url)
    takers = _takers(map(Route.of, config.notify), event)
    try:
        with AlertStore(directory) as store:
            store.announce(event, takers, clock())
    except StateError:
        return tell(config, reporter, clock, also=[event])
    return tell(config, reporter, clock)


def _takers(routes: Iterable[Route], event: Condition) -> list[str]:
    return [route.target for route in routes if route.takes(event)]


def targets_of(config: Config) -> dict[str, Target]:
    """The configured targets by name."""
    # Only where there is something to tell: what speaks HTTP and SMTP takes long to import.
    from drtool.monitoring.targets.making import make_target

    return {settings.label: make_target(settings) for settings in config.notify}


def _prepare(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark = mark_of(directory)
    if not mark.exists():
        mark.touch()
        os.utime(mark, (0, 0))


def _tell(config: Config, directory: Path, reporter: Reporter, clock: Clock, also: Sequence[Condition]) -> Told:
    at = clock()
    try:
        with ledger_of(config, clock) as ledger:
            found = assess(config, ledger, kept_survey(config, ledger), clock)
        with AlertStore(directory) as store:
            _take_over(store, config, directory, at)
            return _tell_with(store, config, found, at, reporter, also)
    except StateError as error:
        return _without_state(config, directory, error, reporter, clock, also)


def _tell_with(
    store: AlertStore,
    config: Config,
    found: Assessment,
    at: datetime,
    reporter: Reporter,
    also: Sequence[Condition],
) -> Told:
    routes = {settings.label: Route.of(settings) for settings in config.notify}
    before = {alert.condition.key for alert in store.alerts() if alert.ended is None}
    conditions = [*found.conditions, *_unreachable(store, routes, at)]
    # Before anything is sent: what cannot be written down would be sent again and again.
    store.observe(conditions, found.is_unknown, at)
    store.forget(routes, at, LONGEST_COOLDOWN)
    for one in also:
        # It would seem to be over the next time, when nobody hands it over any more.
        event = replace(one, key=f"event/{one.key}/{one.run or at.isoformat()}")
        store.announce(event, _takers(routes.values(), one), at)
    for condition in conditions:
        if condition.severity is Severity.INFO and condition.key not in before:
            reporter.note(condition.title)
    alerts = store.alerts()
    waiting = {
        name: [*due(route, alerts, store.delivered(name), at), *store.events(name)]
        for name, route in routes.items()
        if may_try(store.target(name).next, at)
    }
    told = Told()
    if not any(waiting.values()):
        return told
    for attempt in deliver(targets_of(config), waiting, socket.gethostname(), at):
        _note(told, attempt, reporter)
        if attempt.taken:
            store.told(attempt.target, attempt.taken, at)
        if attempt.error is not None:
            failures = store.target(attempt.target).failures + 1
            store.failed(attempt.target, attempt.error.message, at, next_try(failures, attempt.retry_after, at))
    return told


def _take_over(store: AlertStore, config: Config, directory: Path, at: datetime) -> None:
    """Who was told that nothing could be kept is to be told that this is over."""
    since = take_over(directory)
    if since is None:
        return
    condition = unusable(StateError("it could not be used"), since)
    store.observe([condition], lambda _key: True, at)
    for name in _takers(map(Route.of, config.notify), condition):
        store.told(name, [Notice(Kind.OPEN, condition, since)], since)


def _unreachable(store: AlertStore, routes: Mapping[str, Route], at: datetime) -> Iterator[Condition]:
    for name in routes:
        state = store.target(name)
        since = state.failing_since
        if since is not None and state.failures >= _FAILURES and at - since >= _FAILING:
            yield Condition(
                UNREACHABLE + name,
                Severity.WARNING,
                f"Nothing can be delivered to the notification target {name}: {state.error}",
                f"Nobody hears of problems there. Try it with: drtool notify test {name}",
                since,
            )


def _without_state(
    config: Config,
    directory: Path,
    problem: StateError,
    reporter: Reporter,
    clock: Clock,
    also: Sequence[Condition],
) -> Told:
    told = Told()
    for attempt in tell_without_state(config, targets_of(config), directory, problem, clock(), also):
        _note(told, attempt, reporter)
    reporter.warn(f"alerts cannot be kept: {problem.message}" + (f" ({problem.hint})" if problem.hint else ""))
    return told


def _note(told: Told, attempt: Attempt, reporter: Reporter) -> None:
    if attempt.taken:
        told.delivered[attempt.target] = len(attempt.taken)
    if attempt.remark:
        reporter.warn(f"notification target {attempt.target}: {attempt.remark}")
    if attempt.error is not None:
        told.failed[attempt.target] = attempt.error.message
        reporter.warn(f"notification target {attempt.target}: {attempt.error.message}")
