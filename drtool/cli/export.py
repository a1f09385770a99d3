"""``drtool export``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import known, origin_of, refresh_index, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.units import counted, duration, size
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.operations.reporting import Reporter
    from drtool.sources.base import ExportPlace

_PIPE = "-"


@drtool_command(
    example="""
drtool export latest dump
drtool export latest-verified --archive app.archive --only app
drtool export latest --archive - | mongorestore --archive
"""
)
@click.argument("name", metavar="SNAPSHOT")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--archive", metavar="FILE", help="Write one file instead of a directory; - is standard output.")
@click.option("--source", "source_name", metavar="S", help="Which source of the snapshot, where it has several.")
@click.option("--only", multiple=True, metavar="NAME", help="A database, db.collection or a glob (again for more).")
def command(
    context: Context,
    name: str,
    directory: Path | None,
    archive: str | None,
    source_name: str | None,
    only: tuple[str, ...],
) -> None:
    """Write a snapshot in its system's own layout, to be restored without drtool.

    For MongoDB that is what mongorestore reads: a directory, or with --archive one file. DIR must be empty or not
    exist, FILE must not exist. What is written is not encrypted. With --archive - everything else that is printed
    goes to standard error.
    """
    from drtool.operations.export import Export
    from drtool.operations.opening import source_like
    from drtool.operations.runs import registered, require_still_there

    if (directory is None) == (archive is None):
        raise UsageError("name either a directory, or a file with --archive")
    shown = str(directory) if archive is None else archive
    if archive == _PIPE:
        context.output.divert(sys.stderr)
        if sys.stdout.isatty():
            raise UsageError("an archive is not for a terminal: name a file, or a program behind a pipe")
    _check(directory, archive)
    config = context.config()
    reporter = context.reporter()
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository(context, reads_data=True))
        snapshot = known(context, opened).choose(name).snapshot
        origin = origin_of(snapshot.manifest, source_name)
        context.output.result(snapshot=snapshot.id, path=shown)
        stack.enter_context(registered(opened, "export", snapshot.manifest.job, reporter))
        require_still_there(opened, snapshot)
        refresh_index(opened, reporter)
        export = Export(opened, snapshot, source_like(stack, origin, config.sources), only, reporter)
        stack.callback(export.close)
        plan = export.plan()
        context.output.text(f"snapshot {snapshot.id} of job {snapshot.manifest.job}, {snapshot.manifest.instant}")
        context.output.text(f"  {plan.records:,} records, {size(plan.bytes)}, to {shown}")
        _warn_of_space(directory, archive, plan.bytes, reporter)
        reporter.warn(f"what is written to {_place(shown)} is NOT encrypted")
        with _landing(directory, archive, origin.version) as place:
            result = export.run(plan, place)
    context.output.result(
        layout=result.layout,
        streams=result.streams,
        records=result.records,
        bytes=result.bytes,
        seconds=round(result.seconds, 3),
    )
    context.output.ok(
        f"exported {counted(result.records, 'record')} ({size(result.bytes)}) in {counted(result.streams, 'stream')}"
        f" to {_place(shown)} in {duration(result.seconds)}"
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
