"""``drtool export``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import known, origins_of, refresh_index, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.units import counted, duration, size
from drtool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from drtool.operations.export import Export, ExportResult
    from drtool.operations.reporting import Reporter
    from drtool.repository.chain import Snapshot
    from drtool.repository.manifests import SourceEntry
    from drtool.repository.repository import Repository
    from drtool.sources.exporting import ExportPlace

_PIPE = "-"


@drtool_command(
    example="""
drtool export latest dump
drtool export latest-verified --source app --archive app.archive --only app
drtool export latest --archive - | mongorestore --archive
"""
)
@click.argument("name", metavar="SNAPSHOT")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--archive", metavar="FILE", help="Write one file instead of a directory; - is standard output.")
@click.option(
    "--source", "sources", multiple=True, metavar="S", help="Only this source of the snapshot (again for more)."
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="A database, db.collection or a glob (again for more); SOURCE:NAME for that source alone.",
)
def command(
    context: Context,
    name: str,
    directory: Path | None,
    archive: str | None,
    sources: tuple[str, ...],
    only: tuple[str, ...],
) -> None:
    """Write a snapshot in its system's own layout, to be restored without drtool.

    For MongoDB that is what mongorestore reads: a directory, or with --archive one file. Of several sources each gets a
    directory of its name in DIR; an archive holds one. DIR must be empty or not exist, FILE must not exist. What is
    written is not encrypted. With --archive - everything else that is printed goes to standard error.
    """
    from drtool.operations.runs import registered, require_still_there

    if (directory is None) == (archive is None):
        raise UsageError("name either a directory, or a file with --archive")
    shown = str(directory) if archive is None else archive
    if archive == _PIPE:
        context.output.divert(sys.stderr)
        if sys.stdout.isatty():
            raise UsageError("an archive is not for a terminal: name a file, or a program behind a pipe")
    _check(directory, archive)
    reporter = context.reporter()
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository(context, reads_data=True))
        snapshot = known(context, opened).choose(name).snapshot
        origins = origins_of(snapshot.manifest, sources)
        context.output.result(snapshot=snapshot.id, path=shown)
        stack.enter_context(registered(opened, "export", snapshot.manifest.job, reporter))
        require_still_there(opened, snapshot)
        refresh_index(opened, reporter)
        exports = _exports(context, stack, opened, snapshot, origins, only)
        if archive is not None and len(exports) > 1:
            raise UsageError("an archive holds one source", hint=f"Say which with --source: {', '.join(exports)}")
        plans = {source: export.plan() for source, export in exports.items()}
        context.output.text(f"snapshot {snapshot.id} of job {snapshot.manifest.job}, {snapshot.manifest.instant}")
        for source, plan in plans.items():
            of = f"{source}: " if len(plans) > 1 else ""
            context.output.text(
                f"  {of}{plan.records:,} records, {size(plan.bytes)}, to {shown}{f'/{source}' if of else ''}"
            )
        _warn_of_space(directory, archive, sum(plan.bytes for plan in plans.values()), reporter)
        reporter.warn(f"what is written to {_place(shown)} is NOT encrypted")
        versions = {origin.name: origin.version for origin in origins}
        with _landing(directory, archive, versions[next(iter(plans))]) as place:
            places = _places(place, {source: versions[source] for source in plans})
            results = {source: exports[source].run(plan, places[source]) for source, plan in plans.items()}
    _show(context, shown, results)


def _exports(
    context: Context,
    stack: contextlib.ExitStack,
    opened: Repository,
    snapshot: Snapshot,
    origins: Sequence[SourceEntry],
    only: tuple[str, ...],
) -> dict[str, Export]:
    """One of each source of which something is to be exported; of the others it is said why not."""
    from drtool.operations.export import Export
    from drtool.operations.opening import source_like
    from drtool.operations.restore.allotting import Asked, allot

    like = [source_like(stack, origin, context.config().sources) for origin in origins]
    wishes, left_out = allot(opened, snapshot, like, Asked(only=only))
    for name, reason in left_out.items():
        context.output.text(f"  {name} is not exported: {reason}")
    exports = {}
    for source in like:
        if source.name in wishes:
            export = Export(opened, snapshot, source, wishes[source.name].only, context.reporter())
            stack.callback(export.close)
            exports[source.name] = export
    return exports


def _places(place: ExportPlace, versions: Mapping[str, str]) -> dict[str, ExportPlace]:
    """For each source: the place itself for the only one, else a directory of its own."""
    from drtool.operations.landing import below

    if len(versions) == 1:
        return dict.fromkeys(versions, place)
    return {source: below(place, source, version) for source, version in versions.items()}


def _show(context: Context, shown: str, results: Mapping[str, ExportResult]) -> None:
    for source, result in results.items():
        context.output.line(
            "exported",
            source=source,
            layout=result.layout,
            streams=result.streams,
            records=result.records,
            bytes=result.bytes,
            seconds=round(result.seconds, 3),
        )
    layouts = {result.layout for result in results.values()}
    context.output.result(
        layout=next(iter(layouts)) if len(layouts) == 1 else None,
        layouts={source: result.layout for source, result in results.items()},
        streams=sum(result.streams for result in results.values()),
        records=sum(result.records for result in results.values()),
        bytes=sum(result.bytes for result in results.values()),
        seconds=round(sum(result.seconds for result in results.values()), 3),
    )
    for source, result in results.items():
        where = f"{shown}/{source}" if len(results) > 1 else _place(shown)
        context.output.ok(
            f"exported {counted(result.records, 'record')} ({size(result.bytes)})"
            f" in {counted(result.streams, 'stream')} to {where} in {duration(result.seconds)}"
        )
        for note in result.notes:
            context.output.text(f"  {note}")


def _place(shown: str) -> str:
    return "standard output" if shown == _PIPE else shown


def _check(directory: Path | None, archive: str | None) -> None:
    """Refuse what is there already before anything else is done."""
    from drtool.operations.landing import check

    if directory is not None:
        check(directory, is_file=False)
    elif archive is not None and archive != _PIPE:
        check(Path(archive), is_file=True)


def _warn_of_space(directory: Path | None, archive: str | None, needed: int, reporter: Reporter) -> None:
    from drtool.operations.landing import free_bytes

    path = directory if archive is None else Path(archive)
    if path is None or archive == _PIPE:
        return
    free = free_bytes(path)
    if free < needed:
        reporter.warn(f"{path} has room for {size(free)}, and {size(needed)} are to be written")


def _landing(
    directory: Path | None, archive: str | None, version: str
) -> contextlib.AbstractContextManager[ExportPlace]:
    from drtool.operations.landing import new_directory, new_file, standard_output

    if directory is not None:
        return new_directory(directory, version)
    assert archive is not None
    return standard_output(sys.stdout.fileno(), version) if archive == _PIPE else new_file(Path(archive), version)
