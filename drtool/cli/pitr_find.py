"""``drtool pitr find``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import refresh_index, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.logs import log_sources
from drtool.cli.units import counted
from drtool.errors import PartialError, UsageError

if TYPE_CHECKING:
    from drtool.operations.pitr.finding import Finding
    from drtool.operations.pitr.grouping import Candidate
    from drtool.operations.pitr.searched import Hole

_DESTRUCTIVE, _ANY = "destructive", "any"


@drtool_command(
    example="""
drtool pitr find --ns app.users --op drop
drtool pitr find --ns 'app.*' --since 2026-08-01T14:00:00+02:00
drtool restore latest --before 1790000000:12
"""
)
@click.option("--ns", "namespace", required=True, metavar="NS", help="A database, db.collection or a glob.")
@click.option(
    "--op",
    "operation",
    default=_DESTRUCTIVE,
    show_default=True,
    metavar="OP",
    help="delete, drop, dropDatabase, rename; insert, update, create, collMod, createIndexes, dropIndexes; any.",
)
@click.option("--since", metavar="TIME", help="From this time on (ISO 8601; local time without a zone).")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--source", "source_name", metavar="S", help="Which source, where several have an archived log.")
def command(
    context: Context, namespace: str, operation: str, since: str | None, until: str | None, source_name: str | None
) -> None:
    """Find the operation to stop before in the archived oplog.

    Lists what happened with the place to give to restore --before. Deletes (inserts, updates) of one collection that
    follow each other within a second are one line with their number. Patterns pass over config, local and admin, what
    restores keep as a marker, and the temporary collections of $out, unless they name them. Needs the identity.

    Exits with 3 where part of the time asked for could not be searched (a gap, something unreadable, not archived
    yet), and with 10 where nothing is archived.
    """
    from drtool.operations.opening import open_source
    from drtool.operations.pitr.finding import ALL, DESTRUCTIVE, Finding, Search
    from drtool.operations.pitr.times import parse_moment
    from drtool.operations.runs import registered
    from drtool.repository.archive import read_archive
    from drtool.repository.reader import ChunkReader

    ops = {_DESTRUCTIVE: DESTRUCTIVE, _ANY: ALL}.get(operation, frozenset({operation}))
    if not ops <= ALL:
        raise UsageError(f"--op {operation} is no operation", hint=f"There are: {', '.join(sorted(ALL))}, any.")
    bounds = [None if text is None else (int(parse_moment(text).timestamp()), 0) for text in (since, until)]
    name = _source(context, source_name)
    count = 0
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(contextlib.closing(open_source(name, context.config().sources[name])))
        log = source.log()
        assert log is not None
        opened = stack.enter_context(repository(context, reads_data=True))
        reporter = context.reporter()
        stack.enter_context(registered(opened, "find", name, reporter))
        refresh_index(opened, reporter)
        archive = read_archive(opened, name)
        for problem in archive.problems:
            reporter.warn(problem.message)
        reader = stack.enter_context(contextlib.closing(ChunkReader(opened)))
        search = Search(
            lambda stream: source.matches(stream, namespace),
            ops,
            since=bounds[0],
            until=bounds[1],
            passes_over=lambda stream: log.passes_over(stream, namespace),
        )
        finding = Finding(reader, archive, log, search, reporter)
        for candidate in finding.candidates():
            count += 1
            _show(context, candidate, several=len(archive.timelines) > 1)
    context.output.result(source=name, candidates=count)
    _conclude(context, finding, found_something=count > 0)


def _source(context: Context, name: str | None) -> str:
    names = log_sources(context, () if name is None else (name,))
    if len(names) > 1:
        raise UsageError("several sources have a log", hint=f"Say which with --source: {', '.join(names)}")
    return names[0]


def _conclude(context: Context, finding: Finding, *, found_something: bool) -> None:
    """Say what was searched; ``PartialError`` where that is not all that was asked for."""
    from drtool.operations.pitr.reach import moment

    span = None if finding.searched is None else tuple(map(moment, finding.searched))
    context.output.result(
        searched=None if span is None else {"from": span[0], "to": span[1]},
        gaps=[_fields(hole) for hole in finding.holes],
    )
    if not found_something:
        context.output.text("nothing found" if span is not None else "nothing of that time is archived")
    if span is not None:
        context.output.text(f"searched from {span[0].isoformat()} to {span[1].isoformat()}")
    for hole in finding.holes:
        where = "" if hole.timeline is None else f" in timeline {hole.timeline[:8]}"
        context.output.text(
            f"NOT searched: {moment(hole.first).isoformat()} to {moment(hole.last).isoformat()}{where}: {hole.why}"
        )
    if finding.holes:
        hole = finding.holes[0]
        others = f", and {len(finding.holes) - 1} more" if len(finding.holes) > 1 else ""
        raise PartialError(
            f"{moment(hole.first).isoformat()} to {moment(hole.last).isoformat()} could not be searched"
            f" ({hole.why}){others}",
            hint="drtool pitr capture archives what the source still has; drtool pitr status shows gaps and damage.",
        )


def _fields(hole: Hole) -> dict[str, object]:
    from drtool.operations.pitr.reach import moment

    return {"from": moment(hole.first), "to": moment(hole.last), "timeline": hole.timeline, "why": hole.why}


def _show(context: Context, candidate: Candidate, *, several: bool) -> None:
    from drtool.operations.pitr.reach import moment

    event = candidate.event
    place = f"{event.at[0]}:{event.at[1]}"
    context.output.line(
        "candidate",
        position=place,
        time=moment(event.at),
        until=moment(candidate.last),
        namespace=event.namespace,
        op=event.op,
        count=event.count,
        collections=event.streams or None,
        to=event.to or None,
        transaction=event.in_transaction,
        timeline=candidate.timeline,
    )
    what = f"{event.op} {event.namespace}" + (f" to {event.to}" if event.to else "")
    held = [counted(event.streams, "collection")] if event.streams else []
    held += [] if event.count is None else [counted(event.count, "record")]
    records = f" ({', '.join(held)})" if held else ""
    within = ", in a transaction" if event.in_transaction else ""
    timeline = f", timeline {candidate.timeline[:8]}" if several else ""
    context.output.text(f"{moment(event.at).isoformat()}  {place:<16}  {what}{records}{within}{timeline}")
