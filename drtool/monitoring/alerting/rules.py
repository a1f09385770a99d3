"""Whom to tell of what, and when again: pure functions of what is open and what was told.

A target hears of an alert once it is bad enough and open for long enough; again after the cooldown, which doubles with
each time up to four hours, so that a weekend of a critical alert is some twenty messages; at once when it gets worse;
of an acknowledgement and of the end once, if it was told of the alert. What is acknowledged is not repeated, and nobody
further is turned to. What comes and goes is told no more often than what stays; what is back after half an hour
without it is told at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drtool.config.notify import TargetSettings
from drtool.monitoring.alerting.messages import Kind, Notice, worst_first
from drtool.monitoring.alerting.store import SETTLED, Alert, Delivered
from drtool.monitoring.conditions import Condition, Severity

#: After what time something is told again; what is not here, never.
COOLDOWNS = {Severity.CRITICAL: timedelta(minutes=5), Severity.WARNING: timedelta(minutes=15)}
LONGEST_COOLDOWN = timedelta(hours=4)
#: The alert that a target cannot be reached, which that target is not told.
UNREACHABLE = "notifications/"
_FIRST_RETRY, _LAST_RETRY = timedelta(seconds=30), timedelta(minutes=15)
#: Whoever asks for more patience is asked again all the same.
_MOST_PATIENCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Route:
    """What a target is to hear of; ``cooldown`` is None for the severity's own."""

    target: str
    severity: Severity = Severity.WARNING
    cooldown: timedelta | None = None
    after: timedelta = timedelta(0)
    jobs: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: TargetSettings) -> Route:
        """As configured."""
        cooldown = None if settings.cooldown is None else timedelta(seconds=settings.cooldown)
        severity = Severity[settings.severity.upper()]
        return cls(settings.label, severity, cooldown, timedelta(seconds=settings.after), settings.jobs)

    def takes(self, condition: Condition) -> bool:
        """Is it for this target at all?"""
        if condition.key == UNREACHABLE + self.target or condition.severity < self.severity:
            return False
        return not self.jobs or not condition.job or condition.job in self.jobs


def due(route: Route, alerts: Sequence[Alert], delivered: Mapping[str, Delivered], now: datetime) -> list[Notice]:
    """What a target is to be told at this moment, the worst first."""
    return sorted(_due(route, alerts, delivered, now), key=worst_first)


def _due(route: Route, alerts: Sequence[Alert], delivered: Mapping[str, Delivered], now: datetime) -> Iterator[Notice]:
    for alert in alerts:
        kind = _kind(route, alert, delivered.get(alert.condition.key), now)
        if kind is not None:
            yield Notice(kind, alert.condition, alert.opened, alert.ended, alert.who)


def _kind(route: Route, alert: Alert, told: Delivered | None, now: datetime) -> Kind | None:
    if told is None or told.recovered:
        return Kind.OPEN if _begins(route, alert, told, now) else None
    if alert.ended is not None:
        return Kind.RECOVERED
    if alert.who:
        return None if told.acknowledged else Kind.ACKNOWLEDGED
    if not route.takes(alert.condition):
        return None
    if alert.condition.severity > told.severity:
        return Kind.OPEN
    return Kind.STILL if _is_over(route, alert, told, now) else None


def _begins(route: Route, alert: Alert, told: Delivered | None, now: datetime) -> bool:
    """Is it to be told of as something that this target does not know of?"""
    if alert.ended is not None or alert.who or not route.takes(alert.condition):
        return False
    if told is not None:
        is_worse = alert.condition.severity > told.severity
        return is_worse or alert.opened - told.at >= SETTLED or _is_over(route, alert, told, now)
    return now - alert.opened >= route.after


def cooldown(route: Route, severity: Severity, times: int) -> timedelta | None:
    """How long nothing is said after an alert was told so many times; None for ever."""
    first = COOLDOWNS.get(severity) if route.cooldown is None else route.cooldown
    if first is None or severity not in COOLDOWNS:
        return None
    # Some bound on the exponent, for timedelta has one.
    return min(first * (1 << min(times - 1, 20)), max(first, LONGEST_COOLDOWN))


def _is_over(route: Route, alert: Alert, told: Delivered, now: datetime) -> bool:
    """Is the cooldown? A moment that lies ahead is a clock's that was set back: it must not silence an alert."""
    pause = cooldown(route, alert.condition.severity, told.times)
    return pause is not None and (now - told.at >= pause or told.at > now)


def next_try(failures: int, retry_after: float | None, now: datetime) -> datetime:
    """When to try a target again that has failed so many times in a row: the next minute's run first, then later and
    later; not before it asked to, within an hour."""
    pause = min(_FIRST_RETRY * (1 << min(failures - 1, 20)), _LAST_RETRY)
    if retry_after is not None:
        pause = max(pause, min(timedelta(seconds=min(retry_after, 1e6)), _MOST_PATIENCE))
    return now + pause


def may_try(next_: datetime | None, now: datetime) -> bool:
    """Has that time come? One that lies further ahead than it can is a clock's that was set back."""
    return next_ is None or now >= next_ or next_ - now > _MOST_PATIENCE
