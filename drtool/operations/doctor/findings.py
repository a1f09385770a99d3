"""What a check of doctor found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from drtool.errors import DrtoolError


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


def tried(check: str, run: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What `run` finds; an error of it is a finding, too."""
    try:
        yield from run()
    except DrtoolError as error:
        yield Finding(check, Verdict.FAILED, error.message, error.hint)
