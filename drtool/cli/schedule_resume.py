"""``drtool schedule resume``."""

from __future__ import annotations

import click

from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool schedule resume nightly
"""
)
@click.argument("name")
def command(context: Context, name: str) -> None:
    """End a pause: the schedule goes on with its next run.

    What would have been due meanwhile is not made up for; drtool schedule run NAME runs it now.
    """
    from drtool.local.clock import now
    from drtool.operations.unattended.attending.records import ledger_of
    from drtool.scheduling.entries import entries_of, named

    config = context.config()
    (entry,) = named(entries_of(config), [name])
    with ledger_of(config) as ledger:
        was_paused = ledger.resume(entry.name)
    following = entry.schedule.next_after(now())
    context.output.result(schedule=entry.name, was_paused=was_paused, next_run=following)
    if not was_paused:
        context.output.text(f"{entry.name} was not paused")
        return
    context.output.ok(f"{entry.name} goes on at {following.astimezone().isoformat(timespec='seconds')}")
    context.output.text(f"or now, with: drtool schedule run {entry.name}")
