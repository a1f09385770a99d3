"""What the scheduler starts, and how: as child processes, or in a test as it likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from drtool.scheduling.ledger import RunRecord


@dataclass(frozen=True, slots=True)
class Call:
    """A command that is to be run: its arguments, which run it is, and how long (seconds) it may take."""

    run: RunRecord
    arguments: tuple[str, ...]
    longest: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """What is left of a command.

    ``exit_code`` is 128 and the signal's number for one that a signal ended, whose name is ``signal``. ``too_long``:
    it was stopped because its time was over. ``kind``, ``message`` and ``hint`` are of the error on its result line;
    ``snapshots`` are those that it took, by job; ``told`` is the end of what it wrote to standard error.
    """

    exit_code: int
    signal: str = ""
    too_long: bool = False
    kind: str = ""
    message: str = ""
    hint: str = ""
    snapshots: Mapping[str, str] = field(default_factory=dict)
    told: str = ""


class Child(Protocol):
    """A command on its way."""

    def ended(self) -> Ended | None:
        """What is left of it; None while it runs. To be asked now and then: time limits are kept here."""

    def stop(self) -> None:
        """Ask it to end in good order; it is killed where it does not, in the end."""


class Launcher(Protocol):
    """Starts commands."""

    def start(self, call: Call) -> Child:
        """Start one. ``OSError`` where that cannot be done."""

    def wait(self, seconds: float) -> None:
        """Until one of the commands ends, at most so long."""
