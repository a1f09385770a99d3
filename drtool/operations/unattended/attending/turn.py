"""How ``schedule run`` tells a command that it starts which run it is: through the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

RUN, ENTRY, SLOT, HOOK = "DRTOOL_RUN_ID", "DRTOOL_SCHEDULE", "DRTOOL_SLOT", "DRTOOL_HOOK"


@dataclass(frozen=True, slots=True)
class Turn:
    """A schedule's turn; all empty for what a person started. ``slot`` is the time that it was due."""

    run: str = ""
    entry: str = ""
    slot: datetime | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Turn:
        """What the environment says. A command that a hook calls is a run of its own, and not the one around it."""
        if environment.get(HOOK):
            return cls()
        slot = environment.get(SLOT)
        return cls(
            environment.get(RUN, ""),
            environment.get(ENTRY, ""),
            datetime.fromisoformat(slot).astimezone(UTC) if slot else None,
        )
