"""What a command is given: the configuration when it asks for it, where to print, whom to tell about progress."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from drtool.cli.options import GlobalOptions
from drtool.cli.output import Output

if TYPE_CHECKING:
    from drtool.config.root import Config
    from drtool.operations.reporting import Reporter


class Context:
    """One run of one command."""

    def __init__(self, options: GlobalOptions, output: Output) -> None:
        self.options = options
        self.output = output
        #: Set when a signal asks the run to end: waits for a store that does not answer end then.
        self.stopping = threading.Event()
        self._config: Config | None = None
        self._closers: list[Callable[[], None]] = []

    def config(self) -> Config:
        """The configuration, read and checked at the first call. Raises ``ConfigError``."""
        if self._config is None:
            from drtool.config.loading import load_config

            self._config = load_config(self.options.config)
        return self._config

    def reporter(self) -> Reporter:
        """A new reporter on standard error, as this terminal and -q want it; it is closed when the command ends."""
        from drtool.cli.progress import make_reporter

        reporter = make_reporter(self.options.verbosity)
        self._closers.append(reporter.close)
        return reporter

    def close(self) -> None:
        """End what was begun for this run."""
        while self._closers:
            self._closers.pop()()


pass_context = click.make_pass_decorator(Context)
