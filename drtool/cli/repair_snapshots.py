"""``drtool repair snapshots``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from drtool.cli.choices import known, refresh_index, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.losses import advice, show_losses, show_marked
from drtool.cli.units import counted
from drtool.errors import PartialError, VerificationFailedError

if TYPE_CHECKING:
    from drtool.repository.repository import Repository


@drtool_command(
    example="""
drtool repair snapshots --dry-run
drtool repair snapshots --read
drtool repair snapshots --acknowledge
"""
)
@click.option("--read", "reads", is_flag=True, help="Read every pack and look at its checksum, too.")
@click.option("--dry-run", is_flag=True, help="Say what is lost, and mark nothing.")
@click.option(
    "--acknowledge",
    is_flag=True,
    help="Put on record, signed by a maintainer, that the snapshots missing from a chain are lost for good.",
)
def command(context: Context, reads: bool, dry_run: bool, acknowledge: bool) -> None:
    """Find what lost or damaged packs took: which records of which streams of which snapshots.

    Packs that are gone, and those that a verification found damaged, are marked, so that no backup relies on them: the
    next one stores their chunks anew, as far as the source still holds the records, and that heals older snapshots,
    too. What is whole can be restored all the same (restore --only). Exits with 3 where something is lost.
    """
    from drtool.operations.repair.snapshots import SnapshotRepair
    from drtool.operations.runs import registered
    from drtool.repository.runs import Run

    reporter = context.reporter()
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(_opened(context))
        if acknowledge and not dry_run:
            _acknowledge(context, opened)
        stack.enter_context(registered(opened, "repair", "", reporter) if dry_run else Run(opened, "repair"))
        found = known(context, opened)
        problems = [*found.problems, *refresh_index(opened, reporter)]
        repair = SnapshotRepair(opened, reporter)
        losses = repair.find(found.catalogue.snapshots, reads=reads)
        if (losses.bad or losses.sound) and not dry_run:
            marked = repair.mark(losses)
            if marked.pages:
                problems += losses.problems
                opened.refresh_index()
                losses = repair.find(found.catalogue.snapshots)
            if losses.bad:
                show_marked(context, losses, marked)
        problems += losses.problems
    show_losses(context, losses)
    if losses.damages:
        raise PartialError(
            f"{len(losses.damages)} of {counted(losses.snapshots, 'snapshot')} lack something",
            hint=advice(losses, dry_run=dry_run),
        )
    if problems:
        raise VerificationFailedError(
            f"no snapshot lacks anything, but: {problems[0].message}",
            hint="Of packs that were altered the next drtool backup stores anew what it needs; drtool verify shows what"
            " is wrong then.",
        )
    context.output.ok(f"{counted(losses.snapshots, 'snapshot')}, and all that they need is there")


@contextlib.contextmanager
def _opened(context: Context) -> Iterator[Repository]:
    """With the identity where there is one: it tells keys, and more of what is whole; else with a maintainer's key."""
    from drtool.operations.opening import maintained

    settings = context.config().repository
    if settings.identity is None and settings.maintenance is not None:
        opening = maintained(settings, cancelled=context.stopping)
    else:
        opening = repository(context, reads_data=settings.identity is not None, from_store=True)
    with opening as opened:
        yield opened


def _acknowledge(context: Context, opened: Repository) -> None:
    from drtool.operations.repair.acknowledging import acknowledge, told

    gone = acknowledge(opened, wait=context.stopping.wait)
    context.output.result(
        acknowledged={
            "snapshots": [{"job": one.chain[2], "number": one.number} for one in gone.snapshots],
            "evidence": gone.evidence,
        }
    )
    for one in gone.snapshots:
        context.output.text(f"on record as lost: {told(one)}")
    if gone.evidence:
        context.output.text(f"on record as lost: {counted(gone.evidence, 'piece', 'pieces')} of evidence")
    if not gone.snapshots and not gone.evidence:
        context.output.text("nothing is missing from a chain: there is nothing to acknowledge")
