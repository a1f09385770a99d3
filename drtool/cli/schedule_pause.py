"""``drtool schedule pause``."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from drtool.cli.command import Context, drtool_command
from drtool.errors import UsageError


@drtool_command(
    example="""
drtool schedule pause nightly --for 8h --reason "the database is being moved"
drtool schedule pause nightly --until 2026-12-01T06:00:00+01:00
"""
)
@click.argument("name")
@click.option("--until", metavar="TIME", help="Until then; without it, until it is resumed.")
@click.option("--for", "length", metavar="DURATION", help="For so long (30m, 8h, 2d).")
@click.option("--reason", default="", metavar="R", help="Why, for whoever wonders later.")
def command(context: Context, name: str, until: str | None, length: str | None, reason: str) -> None:
    """Start nothing of a schedule for a while.

    NAME is a job's, or one of schedules. What runs already goes on, and what is called by hand runs all the same. What
    would have been due meanwhile is not made up for.
    """
    from drtool.local.clock import now
    from drtool.monitoring.audit_actor import actor
    from drtool.operations.unattended.attending.records import ledger_of
    from drtool.scheduling.entries import entries_of, named

    config = context.config()
    (entry,) = named(entries_of(config), [name])
    end, who = _end(until, length, now()), actor()
    with ledger_of(config) as ledger:
        ledger.pause(entry.name, end, who.get("sudo_user") or who["user"], reason)
    context.output.result(schedule=entry.name, until=end, reason=reason)
    lasting = "until it is resumed" if end is None else f"until {end.astimezone().isoformat(timespec='seconds')}"
    context.output.ok(f"{entry.name} is paused {lasting}")
    context.output.text(f"go on with: drtool schedule resume {entry.name}")


def _end(until: str | None, length: str | None, moment: datetime) -> datetime | None:
    from drtool.config.model import parse_duration
    from drtool.operations.pitr.times import parse_moment

    if until is not None and length is not None:
        raise UsageError("--until and --for exclude each other")
    if length is not None:
        try:
            return moment + timedelta(seconds=parse_duration(length))
        except (ValueError, OverflowError) as error:
            raise UsageError(f"--for {length}: {error}") from error
    end = None if until is None else parse_moment(until)
    if end is not None and end <= moment:
        raise UsageError(f"--until {until} has passed already")
    return end
