"""Progress where there is no terminal: at most one line every ten seconds, with rate and time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from drtool.cli.progress import Remarks
from drtool.cli.units import duration, size

INTERVAL = 10.0
"""Seconds between two lines, and before the first."""


@dataclass(slots=True)
class _Task:
    total: int | None
    since: float
    done: int = 0
    done_before: int = 0
    records: int = 0


class LineReporter(Remarks):
    """One line tells of all tasks that are going on. Rates are those since the line before."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._tasks: dict[str, _Task] = {}
        self._last = clock()

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """Begin to count."""
        with self._lock:
            if not self._tasks:
                self._last = self._clock()
            self._tasks[task] = _Task(total_bytes, self._clock())

    def advance(self, task: str, amount: int, records: int = 0) -> None:
        """Count, and print when it is time."""
        with self._lock:
            state = self._tasks.get(task)
            if state is None:
                return
            state.done += amount
            state.records += records
            now = self._clock()
            if now - self._last >= INTERVAL:
                self._last = now
                self._say("; ".join(_describe(name, each, now) for name, each in self._tasks.items()))

    def finish(self, task: str) -> None:
        """Count no more."""
        with self._lock:
            self._tasks.pop(task, None)


def _describe(name: str, task: _Task, now: float) -> str:
    """``Reading app: 1.2 GB of 4.0 GB, 3,400 records, 85.0 MB/s, 33 s left``; the next rate counts from here."""
    rate = (task.done - task.done_before) / max(now - task.since, 1e-9)
    task.since, task.done_before = now, task.done
    parts = [size(task.done)]
    if task.total is not None and task.total >= task.done:
        parts[0] += f" of {size(task.total)}"
    if task.records:
        parts.append(f"{task.records:,} records")
    parts.append(f"{size(rate)}/s")
    if task.total is not None and task.total >= task.done and rate > 0:
        parts.append(f"{duration((task.total - task.done) / rate)} left")
    return f"{name}: {', '.join(parts)}"
