"""Progress and remarks on standard error: bars on a terminal, now and then a line elsewhere, little with -q."""

from __future__ import annotations

import sys
import threading
from typing import Protocol, TextIO

from drtool.cli.output import printable
from drtool.operations.reporting import Reporter


class ClosingReporter(Reporter, Protocol):
    """A reporter that may hold a terminal until it is closed."""

    def close(self) -> None:
        """Leave the terminal as it was. Safe to call twice."""


def make_reporter(verbosity: int, stream: TextIO | None = None) -> ClosingReporter:
    """The reporter that suits `stream` (standard error) and the balance of -v and -q."""
    stream = sys.stderr if stream is None else stream
    if verbosity < 0:
        return Remarks(stream, quiet=True)
    if stream.isatty():
        from drtool.cli.progress_bars import BarReporter

        return BarReporter(stream)
    from drtool.cli.progress_lines import LineReporter

    return LineReporter(stream)


class Remarks:
    """Notes and warnings as lines; no progress. With `quiet`, warnings only."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._lock = threading.Lock()

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """Nothing to show."""

    def advance(self, task: str, amount: int, records: int = 0) -> None:
        """Nothing to show."""

    def finish(self, task: str) -> None:
        """Nothing to show."""

    def note(self, text: str) -> None:
        """A line, unless quiet."""
        if not self._quiet:
            self._say(text)

    def warn(self, text: str) -> None:
        """A line that begins with ``warning:``."""
        self._say(f"warning: {text}")

    def close(self) -> None:
        """Nothing is held."""

    def _say(self, line: str) -> None:
        try:
            self._stream.write(printable(line) + "\n")
            self._stream.flush()
        except OSError:
            # A reporter must not raise: that nobody reads the log any more is no reason to end a backup.
            self._quiet = True
