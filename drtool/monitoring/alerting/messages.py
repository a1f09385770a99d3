"""What a target is told, independent of the target's format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from drtool.monitoring.conditions import Condition


class Kind(StrEnum):
    """Why a target hears of something. ``EVENT``: it happened once and does not last."""

    OPEN = "open"
    STILL = "still open"
    ACKNOWLEDGED = "acknowledged"
    RECOVERED = "recovered"
    EVENT = "event"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that a target is told. ``who`` acknowledged it; ``ended`` is when it was found gone."""

    kind: Kind
    condition: Condition
    opened: datetime
    ended: datetime | None = None
    who: str = ""

    @property
    def lasts(self) -> bool:
        """Is it still wrong?"""
        return self.kind is not Kind.RECOVERED


@dataclass(frozen=True, slots=True)
class Message:
    """What one target is told at one time: the worst first; ``more`` counts what is left out for lack of room."""

    notices: tuple[Notice, ...]
    host: str
    at: datetime
    more: int = 0

    def with_texts(self, change: Callable[[str], str]) -> Message:
        """The same with every text changed: a mask over secrets, say."""
        notices = tuple(replace(notice, condition=_changed(notice.condition, change)) for notice in self.notices)
        return replace(self, notices=notices)


def worst_first(notice: Notice) -> tuple[bool, int, datetime, str]:
    """The order of notices in a message: what lasts before what recovered, then by severity, then the oldest."""
    return (not notice.lasts, -notice.condition.severity, notice.opened, notice.condition.key)


def _changed(condition: Condition, change: Callable[[str], str]) -> Condition:
    facts = {name: change(value) for name, value in condition.facts.items()}
    return replace(condition, title=change(condition.title), text=change(condition.text), facts=facts)
