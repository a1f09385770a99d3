"""What the command line writes into the log: when a command began and ended, and all that it remarked."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from drtool.cli.output import printable
from drtool.config.masking import mask, without_passwords
from drtool.errors import ExitCode
from drtool.monitoring.logs.lines import Level
from drtool.monitoring.logs.log import Log, open_log
from drtool.operations.unattended.attending.turn import Turn
from drtool.repository.ids import new_id

if TYPE_CHECKING:
    from drtool.cli.failures import Failure
    from drtool.config.log import LogSettings
    from drtool.operations.reporting import Reporter


#: Called each minute: it leaves lines where it had something to say.
_FREQUENT = ("schedule run",)


class CommandLog:
    """The log of one command. ``run`` is the id that its lines carry, which is the run's where it is one."""

    def __init__(self, settings: LogSettings, command: str, arguments: Sequence[str]) -> None:
        self.run = Turn.of(os.environ).run or new_id()
        self._log: Log = open_log(settings, command, self.run, _complain)
        self._command = command
        self._arguments = [without_passwords(word) for word in arguments]
        self._begun = time.monotonic()
        self._has_lines = False
        if command not in _FREQUENT:
            self._begin()

    def add(self, level: Level, text: str, **fields: object) -> None:
        """A line."""
        if not self._has_lines:
            self._begin()
        self._log.add(level, text, **fields)

    def end(self, exit_code: ExitCode, failure: Failure | None = None) -> None:
        """The command ended."""
        seconds = round(time.monotonic() - self._begun, 3)
        if failure is not None:
            trace = {"traceback": failure.traceback} if failure.traceback else {}
            self.add(Level.ERROR, failure.message, kind=failure.kind, hint=failure.hint, **trace)
        if self._has_lines:
            text = f"{self._command} ended with exit code {int(exit_code)} after {seconds:g} s"
            self.add(Level.INFO, text, exit_code=int(exit_code), seconds=seconds)
        self._log.close()

    def _begin(self) -> None:
        self._has_lines = True
        self._log.add(Level.INFO, f"{self._command} begins", arguments=self._arguments)


class LoggedReporter:
    """A reporter whose remarks also go into the log, once there is one; nothing secret is in them."""

    def __init__(self, shown: Reporter, log: Callable[[], CommandLog | None]) -> None:
        self._shown = shown
        self._log = log

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """Shown."""
        self._shown.start(task, total_bytes)

    def advance(self, task: str, amount: int, records: int = 0) -> None:
        """Shown."""
        self._shown.advance(task, amount, records)

    def finish(self, task: str) -> None:
        """Shown."""
        self._shown.finish(task)

    def note(self, text: str) -> None:
        """Shown, and a line of the log."""
        self._shown.note(mask(text))
        self._add(Level.INFO, text)

    def warn(self, text: str) -> None:
        """Shown, and a line of the log."""
        self._shown.warn(mask(text))
        self._add(Level.WARNING, text)

    def _add(self, level: Level, text: str) -> None:
        log = self._log()
        if log is not None:
            log.add(level, text)


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads standard error
        sys.stderr.write(printable(f"warning: {text}") + "\n")
        sys.stderr.flush()
