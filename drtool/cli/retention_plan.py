"""``drtool retention plan``."""

from __future__ import annotations

import click

from drtool.cli.choices import repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.retention_lines import figures, require_job, show_plan, told


@drtool_command(
    example="""
drtool retention plan
drtool retention plan nightly --json
drtool retention apply --plan 5f3a9c17e2d04b66
"""
)
@click.argument("job", required=False)
def command(context: Context, job: str | None) -> None:
    """Show which snapshots stay and which go, and why.

    Changes nothing. Whatever the policy says, these stay: the newest snapshot, the newest complete one, the newest
    verified ones (readable, restored), protected ones, those of a job that is being restored or exported just now, and
    those whose time cannot be right. A job without a policy keeps everything. With snapshots go evidence about them
    (but for trial restores) and oplog segments that no other snapshot leads into.

    The plan has a hash: drtool retention apply --plan HASH removes exactly what it shows, or refuses.
    """
    from drtool.operations.retention.applying import hint_for
    from drtool.operations.retention.planning import make_plan

    with repository(context) as opened:
        plan = make_plan(opened, context.config().jobs, job)
    require_job(context, job, plan)
    context.output.result(**figures(plan))
    show_plan(context, plan)
    reporter = context.reporter()
    for objection in plan.objections:
        reporter.warn(f"retention apply refuses, and removes nothing: {objection.message}. {hint_for(objection)}")
    if plan.objections:
        return
    if not plan.removal:
        context.output.text("nothing goes")
        return
    of = f" {job}" if job is not None else ""
    context.output.text(f"plan {plan.hash} removes {told(plan)}")
    context.output.text(f"remove exactly these with: drtool retention apply{of} --plan {plan.hash[:16]}")
