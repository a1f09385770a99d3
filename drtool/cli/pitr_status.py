"""``drtool pitr status``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import known, refresh_index, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.logs import log_of, log_sources
from drtool.cli.units import counted, duration, size
from drtool.errors import DrtoolError, PartialError, TamperedError

if TYPE_CHECKING:
    from drtool.operations.pitr.status import SourceStatus, TimelineStatus


@drtool_command(
    example="""
drtool pitr status
drtool pitr status app --json
"""
)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
def command(context: Context, sources: tuple[str, ...]) -> None:
    """Show which moments can be restored, gaps, and the archive's lag.

    Looks at the repository only, and for every pack that the archived log needs. Exits with 4 when something in the
    archive was tampered with, is damaged or missing, and with 3 while no snapshot leads into what is being archived of
    a source (nothing of that can be restored), or nothing of it is archived.
    """
    from drtool.operations.pitr.status import status

    names = log_sources(context, sources)
    errors: list[DrtoolError] = []
    stuck: list[str] = []
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository(context))
        catalogue = known(context, opened).catalogue
        refresh_index(opened, context.reporter())
        for name in names:
            found = status(opened, catalogue, name, log_of(context, stack, name))
            errors += found.errors
            stuck += [] if found.leads_on else [name]
            _show(context, found)
    if errors:
        are = "is" if len(errors) == 1 else "are"
        raise TamperedError(
            f"{counted(len(errors), 'thing')} in the archived logs {are} wrong; first: {errors[0].message}",
            hint=errors[0].hint,
        )
    if stuck:
        raise PartialError(
            f"nothing of what is being archived can be restored: {', '.join(stuck)}",
            hint="Take a snapshot with drtool backup, then let drtool pitr capture go on.",
        )


def _show(context: Context, found: SourceStatus) -> None:
    output = context.output
    output.line(
        "pitr",
        source=found.source,
        ok=found.ok,
        lag=found.lag if found.lag is None else round(found.lag, 1),
        timelines=[_fields(timeline) for timeline in found.timelines],
        problems=list(found.problems),
    )
    if found.lag is None:
        output.text(f"{found.source}: nothing is archived")
    else:
        output.text(f"{found.source}: archived up to {duration(found.lag)} ago")
    for timeline in reversed(found.timelines):
        current = ", the current one" if timeline.current else ""
        output.text(
            f"  timeline {timeline.timeline[:8]}{current}: {counted(timeline.segments, 'segment')},"
            f" {size(timeline.bytes)}, {timeline.first.isoformat()} to {timeline.last.isoformat()}"
        )
        for one in timeline.ranges:
            output.text(
                f"    any second from {one.first.isoformat()} to {one.last.isoformat()}"
                f" (from {counted(len(one.snapshots), 'snapshot')})"
            )
        for gap in timeline.gaps:
            output.text(f"    GAP from {gap.first.isoformat()} to {gap.last.isoformat()}")
    for problem in found.problems:
        context.reporter().warn(problem)


def _fields(timeline: TimelineStatus) -> dict[str, object]:
    return {
        "timeline": timeline.timeline,
        "current": timeline.current,
        "archived": {"from": timeline.first, "to": timeline.last},
        "segments": timeline.segments,
        "bytes": timeline.bytes,
        "ranges": [{"from": r.first, "to": r.last, "snapshots": list(r.snapshots)} for r in timeline.ranges],
        "gaps": [{"from": gap.first, "to": gap.last} for gap in timeline.gaps],
    }
