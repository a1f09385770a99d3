"""``drtool status``."""

from __future__ import annotations

import click

from drtool.cli.command import Context, drtool_command
from drtool.errors import DrtoolError

_UNKNOWN = 3


@drtool_command(
    example="""
drtool status
drtool status --json
drtool status --nagios
"""
)
@click.option(
    "--nagios", is_flag=True, help="One line with Nagios' exit codes: 0 ok, 1 warning, 2 critical, 3 unknown."
)
def command(context: Context, nagios: bool) -> None:
    """Show how everything stands: what succeeded last, what comes next, what did not happen.

    A job is ok, late (there should have been another snapshot by now), failed (its last run was) or never (it has no
    snapshot). Runs, schedules and alerts are those of this host; snapshots are the repository's, whichever host took
    them. While it does not answer, what this host kept of it is shown, with its age.

    Exits with 0 whatever it shows; with --nagios, as a check should.
    """
    from drtool.cli.nagios import check
    from drtool.cli.status_lines import show_status
    from drtool.operations.unattended.standing.status import status_of

    if not nagios:
        show_status(context, status_of(context.config()))
        return
    try:
        status = status_of(context.config())
    except DrtoolError as error:
        context.output.text(f"DRTOOL UNKNOWN - {error.message}".replace("|", "/").replace("\n", "; "))
        context.output.result(check="unknown", message=error.message, hint=error.hint)
        raise click.exceptions.Exit(_UNKNOWN) from error
    found = check(status)
    context.output.text(found.line)
    context.output.result(check=found.word, message=found.text)
    raise click.exceptions.Exit(found.code)
