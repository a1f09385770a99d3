"""``drtool repair versions``."""

from __future__ import annotations

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.repair_index import maintained
from drtool.cli.units import counted
from drtool.errors import PartialError


@drtool_command(
    example="""
drtool repair versions --dry-run
drtool repair versions
"""
)
@click.option("--dry-run", is_flag=True, help="Say what is hidden or replaced; change nothing.")
def command(context: Context, dry_run: bool) -> None:
    """Bring back what somebody deleted or replaced in a bucket that keeps versions.

    Reading goes on without this: what was hidden is found among the versions. This puts the right version of each
    object on top again. First take away the credentials that did the damage. Index objects are left to drtool repair
    index. Exits with 3 where something could not be brought back.
    """
    from drtool.operations.repair.versions import bring_back, find_hidden

    output = context.output
    with maintained(context) as repository:
        if dry_run:
            found = find_hidden(repository)
            for error in found:
                output.line("hidden", object=error.object, message=error.message)
                output.text(error.message)
            output.result(hidden=len(found))
            output.ok(f"{counted(len(found), 'object')} to bring back; nothing was changed (--dry-run)")
            return
        done = bring_back(repository, context.reporter())
    for name in done.back:
        output.line("back", object=name)
    for failed in done.failed:
        output.line("failed", object=failed.object, message=failed.message)
        output.text(failed.message)
    output.result(back=len(done.back), failed=len(done.failed))
    if done.failed:
        raise PartialError(f"{counted(len(done.failed), 'object')} could not be brought back")
    output.ok(f"{counted(len(done.back), 'object')} brought back" if done.back else "nothing is hidden")
