"""Archiving without end: a pass at every interval, through elections, restarts and outages, until told to stop."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from drtool.errors import AuthenticationError, SourceError, TransientStorageError
from drtool.operations.admitting import require_writer
from drtool.operations.budget import Budget
from drtool.operations.pitr.capturing import Capture, Captured
from drtool.operations.pitr.writing import Writing
from drtool.operations.reporting import Reporter
from drtool.repository.repository import Repository
from drtool.sources.log import LiveLog, Log

#: A run ends and another one begins after so many seconds, because garbage collection waits for those that are there.
RUN_SECONDS = 600.0
#: A segment of no-ops only is written when it spans so many seconds.
IDLE_SECONDS = 300.0
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two passes, and how long the first wait after a failure is."""

    every: float
    first_wait: float = _FIRST_WAIT


class Following:
    """Follows the log of one source. `told` hears of every pass that wrote something."""

    def __init__(
        self,
        repository: Repository,
        source: str,
        log: Log,
        budget: Budget,
        reporter: Reporter,
        told: Callable[[Captured], None],
    ) -> None:
        self._repository = repository
        self._source = source
        self._log = log
        self._budget = budget
        self._reporter = reporter
        self._told = told
        self._capture = Capture(repository, source, log, reporter)

    def run(self, pace: Pace, stopping: threading.Event) -> None:
        """Archive until `stopping` is set; what is there then is archived before it returns.

        Goes on after whatever may pass by itself. Raises what will not: wrong credentials, a damaged repository.
        """
        wait = pace.first_wait
        failed = False
        while True:
            try:
                for captured in self._passes(pace, stopping):
                    if failed:
                        self._reporter.note(f"{self._source}: archiving goes on")
                        failed, wait = False, pace.first_wait
                    if captured.segments:
                        self._told(captured)
            except (SourceError, TransientStorageError) as error:
                if isinstance(error, AuthenticationError) or stopping.is_set():
                    raise
                failed = True
                self._reporter.warn(f"{self._source}: {error.message}; trying again in {wait:.0f} s")
                stopping.wait(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
                continue
            if stopping.is_set():
                return

    def _passes(self, pace: Pace, stopping: threading.Event) -> Iterator[Captured]:
        """The passes of one run and one connection."""
        with contextlib.ExitStack() as stack:
            # Keys may have been rotated since, recipients removed, or this very agent revoked.
            self._repository.reload()
            require_writer(self._repository, "an archived log")
            found: LiveLog = stack.enter_context(contextlib.closing(self._log.open()))
            writing = stack.enter_context(Writing(self._repository, self._source, self._budget, self._reporter))
            until = time.monotonic() + RUN_SECONDS
            while True:
                is_last = stopping.is_set()
                yield self._capture.take(found, writing, idle_seconds=0.0 if is_last else IDLE_SECONDS)
                if is_last or time.monotonic() >= until:
                    return
                stopping.wait(pace.every)
