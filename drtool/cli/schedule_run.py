"""``drtool schedule run``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.units import duration
from drtool.errors import ConfigError, DrtoolError, PartialError, ScheduledRunError, StateError

if TYPE_CHECKING:
    from drtool.config.root import Config
    from drtool.operations.reporting import Reporter
    from drtool.scheduling.entries import Entry
    from drtool.scheduling.ledger import Ledger, RunRecord

_FINE = ("ok", "skipped")


@drtool_command(
    example="""
drtool schedule run
drtool schedule run nightly
drtool schedule run --dry-run
"""
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--dry-run", is_flag=True, help="Say what would be started; start nothing.")
def command(context: Context, names: tuple[str, ...], dry_run: bool) -> None:
    """Start what is due, and see to it that somebody hears of what goes wrong.

    This is what cron or a timer calls, every minute or every hour; it prints nothing when nothing is due. It stays
    while commands run, and starts what becomes due meanwhile: several at once, but what is about the same job one after
    the other. With NAMEs (of jobs and schedules) these are started now, due or not, and nothing else.

    While the configuration cannot be used, nothing is started, and those whom the last good one names hear of it.

    What was missed while nobody called it is made up for, once. Exits with 1 when everything that was started failed,
    and with 3 when some of it did; a run that was skipped is no failure.
    """
    from drtool.local.clock import now
    from drtool.operations.unattended.scheduling.processes import ProcessLauncher
    from drtool.operations.unattended.scheduling.scheduler import Scheduler

    reporter = context.reporter()
    # Whoever names something, or only looks, is there and sees what is wrong.
    config = context.config() if names or dry_run else _unattended_config(context, reporter)
    with _opened(config, reporter) as ledger:
        scheduler = Scheduler(
            config, ledger, now, ProcessLauncher(config.path), reporter, lambda run: _show(context, run)
        )
        if dry_run:
            _show_due(context, scheduler.due(names))
            return
        runs = scheduler.run_now(names) if names else scheduler.run_due()
    context.output.result(runs=[run.id for run in runs])
    _judge(runs, scheduler.problems)


def _unattended_config(context: Context, reporter: Reporter) -> Config:
    """The configuration. Where it cannot be used nobody would hear of it, and of nothing else any more."""
    try:
        return context.config()
    except ConfigError as error:
        from drtool.operations.unattended.configuration.telling import tell_broken

        tell_broken(context.options.config, error, reporter)
        raise


def _opened(config: Config, reporter: Reporter) -> Ledger:
    """The ledger. Where it cannot be used nothing can be started, which somebody has to hear of all the same."""
    from drtool.operations.unattended.alerting.telling import tell
    from drtool.operations.unattended.attending.records import ledger_of

    try:
        return ledger_of(config)
    except StateError:
        tell(config, reporter)
        raise


def _judge(runs: Sequence[RunRecord], problems: Sequence[DrtoolError]) -> None:
    bad = [run for run in runs if run.state not in _FINE]
    if bad:
        told = "; ".join(f"{_name(run)}: {run.message or run.state}" for run in bad)
        is_partial = len(bad) < len(runs) or any(run.state == "partial" for run in bad)
        raise (PartialError if is_partial else ScheduledRunError)(told, hint=bad[0].hint)
    if problems and runs:
        raise PartialError(f"what was due was started, but {problems[0].message}", hint=problems[0].hint)
    if problems:
        raise problems[0]


def _show(context: Context, run: RunRecord) -> None:
    seconds = run.seconds or 0.0
    context.output.line(
        "run",
        run=run.id,
        name=run.entry,
        task=run.task,
        job=run.job,
        slot=run.slot,
        started=run.started,
        seconds=round(seconds, 3),
        state=run.state,
        exit_code=run.exit_code,
        kind=run.kind,
        message=run.message,
        hint=run.hint,
    )
    if context.options.verbosity >= 0 and run.state in _FINE:
        told = f": {run.message}" if run.message else f" in {duration(seconds)}"
        context.output.text(f"{_name(run)}: {run.state}{told}")


def _show_due(context: Context, due: Sequence[tuple[Entry, datetime | None]]) -> None:
    for entry, slot in due:
        context.output.line("due", name=entry.name, task=entry.task, job=entry.job, slot=slot)
        since = "" if slot is None else f", due since {slot.astimezone().isoformat(timespec='seconds')}"
        context.output.text(f"would start {entry.name} ({entry.task}{since})")


def _name(run: RunRecord) -> str:
    return run.entry or f"{run.task} {run.job}".rstrip()
