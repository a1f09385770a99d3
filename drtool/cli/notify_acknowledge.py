"""``drtool notify acknowledge``."""

from __future__ import annotations

import os

import click

from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool notify acknowledge failed/backup/nightly
drtool notify acknowledge disk/state --who alice
"""
)
@click.argument("key")
@click.option("--who", metavar="NAME", help="Who sees to it; without it, whoever calls this.")
def command(context: Context, key: str, who: str | None) -> None:
    """Say that somebody sees to an alert: it is not repeated any more.

    Nobody further is turned to either, and those who were told of it hear who sees to it. It is told again when it
    gets worse, and its end is. KEY is that of drtool notify list.
    """
    from drtool.local.accounts import user_name
    from drtool.operations.unattended.alerting.alerts import acknowledge
    from drtool.operations.unattended.alerting.telling import tell

    config = context.config_for_alerts()
    name = who or os.environ.get("SUDO_USER") or user_name()
    alert = acknowledge(config, key, name)
    tell(config, context.reporter())
    context.output.result(alert=key, who=name)
    context.output.ok(f"{name} sees to it: {alert.condition.title}")
