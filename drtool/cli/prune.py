"""``drtool prune``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.units import counted, duration, size
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.operations.prune.planning import Plan
    from drtool.operations.prune.prune import Pruned


@drtool_command(
    example="""
drtool prune --dry-run
drtool prune
drtool prune --wait 2h --max-unused 30%
"""
)
@click.option("--dry-run", is_flag=True, help="Say what would go; write nothing.")
@click.option("--wait", metavar="DURATION", help="Wait so long for backups that are running (30s, 15m, 2h).")
@click.option(
    "--max-unused",
    metavar="P%",
    default="50%",
    show_default=True,
    help="Rewrite packs of which more than this is in use by nothing; 100% rewrites none.",
)
@click.option(
    "--accept-losses",
    is_flag=True,
    help="Go on although snapshots are gone that nobody announced to remove: what only they need goes for good.",
)
def command(context: Context, dry_run: bool, wait: str | None, max_unused: str, accept_losses: bool) -> None:
    """Delete what no snapshot and no archived log needs any more.

    Safe beside backups and restores that are running. Packs are marked first and deleted once every run that may use
    them has ended; where one goes on, prune says which, and the next prune deletes. Needs a key with the role
    maintainer.
    """
    from drtool.operations.opening import maintained
    from drtool.operations.prune.planning import Rules
    from drtool.operations.prune.prune import Wishes, preview, prune

    wishes = Wishes(Rules(_share(max_unused)), _seconds(wait), accept_losses)
    settings = context.config().repository
    if dry_run:
        with maintained(settings, cancelled=context.stopping) as repository:
            done = preview(repository, wishes)
    else:
        with context.attended("prune") as run, maintained(settings, cancelled=context.stopping) as repository:
            done = prune(repository, wishes, context.reporter(), context.stopping)
            run.figures |= {"freed_bytes": done.swept.freed_bytes, "deleted_packs": len(done.swept.deleted)}
            run.figures |= {"waiting_for": len(done.waiting), "problems": len(done.swept.problems)}
    _tell(context, done, dry_run)


def _tell(context: Context, done: Pruned, dry_run: bool) -> None:
    _show_result(context, done, dry_run)
    if dry_run:
        _show_plan(context, done.plan)
    else:
        _show_done(context, done)
    _show_rest(context, done, dry_run)
    context.output.text(f"{counted(done.requests, 'request')} in {duration(done.seconds)}")


def _show_result(context: Context, done: Pruned, dry_run: bool) -> None:
    plan, swept = done.plan, done.swept
    context.output.result(
        dry_run=dry_run,
        unused=_figures(plan.dead),
        rewritten={**_figures(plan.rewritten), "moved_bytes": plan.move_bytes},
        unindexed=_figures(plan.unindexed),
        marked_before=_figures(plan.marked),
        left={"young": _figures(plan.young), "locked": _figures(plan.locked), "unclear": len(plan.unclear)},
        index={"objects": len(plan.index.objects)} if dry_run else {"objects": swept.merged, "into": swept.into},
        deleted=_figures(swept.deleted),
        made=_figures(swept.made),
        released=len(swept.released),
        kept=len(swept.kept),
        freed_bytes=plan.freed_bytes if dry_run else swept.freed_bytes,
        problems=[{"object": problem.object, "message": problem.message} for problem in swept.problems],
        waiting_for=[
            {"run": run.id, "kind": run.kind, "job": run.job, "host": run.host, "renewed": run.renewed}
            for run in done.waiting
        ],
        requests=done.requests,
        seconds=round(done.seconds, 3),
    )


def _figures(packs: dict[bytes, int]) -> dict[str, int]:
    return {"packs": len(packs), "bytes": sum(packs.values())}


def _show_plan(context: Context, plan: Plan) -> None:
    text = context.output.text
    if not (plan.packs or plan.marked or plan.index.objects):
        context.output.ok("nothing to do")
        return
    if plan.dead:
        text(f"to delete: {_sum(plan.dead)} that nothing needs")
    if plan.rewritten:
        text(f"to rewrite: {_sum(plan.rewritten)}, of which {size(plan.move_bytes)} are in use")
    if plan.unindexed:
        text(f"to delete: {_sum(plan.unindexed)} that a killed run left")
    if plan.marked:
        text(f"marked by an earlier prune: {_sum(plan.marked)}")
    if plan.index.objects:
        text(f"to merge: {counted(len(plan.index.objects), 'index object')}")
    text(f"would free {size(plan.freed_bytes)}")


def _show_done(context: Context, done: Pruned) -> None:
    swept, output = done.swept, context.output
    for problem in swept.problems:
        output.text(f"✗ left as it is: {problem.message}")
    if swept.made:
        output.text(f"moved what is in use into {_sum(swept.made)}")
    if swept.released:
        output.text(f"{counted(len(swept.released), 'marked pack')} came into use again: kept")
    if swept.merged:
        output.text(f"{counted(swept.merged, 'index object')} merged into {swept.into:,}")
    if swept.deleted:
        output.ok(f"deleted {_sum(swept.deleted)}: freed {size(swept.freed_bytes)}")
    elif not done.waiting:
        output.ok("nothing to delete")
    if done.waiting:
        gone = swept.deleted.keys() | swept.released | swept.kept
        marked = {pack: size for pack, size in {**done.plan.packs, **done.plan.marked}.items() if pack not in gone}
        output.text(f"marked {_sum(marked)}, to be deleted by the next prune")


def _show_rest(context: Context, done: Pruned, dry_run: bool) -> None:
    from drtool.operations.prune.prune import described

    text, plan = context.output.text, done.plan
    if plan.young:
        text(f"left alone: {_sum(plan.young)} as new as a run that goes on")
    if plan.locked:
        text(f"left alone: {_sum(plan.locked)} that the store locks")
    if done.swept.kept and not done.swept.problems:
        text(f"left: {counted(len(done.swept.kept), 'pack')} that the store does not give up yet")
    if plan.unclear:
        text(f"left alone: {counted(len(plan.unclear), 'pack')} in no index object: drtool repair index")
    for run in done.waiting:
        text(f"{'would wait' if dry_run else 'waiting'} for {described(run)}")


def _sum(packs: dict[bytes, int]) -> str:
    return f"{counted(len(packs), 'pack')} ({size(sum(packs.values()))})"


def _share(text: str) -> float:
    number = text.removesuffix("%").strip()
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not (text.endswith("%") and 0 <= value <= 100):
        raise UsageError(f"--max-unused {text}: write a share from 0% to 100%")
    return value / 100


def _seconds(text: str | None) -> float:
    from drtool.config.model import parse_duration

    try:
        return 0.0 if text is None else parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--wait {text}: {error}") from error
