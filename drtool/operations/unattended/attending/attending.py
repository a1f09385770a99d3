"""A run of a repeated task and what goes with it, whether a schedule or a person started it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from drtool.config.root import Config
from drtool.config.secrets import learn
from drtool.errors import (
    DrtoolError,
    ExitCode,
    InterruptedRunError,
    LockedError,
    PartialError,
    SkippedError,
    TimeLimitError,
)
from drtool.local.clock import Clock, now
from drtool.monitoring.logs.log import of_run
from drtool.operations.reporting import Reporter
from drtool.operations.unattended.attending.around import Around
from drtool.operations.unattended.attending.limits import in_time
from drtool.operations.unattended.attending.records import Records, fresh, ledger_of
from drtool.operations.unattended.attending.spreading import spread
from drtool.operations.unattended.attending.turn import Turn
from drtool.repository.ids import new_id
from drtool.scheduling.ledger import Outcome, RunRecord, RunState


@dataclass(slots=True)
class Attended:
    """A run on its way; what is put into ``figures`` (of JSON's kinds) is kept with it."""

    id: str
    figures: dict[str, Any] = field(default_factory=dict)


@contextmanager
def attended(
    config: Config,
    task: str,
    reporter: Reporter,
    *,
    job: str = "",
    run_id: str = "",
    turn: Turn | None = None,
    clock: Clock = now,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Attended]:
    """Inside, a task runs: recorded, with the operator's hooks and pings, and alone on this host for its schedule or
    job; afterwards alerts and metrics are brought up to date. Whose turn it is stands in the `environment`, unless
    `turn` says it; `run_id` is the id of a run that no schedule started.

    ``LockedError`` while another process does the same, and ``SkippedError`` where a hook wants that: both are on
    record as skipped. ``HookError`` where a hook keeps it from starting, ``PartialError`` where one fails afterwards.
    """
    learn(config)
    turn = Turn.of(environment) if turn is None else turn
    entry = turn.entry or (job if task == "backup" else "")
    run = Attended(turn.run or run_id or new_id())
    record = fresh(run.id, task, job, entry, turn.slot, clock())
    with Records(config, reporter, clock) as records, of_run(run.id):
        locked = records.lock(record)
        record = records.begin(record)
        around = Around(config, record, run.figures, reporter, environment)
        end = _End(config, records, record, around, run.figures, reporter, clock)
        try:
            if locked is not None:
                raise locked
            with in_time(around.longest if turn.run else None):
                around.before()
                yield run
                around.after()
        except BaseException as error:
            outcome = _in_time(outcome_of(error), around.longest, record, clock)
            end.come(outcome, in_haste=outcome.state is RunState.STOPPED)
            raise
        end.come(Outcome(RunState.OK, ExitCode.OK))


def end_dead(
    config: Config,
    record: RunRecord,
    outcome: Outcome,
    reporter: Reporter,
    clock: Clock = now,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """A run ended that could not say so itself: recorded, with all that goes with the end of a run. One that did say
    so stays as it is."""
    learn(config)
    figures = dict(record.figures)
    with Records(config, reporter, clock) as records, of_run(record.id):
        around = Around(config, record, figures, reporter, environment)
        _End(config, records, record, around, figures, reporter, clock).come(outcome)


@dataclass(frozen=True, slots=True)
class _End:
    """What a run's end needs."""

    config: Config
    records: Records
    record: RunRecord
    around: Around
    figures: dict[str, Any]
    reporter: Reporter
    clock: Clock

    def come(self, outcome: Outcome, *, in_haste: bool = False) -> None:
        """It is there."""
        if self.records.end(self.record, outcome, self.figures):
            self.around.ended(outcome, in_haste=in_haste)
            self.records.annotate(self.record, self.figures)
        spread(self.config, self.records.ledger, self.record, outcome, self.reporter, self.clock, in_haste=in_haste)


def outcome_of(error: BaseException) -> Outcome:
    """How a run ended that this error ended."""
    match error:
        case SkippedError() | LockedError():
            return Outcome(RunState.SKIPPED, error.exit_code, error.kind, error.message, error.hint)
        case PartialError():
            return Outcome(RunState.PARTIAL, error.exit_code, error.kind, error.message, error.hint)
        case InterruptedRunError():
            return Outcome(RunState.STOPPED, error.exit_code, error.kind, error.message, error.hint)
        case DrtoolError():
            return Outcome(RunState.FAILED, error.exit_code, error.kind, error.message, error.hint)
        case KeyboardInterrupt():
            return outcome_of(InterruptedRunError(f"stopped by {str(error) or 'SIGINT'}"))
    return Outcome(RunState.FAILED, ExitCode.FAILED, "internal", f"a bug in drtool: {type(error).__name__}")


def _in_time(outcome: Outcome, longest: float | None, record: RunRecord, clock: Clock) -> Outcome:
    """Whoever watches a run stops it when its time is over: that is what is told then, not the signal."""
    if outcome.state is not RunState.STOPPED or longest is None:
        return outcome
    if (clock() - record.started).total_seconds() < longest:
        return outcome
    error = TimeLimitError(f"took longer than {longest:g} s (max_duration), and was stopped")
    return Outcome(RunState.STOPPED, outcome.exit_code, error.kind, error.message, error.hint)


__all__ = ["Attended", "attended", "end_dead", "ledger_of", "outcome_of"]
