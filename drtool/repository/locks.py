"""Object Lock: what is locked, until when, and what this host knows of it (docs/format.md, "Object Lock")."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from drtool.errors import DamagedObjectError
from drtool.storage.base import Lock

#: What comes and goes while runs work, and is never locked.
MOMENTARY = ("runs/", "leases/", "tombstones/")
MODES = ("COMPLIANCE", "GOVERNANCE")


@dataclass(frozen=True, slots=True)
class LockRule:
    """How everything but `MOMENTARY` objects is locked: from its upload, and again when less than half remains."""

    mode: str
    days: int

    @classmethod
    def of(cls, fields: Mapping[str, Any] | None) -> LockRule | None:
        """The rule in repository.json (its field ``object_lock``); ``DamagedObjectError`` where it is none."""
        if fields is None:
            return None
        mode, days = fields.get("mode"), fields.get("days")
        if mode not in MODES or type(days) is not int or days < 1:
            raise DamagedObjectError(f"repository.json has an object_lock that is none: {dict(fields)}")
        return cls(mode, days)

    def to_json(self) -> dict[str, Any]:
        """As repository.json has it."""
        return {"mode": self.mode, "days": self.days}

    def __str__(self) -> str:
        return f"{self.days} {'day' if self.days == 1 else 'days'}, {self.mode}"

    def lock(self, now: datetime) -> Lock:
        """What is put or extended `now`. S3 counts in whole seconds."""
        return Lock(self.mode, (now + timedelta(days=self.days)).replace(microsecond=0))

    def lasts(self, until: datetime | None, now: datetime) -> bool:
        """Does at least half remain of a lock?"""
        return until is not None and until - now >= timedelta(days=self.days) / 2


def is_lockable(name: str) -> bool:
    """Is an object of this name ever locked?"""
    return not name.startswith(MOMENTARY)


class StoreClock:
    """The store's own clock, asked once: locks end by it, not by this host's."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._ask = now
        self._at: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The time there (UTC)."""
        if self._at is None:
            asked = time.monotonic()
            self._at = (self._ask(), asked)
        told, asked = self._at
        return told + timedelta(seconds=time.monotonic() - asked)
