"""The log of this process: lines with the run's id, masked, to whatever the configuration names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from drtool.config.log import LogSettings
from drtool.config.masking import MASKER, mask
from drtool.local.clock import Clock, now
from drtool.monitoring.logs.journald import Journal
from drtool.monitoring.logs.lines import Level, Line, as_json, as_text
from drtool.monitoring.logs.rotated import RotatedFile

_FORMATS: dict[str, Callable[[Line], str]] = {"json": as_json, "text": as_text}


class Sink(Protocol):
    """Takes lines; ``OSError`` where it cannot."""

    def add(self, line: Line) -> None:
        """Take a line."""

    def close(self) -> None:
        """Take no more."""


class LogFile:
    """Lines in a file."""

    def __init__(self, settings: LogSettings) -> None:
        assert settings.file is not None
        self._file = RotatedFile(settings.file, settings.max_size, settings.keep)
        self._format = _FORMATS[settings.format]

    def add(self, line: Line) -> None:
        """Add a line."""
        self._file.add(self._format(line))

    def close(self) -> None:
        """Add no more."""
        self._file.close()


class Log:
    """Where lines go. A sink that fails is told of once, through `complain`, and tried again with the next line: a full
    disk must not end a backup."""

    def __init__(
        self,
        sinks: Sequence[tuple[str, Sink]] = (),
        *,
        level: Level = Level.INFO,
        command: str = "",
        run: str = "",
        complain: Callable[[str], None] = lambda _text: None,
        clock: Clock = now,
    ) -> None:
        self._sinks = list(sinks)
        self._level = level
        self._command = command
        self._run = run
        self._complain = complain
        self._clock = clock
        self._failing: set[str] = set()

    def add(self, level: Level, message: str, **fields: Any) -> None:
        """Write a line; `fields` are of JSON's kinds."""
        if level < self._level or not self._sinks:
            return
        run = current_run() or self._run
        line = Line(self._clock(), level, mask(message), self._command, run, MASKER.masked(fields))
        for name, sink in self._sinks:
            try:
                sink.add(line)
            except OSError as error:
                if name not in self._failing:
                    self._failing.add(name)
                    self._complain(f"cannot write the log to {name}: {error.strerror or error}")
            else:
                self._failing.discard(name)

    def close(self) -> None:
        """Write no more."""
        for _, sink in self._sinks:
            sink.close()
        self._sinks = []


def open_log(settings: LogSettings, command: str, run: str, complain: Callable[[str], None]) -> Log:
    """The log that the configuration asks for; nothing is opened before the first line. `run` is the id in lines that
    are written outside of a run, too."""
    sinks: list[tuple[str, Sink]] = []
    if settings.file is not None:
        sinks.append((str(settings.file), LogFile(settings)))
    if settings.journald:
        sinks.append(("the journal", Journal()))
    return Log(sinks, level=Level.of(settings.level), command=command, run=run, complain=complain)


_RUNS: list[str] = []


@contextlib.contextmanager
def of_run(id_: str) -> Iterator[None]:
    """Inside, lines belong to this run, whichever thread writes them: a process does one run at a time, and others
    only within it."""
    _RUNS.append(id_)
    try:
        yield
    finally:
        _RUNS.remove(id_)


def current_run() -> str:
    """The id of the innermost run; empty outside of any."""
    return _RUNS[-1] if _RUNS else ""
