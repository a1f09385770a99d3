"""``drtool restore``."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import expanded, known, origin_of, pairs, refresh_index, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.recovery import Aim, announce, find_recovery, hint_at_closer
from drtool.cli.units import counted, duration, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drtool.operations.catalogue import Known
    from drtool.operations.choosing import Chosen
    from drtool.operations.restore import Prospect, RestoreResult

_SHOWN = 20


@drtool_command(
    example="""
drtool restore latest
drtool restore latest-verified --rename app=app_check
drtool restore nightly@2026-08-01T00:00:00Z --only app.users --to mongodb://standby/
drtool restore latest --dry-run
"""
)
@click.argument("name", metavar="SNAPSHOT")
@click.option("--source", "source_name", metavar="S", help="Which source of the snapshot, where it has several.")
@click.option("--to", metavar="URI", help="Another server, same names; ${NAME} in it comes from the environment.")
@click.option("--only", multiple=True, metavar="NAME", help="A database, db.collection or a glob (again for more).")
@click.option("--rename", multiple=True, metavar="A=B", help="Restore A as B (again for more).")
@click.option(
    "--users/--no-users",
    default=None,
    help="Users and roles, which come back under their own names: with --to unless --no-users, else only with --users.",
)
@click.option(
    "--at",
    metavar="TIME",
    help="To this second, by the archived oplog: everything that happened before it (ISO 8601; local without a zone).",
)
@click.option("--before", metavar="OP", help="To just before this operation, as drtool pitr find prints it.")
@click.option("--timeline", metavar="ID", help="Which timeline of the archived oplog, if not what happened then.")
@click.option("--expect-head", metavar="HASH", help="Refuse unless the job's snapshots include this head.")
@click.option("--dry-run", is_flag=True, help="Show what would be restored and what is there; write nothing.")
def command(
    context: Context,
    name: str,
    source_name: str | None,
    to: str | None,
    only: tuple[str, ...],
    rename: tuple[str, ...],
    users: bool | None,
    at: str | None,
    before: str | None,
    timeline: str | None,
    expect_head: str | None,
    dry_run: bool,
) -> None:
    """Bring a snapshot back, beside what is there.

    Never over it: without --to or --rename the source's own server gets new databases (app_restored_…). A target that
    is not empty is refused. Everything needed is present in the repository before the first write.

    With --at or --before, SNAPSHOT says where to begin: latest is the newest one from which the archived oplog leads
    to that moment.
    """
    from drtool.operations.budget import Budget
    from drtool.operations.choosing import Chosen
    from drtool.operations.opening import source_like
    from drtool.operations.restore import Restore, expected_seconds, require_head
    from drtool.operations.runs import registered, require_still_there
    from drtool.operations.wishing import Wish

    config = context.config()
    reporter = context.reporter()
    wish = Wish(expanded("--to", to), only, pairs("--rename", rename), users)
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository(context, reads_data=True))
        found = known(context, opened)
        aim = Aim(at, before, timeline, source_name)
        recovery = find_recovery(context, stack, opened, found, name, aim)
        chosen = found.choose(name) if recovery is None else Chosen(recovery.base.snapshot)
        snapshot = chosen.snapshot
        if expect_head is not None:
            require_head(found.catalogue, snapshot, expect_head)
        elif not opened.state.is_acquainted():
            reporter.warn(
                "this host has known the repository for less than a day: that it is the newest state is unproven"
                " (compare --expect-head with the last report)"
            )
        origin = origin_of(snapshot.manifest, source_name) if recovery is None else recovery.base.source
        stack.enter_context(registered(opened, "restore", snapshot.manifest.job, reporter))
        require_still_there(opened, snapshot)
        refresh_index(opened, reporter)
        source = source_like(stack, origin, config.sources)
        budget = Budget.within(config.limits.memory, config.limits.readers)
        restore = Restore(opened, snapshot, source, wish, budget, reporter, recovery)
        stack.callback(restore.close)
        prospect = restore.prospect()
        seconds = expected_seconds(opened, found, prospect.bytes)
        level, occupied = found.level(snapshot), prospect.inspection.occupied
        _announce(context, chosen, found, prospect, seconds)
        if recovery is not None:
            announce(context, recovery)
        elif chosen.distance is not None:
            hint_at_closer(context, stack, opened, chosen, name, origin.name)
        context.output.result(
            snapshot=snapshot.id,
            level=level.level.label,
            verified_at=level.at,
            verification_failed=level.last_failed,
            suspect=found.is_suspect(snapshot),
            target=prospect.inspection.target,
            expected_records=prospect.records,
            streams=len(prospect.plan.items),
            occupied=list(occupied),
            left_out=[asdict(left) for left in prospect.left_out],
            expected_seconds=seconds if seconds is None else round(seconds, 1),
            distance=chosen.distance,
        )
        if dry_run:
            context.output.result(would_refuse=bool(occupied))
            context.output.text("nothing was written (--dry-run)")
            if occupied:
                context.output.text(f"the restore would be refused: {_in_the_way(len(occupied))}")
            return
        result = restore.run(prospect)
    context.output.result(
        records=result.records,
        bytes=result.bytes,
        seconds=round(result.seconds, 3),
        replayed=result.replayed,
        recovered_to=result.recovered_to,
        restored_streams=result.streams,
        changes=[asdict(change) for change in result.changes],
        already_there=dict(result.already_there),
    )
    for sentence in _about(result, prospect):
        context.output.text(f"  {sentence}")
    replayed = recovery is not None or result.replayed > 0
    context.output.ok(
        f"restored {counted(result.records, 'record')} ({size(result.bytes)}) in {counted(result.streams, 'stream')}"
        + (f" and replayed {result.replayed:,} operations" if replayed else "")
        + f" to {result.target} in {duration(result.seconds)}"
        + (f"; recovered to {result.recovered_to.isoformat()}" if recovery is not None else "")
    )


def _about(result: RestoreResult, prospect: Prospect) -> Iterator[str]:
    """What is not there as the snapshot holds it, and what had been there before."""
    for change in result.changes:
        yield change.told()
    for item in prospect.plan.items:
        already = result.already_there.get(item.name, 0)
        if already:
            yield f"{item.name}: {item.records - already:,} made, {already:,} there already"


def _left_out(prospect: Prospect) -> list[str]:
    """What the restore leaves alone, a sentence for each reason."""
    streams: dict[str, list[str]] = {}
    for left in prospect.left_out:
        streams.setdefault(left.reason, []).append(f"{left.stream} ({left.records:,})")
    return [f"not restored: {', '.join(names)}: {reason}" for reason, names in streams.items()]


def _in_the_way(count: int) -> str:
    return "1 thing is in the way" if count == 1 else f"{count} things are in the way"


def _announce(context: Context, chosen: Chosen, found: Known, prospect: Prospect, seconds: float | None) -> None:
    from drtool.operations.choosing import instant_of

    output, snapshot = context.output, chosen.snapshot
    level = found.level(snapshot)
    verified = f"verified {level.level.label} on {level.at}" if level.at else "never verified"
    if level.last_failed:
        verified = f"verified {level.level.label} on {level.at}; " if level.at else ""
        verified += "the LAST VERIFICATION FAILED"
    age = duration((datetime.now(UTC) - instant_of(snapshot)).total_seconds())
    output.text(f"snapshot {snapshot.id} of job {snapshot.manifest.job}, {verified}")
    if found.is_suspect(snapshot):
        context.reporter().warn(
            f"snapshot {snapshot.id} is suspect: it may lack changes that the source did not tell of;"
            " drtool snapshots shows which are not"
        )
    output.text(f"  brings back {snapshot.manifest.instant}, {age} ago")
    if chosen.distance is not None:
        output.text(f"  taken {duration(chosen.distance.total_seconds())} before the time asked for")
    output.text(f"  {prospect.records:,} records, {size(prospect.bytes)}, to {prospect.inspection.target}:")
    items = prospect.plan.items
    for item in items[:_SHOWN]:
        waits = item.stream.identity in prospect.parked
        name = "a name that the log gives it later" if waits else item.name
        output.text(f"    {item.stream.name} → {name} ({item.records:,})")
    if len(items) > _SHOWN:
        output.text(f"    … and {len(items) - _SHOWN} more")
    for stream, name in sorted(prospect.made.items())[:_SHOWN]:
        output.text(f"    {stream} → {name}, by the log")
    for sentence in _left_out(prospect):
        output.text(f"    {sentence}")
    if seconds is not None:
        output.text(f"  should take about {duration(max(1, seconds))}, at the rate last measured")
    for occupied in prospect.inspection.occupied:
        output.text(f"  in the way: {occupied}")
    for note in prospect.inspection.notes:
        output.text(f"  note: {note}")
