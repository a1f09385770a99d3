"""What became of what was to be copied."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drtool.errors import DrtoolError
from drtool.operations.copy.moving import Shipped


class State(StrEnum):
    """How it stands with a snapshot at the destination."""

    COPIED = "copied"
    THERE = "there"
    MISSING = "missing"  # nothing was written, because only a look was asked for
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CopiedSnapshot:
    """One snapshot: what was sent of it, and what went wrong if something did."""

    snapshot: str
    job: str
    state: State
    shipped: Shipped
    seconds: float = 0.0
    problem: DrtoolError | None = None


@dataclass(frozen=True, slots=True)
class CopiedLog:
    """The archived log of one source: how many segments were sent, were there already, and could not be sent."""

    source: str
    sent: int
    there: int
    shipped: Shipped
    problems: tuple[DrtoolError, ...] = ()


@dataclass(slots=True)
class Summary:
    """The run as a whole. ``there`` snapshots were not looked at again; ``removed`` ones retention had taken away at
    the destination, so they stay away; ``problems`` concern the source as a whole."""

    there: int = 0
    removed: int = 0
    problems: tuple[DrtoolError, ...] = ()
