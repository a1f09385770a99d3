"""``drtool schedule list``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING

from drtool.cli.command import Context, drtool_command
from drtool.cli.units import counted, duration

if TYPE_CHECKING:
    from drtool.scheduling.due import Standing
    from drtool.scheduling.entries import Entry
    from drtool.scheduling.ledger import RunRecord

_COLUMNS = ("NAME", "TASK", "SCHEDULE", "LAST", "NEXT", "NOTES")


@drtool_command(
    example="""
drtool schedule list
drtool schedule list --json
"""
)
def command(context: Context) -> None:
    """List what is done repeatedly: when last and how that ended, when next, and what was missed.

    Jobs with a schedule, and the schedules of the configuration, as this host has them on record. Times are in the
    schedule's zone. What was missed is made up for by the next drtool schedule run.
    """
    from drtool.local.clock import now
    from drtool.operations.unattended.attending.records import ledger_of
    from drtool.scheduling.entries import entries_of
    from drtool.scheduling.standings import last_tick, standings

    config, moment = context.config(), now()
    with ledger_of(config) as ledger:
        found = standings(entries_of(config), ledger, moment)
        ticked = last_tick(ledger)
        running = [standing.running for _, standing in found if standing.running is not None]
        alive = {run.id for run in running if ledger.is_alive(run)}
    for entry, standing in found:
        _line(context, entry, standing, alive)
    context.output.result(last_called=ticked)
    if not found:
        context.output.text("nothing is scheduled: give a job a schedule, or write schedules")
        return
    context.output.table(_COLUMNS, [_row(entry, standing, alive, moment) for entry, standing in found])
    if ticked is None:
        context.output.text("drtool schedule run has not been called here yet; drtool schedule install sees to that")
    else:
        context.output.text(f"drtool schedule run was called {duration((moment - ticked).total_seconds())} ago")


def _line(context: Context, entry: Entry, standing: Standing, alive: Collection[str]) -> None:
    last, success, paused = standing.last_run, standing.last_success, standing.paused
    context.output.line(
        "schedule",
        name=entry.name,
        task=entry.task,
        job=entry.job,
        schedule=entry.schedule.expression,
        timezone=entry.schedule.timezone,
        last_run=None if last is None else last.started,
        last_state=None if last is None else last.state,
        last_success=None if success is None else success.started,
        next_run=standing.next_run,
        missed=len(standing.missed),
        overdue_since=standing.overdue_since,
        paused=None if paused is None else {"until": paused.until, "by": paused.who, "reason": paused.reason},
        running=standing.running.id if standing.running is not None and standing.running.id in alive else None,
    )


def _row(entry: Entry, standing: Standing, alive: Collection[str], moment: datetime) -> tuple[str, ...]:
    zone, following = entry.schedule.timezone, standing.next_run
    return (
        entry.name,
        entry.task,
        entry.schedule.expression,
        _ending(standing.last_run, zone),
        "-" if following is None else _time(following, zone),
        "; ".join(_notes(standing, zone, alive, moment)),
    )


def _ending(last: RunRecord | None, zone: str | None) -> str:
    return "never" if last is None else f"{_time(last.started, zone)} {last.state}"


def _notes(standing: Standing, zone: str | None, alive: Collection[str], moment: datetime) -> list[str]:
    notes = []
    last, paused, overdue = standing.last_run, standing.paused, standing.overdue_since
    if paused is not None:
        until = "" if paused.until is None else f" until {_time(paused.until, zone)}"
        notes.append(f"paused{until}" + (f": {paused.reason}" if paused.reason else ""))
    if standing.running is not None and standing.running.id in alive:
        notes.append(f"running for {duration((moment - standing.running.started).total_seconds())}")
    elif standing.running is not None:
        notes.append("its process is gone without a word")
    if overdue is not None:
        notes.append(f"{counted(len(standing.missed), 'run')} missed since {_time(overdue, zone)}")
    if last is not None and last.message:
        notes.append(last.message)
    return notes


def _time(moment: datetime, zone: str | None) -> str:
    from zoneinfo import ZoneInfo

    return moment.astimezone(ZoneInfo(zone) if zone else None).strftime("%Y-%m-%d %H:%M %Z")
