"""``drtool retention apply``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.retention_lines import figures, require_job, show_plan, told
from drtool.cli.units import counted
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.operations.retention.applying import Applied

_HASH = re.compile(r"[0-9a-fA-F]{12,64}")


@drtool_command(
    example="""
drtool retention apply
drtool retention apply nightly --plan 5f3a9c17e2d04b66
"""
)
@click.argument("job", required=False)
@click.option("--plan", "expected", metavar="HASH", help="Remove exactly what this plan showed, or nothing.")
@click.option(
    "--despite",
    multiple=True,
    type=click.Choice(["surplus", "damage"]),
    help="Go on although a job has too many snapshots, or something cannot be read (again for both).",
)
def command(context: Context, job: str | None, expected: str | None, despite: tuple[str, ...]) -> None:
    """Remove the snapshots that their policy does not keep.

    What goes is announced in the repository first, signed, so that it can be told from tampering. What an earlier
    run announced and did not finish is finished. The data itself goes with drtool prune. Needs a key with the role
    maintainer (repository.maintenance, or the identity).

    Exits with 20, and removes nothing, while a job has three times the snapshots that its rhythm explains, something in
    the repository cannot be read, this host's clock is wrong, or the plan is not the one named.
    """
    from drtool.operations.opening import maintained
    from drtool.operations.retention.applying import apply
    from drtool.operations.retention.planning import Obstacle

    if expected is not None and not _HASH.fullmatch(expected):
        raise UsageError("--plan: give the hash that drtool retention plan printed, at least 12 digits of it")
    config = context.config()
    if job is not None and job not in config.jobs:
        raise UsageError(f"there is no job {job!r}", hint=f"Jobs: {', '.join(sorted(config.jobs))}")
    with (
        context.attended("retention apply", job=job or "") as run,
        maintained(config.repository, cancelled=context.stopping) as opened,
    ):
        applied = apply(
            opened,
            config.jobs,
            context.reporter(),
            only=job,
            expected=None if expected is None else expected.lower(),
            despite={Obstacle(word) for word in despite},
            wait=context.stopping.wait,
        )
        run.figures |= {"removed": len(applied.announced), "finished": applied.finished, "locked": applied.locked}
    _show(context, job, applied)


def _show(context: Context, job: str | None, applied: Applied) -> None:
    plan, output = applied.plan, context.output
    require_job(context, job, plan)
    output.result(**figures(plan), announced=list(applied.announced), finished=applied.finished, locked=applied.locked)
    output.result(carried_out_before=bool(applied.before))
    show_plan(context, plan)
    if applied.finished:
        output.text(f"finished an earlier run: {counted(applied.finished, 'object')} that it had announced")
    if applied.before:
        output.result(plan=applied.before)
        output.ok(f"plan {applied.before[:16]} was carried out before; nothing else was decided or removed")
        return
    if not plan.removal:
        output.ok("nothing had to go")
        return
    output.ok(f"removed {told(plan)}")
    if applied.locked:
        output.text(f"{applied.locked} of these objects are hidden only: the store keeps them locked for a while")
    output.text("what only they needed is freed with: drtool prune")
