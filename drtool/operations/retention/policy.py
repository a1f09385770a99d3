"""The policy as a pure function: which of some moments are kept, and why.

The rules mean what they mean to restic's ``forget`` (github.com/restic/restic, ``internal/restic/snapshot_policy.go``),
but that a period which comes up again, because UTC offsets differ, does not count again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drtool.config.rules import UNLIMITED, Rules
from drtool.config.spans import Span

_EVERYTHING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Taken:
    """When a snapshot was taken, with the UTC offset of where it was taken, and its tags."""

    time: datetime
    tags: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Rule:
    """Keeps the first that it sees of each period, ``left`` times (-1: always), as long as it is after ``since``.

    Only a period before all that it has seen costs one of the times. Others come up where offsets differ, and whoever
    takes two snapshots at once, with the offsets of two days, uses no more than those two days up.
    """

    reason: str
    period: Callable[[datetime], Any] | None
    left: int
    since: datetime = _EVERYTHING
    last: Any = None
    earliest: Any = None

    def look(self, taken: Taken, *, is_oldest: bool) -> str:
        """The reason to keep it; empty without one."""
        if not self.left or taken.time <= self.since:
            return ""
        period = taken if self.period is None else self.period(taken.time)
        is_new = self.period is None or period != self.last
        if not is_new and not is_oldest:
            return ""
        self.last = period
        if self.period is None or self.earliest is None or period < self.earliest:
            self.earliest = period
            self.left -= self.left > 0
        return self.reason if is_new else f"oldest {self.reason}"


def reasons(taken: Sequence[Taken], rules: Rules, now: datetime) -> list[tuple[str, ...]]:
    """For each of `taken`, in their order, why it is kept; nothing where it is not.

    Those of one moment count in the order given, the first as the newest. `now` decides what is in the future: the
    newest that is not is what every ``within`` is measured from.
    """
    order = sorted(range(len(taken)), key=lambda index: taken[index].time, reverse=True)
    newest = next((taken[index].time for index in order if taken[index].time < now), None)
    counting = _counting(rules, newest)
    since = None if rules.within is None else _since(rules.within, newest)
    found: list[tuple[str, ...]] = [()] * len(taken)
    for position, index in enumerate(order):
        one = taken[index]
        told = [f"has tags {', '.join(tags)}" for tags in rules.tags if one.tags.issuperset(tags)]
        if since is not None and one.time > since:
            told.append(f"within {rules.within}")
        is_oldest = position == len(order) - 1
        told += filter(None, (rule.look(one, is_oldest=is_oldest) for rule in counting))
        found[index] = tuple(told)
    return found


def _counting(rules: Rules, newest: datetime | None) -> list[_Rule]:
    counts = [_Rule("last snapshot", None, rules.last)]
    counts += [_Rule(f"{word} snapshot", period, getattr(rules, word)) for word, period in _PERIODS.items()]
    spans = [(word, period, getattr(rules, f"within_{word}")) for word, period in _PERIODS.items()]
    return [rule for rule in counts if rule.left] + [
        _Rule(f"{word} within {span}", period, UNLIMITED, _since(span, newest)) for word, period, span in spans if span
    ]


def _since(span: Span, newest: datetime | None) -> datetime:
    return _EVERYTHING if newest is None else span.before(newest)


def _week(moment: datetime) -> Any:
    return moment.isocalendar()[:2]


_PERIODS: dict[str, Callable[[datetime], Any]] = {
    "hourly": lambda moment: (moment.year, moment.month, moment.day, moment.hour),
    "daily": lambda moment: (moment.year, moment.month, moment.day),
    "weekly": _week,
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: moment.year,
}
