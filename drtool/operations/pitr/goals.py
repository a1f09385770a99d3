"""What an operator asks for: a moment, or an operation to stop before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from drtool.repository.segments import At
from drtool.sources.restoring import Stop


@dataclass(frozen=True, slots=True)
class Goal:
    """Everything before the place ``at`` is to come back. ``text`` is what was asked for; ``is_operation`` where that
    is an operation, which the log must hold."""

    at: At
    text: str
    is_operation: bool = False

    @classmethod
    def at_moment(cls, when: datetime) -> Goal:
        """All that happened before the second in which `when` lies; its beginning is what is announced."""
        return cls((int(when.timestamp()), 0), when.replace(microsecond=0).isoformat())

    @property
    def stop(self) -> Stop:
        """As a target takes it."""
        return Stop(list(self.at), before=True)
