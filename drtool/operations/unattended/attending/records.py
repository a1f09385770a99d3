"""A run's record and lock, which never keep it from being done: a backup matters more than what is written of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from drtool.config.masking import MASKER, mask
from drtool.config.root import Config
from drtool.errors import LockedError, StateError
from drtool.local.clock import Clock, now
from drtool.local.locks import held
from drtool.operations.reporting import Reporter
from drtool.scheduling.ledger import Ledger, Outcome, RunRecord, RunState, unattended_directory

T = TypeVar("T")
_OWN = ("snapshot", "instant")


def ledger_of(config: Config, clock: Clock = now) -> Ledger:
    """This host's ledger of the configuration's repository."""
    settings = config.repository
    return Ledger(unattended_directory(settings.state_dir, settings.url), clock)


class Records:
    """The ledger, as far as it can be used; where it cannot, that is told once, and the run goes on without.

    ``ledger`` is None then. Nothing secret gets into it.
    """

    def __init__(self, config: Config, reporter: Reporter, clock: Clock) -> None:
        self._reporter = reporter
        self._clock = clock
        self._stack = ExitStack()
        self.ledger: Ledger | None = None
        self._tried(lambda: self._open(config))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def lock(self, run: RunRecord) -> LockedError | None:
        """Take the run's lock, which is held until the end of the block; the error where another process has it."""
        if self.ledger is None:
            return None
        path = self.ledger.lock_of_run(run)
        doing = f"{run.task} {run.job or run.entry}".rstrip() + " is being done"
        try:
            self._stack.enter_context(held(path, doing, "Wait for it; drtool schedule list shows what is running."))
        except LockedError as error:
            return error
        except OSError as error:
            self._reporter.warn(f"this run takes no lock: {path}: {error.strerror or error}")
        else:
            if not (run.job or run.entry):
                self._stack.callback(path.unlink, missing_ok=True)  # nobody else asks for this one
        return None

    def begin(self, run: RunRecord) -> RunRecord:
        """The run begins; the record of one that was begun before this process."""

        def begin(ledger: Ledger) -> RunRecord:
            ledger.begin(run.id, run.task, job=run.job, entry=run.entry, slot=run.slot)
            return ledger.run(run.id) or run

        return self._with(begin) or run

    def end(self, run: RunRecord, outcome: Outcome, figures: Mapping[str, Any]) -> bool:
        """It ended; False where it is on record that it had ended before."""
        clean = replace(outcome, message=mask(outcome.message), hint=mask(outcome.hint))
        ended = self._with(lambda ledger: ledger.end(run.id, clean, _clean(figures)))
        return ended is not False

    def annotate(self, run: RunRecord, figures: Mapping[str, Any]) -> None:
        """What else is to be known of it."""
        self._with(lambda ledger: ledger.annotate(run.id, _clean(figures)))

    def _open(self, config: Config) -> None:
        self.ledger = self._stack.enter_context(ledger_of(config, self._clock))

    def _with(self, use: Callable[[Ledger], T]) -> T | None:
        ledger = self.ledger
        return None if ledger is None else self._tried(lambda: use(ledger))

    def _tried(self, use: Callable[[], T]) -> T | None:
        try:
            return use()
        except StateError as error:
            self.ledger = None
            self._reporter.warn(
                f"this run leaves no record: {error.message}" + (f" ({error.hint})" if error.hint else "")
            )
            return None


def _clean(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Without secrets. What is read again is drtool's own, and stays whole: a password may well be ``2026``."""
    return {name: value if name in _OWN else MASKER.masked(value) for name, value in figures.items()}


def fresh(id_: str, task: str, job: str, entry: str, slot: datetime | None, started: datetime) -> RunRecord:
    """The record of a run that begins."""
    return RunRecord(id_, task, job, entry, slot, started, None, RunState.RUNNING)
