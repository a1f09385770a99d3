"""``drtool schedule remove``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.installing import confirm, show
from drtool.errors import MissingToolError

if TYPE_CHECKING:
    from drtool.scheduling.installing.crontab import Crontab


@drtool_command(
    example="""
drtool schedule remove
drtool schedule remove --cron --yes
drtool --config /etc/drtool/drtool.yaml schedule remove
"""
)
@click.option("--cron", is_flag=True, help="Only from this user's crontab.")
@click.option("--systemd", is_flag=True, help="Only from systemd's units: the host's for root, else this user's.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(context: Context, cron: bool, systemd: bool, yes: bool) -> None:
    """Take away what drtool schedule install put in place for this configuration.

    Shows what changes, and asks. What runs just now is asked to end. The configuration is not read, and need not be
    there any more if --config names it. What was applied to a cluster is yours: kubectl delete cronjob.
    """
    from drtool.scheduling.installing.systemd import Systemd

    config = _named(context)
    crontab = _crontab(cron) if cron or not systemd else None
    table = None if crontab is None else crontab.removing(config)
    units = Systemd.of_this_account()
    files = units.edits(config, {}) if systemd or not cron else []
    if not show(context, [*([] if table is None else [table]), *files]):
        context.output.text(f"nothing is installed for {config}")
        return
    confirm(yes)
    if crontab is not None and table is not None and table.changes:
        crontab.write(table)
    if files:
        units.write(files)
        if units.booted:
            units.run(units.commands(files))
    context.output.ok(f"removed: drtool is no longer called for {config}")


def _named(context: Context) -> Path:
    from drtool.config.places import find_config
    from drtool.scheduling.installing.calling import absolute

    return absolute(context.options.config or find_config())


def _crontab(required: bool) -> Crontab | None:
    from drtool.scheduling.installing.crontab import Crontab

    try:
        return Crontab()
    except MissingToolError:
        if required:
            raise
        return None
