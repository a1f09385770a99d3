"""What a check of doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; ``hint`` says what to do about it, or what is lost."""

    check: str
    verdict: Verdict
    message: str
    hint: str = ""
