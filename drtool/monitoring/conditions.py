"""What is wrong just now, as a state: alerts open when a condition appears and recover when it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum


class Severity(IntEnum):
    """How bad it is; a higher one is worse."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def label(self) -> str:
        """The word in messages and configuration."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that somebody should hear of for as long as it lasts.

    ``key`` is stable while it lasts and names what it is about (``failed/backup/nightly``); ``title`` is one sentence,
    ``text`` what to do. ``facts`` go with it in full (names and figures only: no secrets, no records).
    """

    key: str
    severity: Severity
    title: str
    text: str
    since: datetime
    job: str = ""
    run: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
