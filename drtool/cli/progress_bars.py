"""Progress on a terminal: a bar for each task, with rate and time left, as soon as something takes long."""

from __future__ import annotations

import threading
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from drtool.cli.output import printable
from drtool.cli.progress import Remarks

DELAY = 2.0
"""Seconds that something takes before bars appear."""


class BarReporter(Remarks):
    """Bars below the remarks; they go away when nothing is going on. ``delay`` is in seconds."""

    def __init__(self, stream: TextIO, delay: float = DELAY) -> None:
        super().__init__(stream)
        self._delay = delay
        self._console = Console(file=stream, highlight=False)
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        self._timer: threading.Timer | None = None

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """Add a bar, to be shown if it lasts."""
        with self._lock:
            if self._bars is None:
                self._bars = self._make_bars()
                self._timer = threading.Timer(self._delay, self._show, [self._bars])
                self._timer.daemon = True
                self._timer.start()
            if task in self._tasks:
                self._bars.remove_task(self._tasks[task])
            self._tasks[task] = self._bars.add_task(escape(printable(task)), total=total_bytes)

    def advance(self, task: str, amount: int, records: int = 0) -> None:  # noqa: ARG002 - bars show bytes
        """Move its bar; one that goes past an estimate that was too low has no end any more."""
        with self._lock:
            if self._bars is None or task not in self._tasks:
                return
            bar = self._bars.tasks[self._bars.task_ids.index(self._tasks[task])]
            if bar.total is not None and bar.completed + amount > bar.total:
                self._bars.update(bar.id, total=bar.completed + amount)
            self._bars.advance(bar.id, amount)

    def finish(self, task: str) -> None:
        """Take its bar away."""
        with self._lock:
            identifier = self._tasks.pop(task, None)
            if self._bars is not None and identifier is not None:
                self._bars.remove_task(identifier)
            if not self._tasks:
                self._hide()

    def close(self) -> None:
        """Take all bars away."""
        with self._lock:
            self._tasks.clear()
            self._hide()

    def _say(self, line: str) -> None:
        # Through the console, so that the line goes above the bars.
        self._console.print(printable(line), markup=False, soft_wrap=True)

    def _make_bars(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )

    def _show(self, bars: Progress) -> None:
        with self._lock:
            if bars is self._bars:
                bars.start()

    def _hide(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._bars is not None:
            self._bars.stop()
        self._bars = self._timer = None
