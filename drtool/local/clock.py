"""The time of day, as something that is handed over: tests live through a week in a second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is, with a zone."""


def now() -> datetime:
    """The time of day by this host's clock, in UTC."""
    return datetime.now(UTC)
