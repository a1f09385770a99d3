"""``drtool repair index``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.units import counted, size
from drtool.errors import PartialError

if TYPE_CHECKING:
    from drtool.operations.repair.index import IndexFound, IndexRepaired
    from drtool.repository.repository import Repository


@drtool_command(
    example="""
drtool repair index --dry-run
drtool repair index
"""
)
@click.option("--dry-run", is_flag=True, help="Say what is to be repaired; read no pack and change nothing.")
def command(context: Context, dry_run: bool) -> None:
    """Rebuild the index from the packs, each of which holds a signed list of its chunks.

    Packs that no index object names are read and indexed again; index objects that cannot be read are replaced. Any
    writer's key adds what is missing; to delete what is useless takes a key with the role maintainer
    (repository.maintenance, or the identity). Exits with 3 where something could not be repaired.
    """
    from drtool.operations.repair.index import IndexRepair
    from drtool.operations.runs import registered
    from drtool.repository.runs import Run

    reporter = context.reporter()
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(repository(context) if dry_run else maintained(context))
        stack.enter_context(registered(opened, "repair", "", reporter) if dry_run else Run(opened, "repair"))
        repair = IndexRepair(opened, reporter)
        found = repair.find()
        _show_found(context, found)
        if dry_run or found.is_sound:
            if found.is_sound:
                context.output.ok("the index is whole")
            else:
                context.output.text("nothing was changed (--dry-run)")
            return
        done = repair.repair(found)
    _show_done(context, done)
    if done.left:
        raise PartialError(
            f"{counted(len(done.left), 'object')} could not be repaired: {done.left[0].message}",
            hint="What else could be done was done. Now: drtool repair snapshots",
        )
    context.output.ok("the index is whole again")


@contextlib.contextmanager
def maintained(context: Context) -> Iterator[Repository]:
    """The repository: opened to clean up where the configuration allows it, else as any writer opens it."""
    from drtool.operations import opening

    settings = context.config().repository
    has_maintainer = settings.maintenance is not None or settings.identity is not None
    found = opening.maintained(settings, cancelled=context.stopping) if has_maintainer else repository(context)
    with found as opened:
        yield opened


def _show_found(context: Context, found: IndexFound) -> None:
    from drtool.repository.packs import pack_name

    output = context.output
    states = [(pack_name(sha256), "gone") for sha256 in sorted(found.gone)]
    states += [(pack_name(sha256), "unindexed") for sha256 in found.unindexed]
    for name, state in states:
        output.line("pack", object=name, state=state)
    for name, error in sorted(found.bad.items()):
        output.line("index-object", object=name, kind=error.kind, message=error.message)
        output.text(f"✗ {error.message}")
    output.result(
        packs=found.packs,
        index_objects=found.objects,
        unindexed=len(found.unindexed),
        unindexed_bytes=sum(found.unindexed.values()),
        gone=len(found.gone),
        bad=len(found.bad),
    )
    output.text(f"{counted(found.packs, 'pack')}, {counted(found.objects, 'index object')}")
    if found.unindexed:
        output.text(
            f"  {counted(len(found.unindexed), 'pack')} ({size(sum(found.unindexed.values()))} to be read) that no"
            " index object names"
        )
    if found.gone:
        output.text(
            f"  gone, though the index names them: {counted(len(found.gone), 'pack')};"
            " drtool repair snapshots says what that takes"
        )


def _show_done(context: Context, done: IndexRepaired) -> None:
    from dataclasses import asdict

    output = context.output
    output.result(
        rebuilt=len(done.rebuilt),
        chunks=done.chunks,
        removed=done.removed,
        problems=[asdict(problem) for problem in done.left],
    )
    output.text(f"  indexed again: {counted(len(done.rebuilt), 'pack')} with {counted(done.chunks, 'chunk')}")
    if done.removed:
        output.text(f"  replaced: {counted(len(done.removed), 'index object')}")
    for problem in done.left:
        output.text(f"✗ {problem.message}")
