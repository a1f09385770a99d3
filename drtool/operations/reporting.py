"""How an operation tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Takes progress and remarks; implementations must not raise and may be called from several threads."""

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """A task of this name begins (``Reading app``); `total_bytes` is an estimate, None if unknown."""

    def advance(self, task: str, amount: int, records: int = 0) -> None:
        """`amount` more bytes (and `records` more records) of the task are done."""

    def finish(self, task: str) -> None:
        """The task is over, well or not."""

    def note(self, text: str) -> None:
        """A sentence that is good to know."""

    def warn(self, text: str) -> None:
        """A sentence that somebody should act on."""


class Silent:
    """A reporter that says nothing; it keeps the warnings for those who ask."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """Nothing to show."""

    def advance(self, task: str, amount: int, records: int = 0) -> None:
        """Nothing to show."""

    def finish(self, task: str) -> None:
        """Nothing to show."""

    def note(self, text: str) -> None:
        """Nothing to show."""

    def warn(self, text: str) -> None:
        """Keep it."""
        self.warnings.append(text)
