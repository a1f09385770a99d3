"""What a command is given: the configuration when it asks for it, where to print, whom to tell about progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from drtool.cli.options import GlobalOptions
from drtool.cli.output import Output
from drtool.errors import ConfigError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from drtool.cli.failures import Failure
    from drtool.cli.logged import CommandLog
    from drtool.config.root import Config
    from drtool.errors import ExitCode
    from drtool.operations.reporting import Reporter
    from drtool.operations.unattended.attending.attending import Attended
    from drtool.operations.unattended.attending.turn import Turn
    from drtool.operations.unattended.auditing.place import Place


class Context:
    """One run of one command."""

    def __init__(self, options: GlobalOptions, output: Output, arguments: Sequence[str] = ()) -> None:
        self.options = options
        self.output = output
        self.arguments = arguments
        #: Set when a signal asks the run to end: waits for a store that does not answer end then.
        self.stopping = threading.Event()
        #: What the audit log is told beside the result line: facts that JSON has a form for.
        self.facts: dict[str, Any] = {}
        #: The repository that the audit log is about, where it is not the configuration's.
        self.place: Place | None = None
        self.log: CommandLog | None = None
        self._run_id = ""
        self._turn: Turn | None = None
        self._config: Config | None = None
        self._closers: list[Callable[[], None]] = []

    def config(self) -> Config:
        """The configuration, read and checked at the first call. Raises ``ConfigError``."""
        if self._config is None:
            from drtool.config.loading import load_config

            try:
                self._config = load_config(self.options.config)
            except ConfigError as error:
                from drtool.operations.unattended.configuration.telling import dated

                raise dated(error, self.options.config) from None
            self._begin_log(self._config)
        return self._config

    def config_for_alerts(self) -> Config:
        """The same, or else the last one that ``schedule run`` could use: alerts are there while the file is broken,
        too. There may be no job in it."""
        from drtool.operations.unattended.auditing.place import Place
        from drtool.operations.unattended.configuration.keeping import last_good

        try:
            return self.config()
        except ConfigError:
            kept = last_good(self.options.config)
            if kept is None or kept.is_anothers:
                raise
            self.reporter().warn("the configuration cannot be used: this goes by the last one that could be")
            config = kept.read().config
            self.place = Place.of(config)
            return config

    def reporter(self) -> Reporter:
        """A new reporter on standard error, as this terminal and -q want it; it is closed when the command ends."""
        from drtool.cli.logged import LoggedReporter
        from drtool.cli.progress import make_reporter

        reporter = make_reporter(self.options.verbosity)
        self._closers.append(reporter.close)
        return LoggedReporter(reporter, lambda: self.log)

    def attended(self, task: str, *, job: str = "") -> AbstractContextManager[Attended]:
        """Inside, a repeated task runs (``operations.unattended.attending``)."""
        from drtool.operations.unattended.attending.attending import attended
        from drtool.operations.unattended.attending.turn import Turn

        config, reporter = self.config(), self.reporter()
        # The command's own id and its turn are the first run's: a second one within it is another run.
        run_id, self._run_id = self._run_id, ""
        turn, self._turn = self._turn, Turn()
        return attended(config, task, reporter, job=job, run_id=run_id, turn=turn)

    def end_log(self, exit_code: ExitCode, failure: Failure | None = None) -> None:
        """The last lines of the log: how the command ended."""
        if self.log is not None:
            self.log.end(exit_code, failure)
            self.log = None

    def _begin_log(self, config: Config) -> None:
        from drtool.cli.logged import CommandLog

        self.log = CommandLog(config.log, self.options.command, self.arguments)
        self._run_id = self.log.run

    def close(self) -> None:
        """End what was begun for this run."""
        while self._closers:
            self._closers.pop()()


pass_context = click.make_pass_decorator(Context)
