"""``drtool metrics``."""

from __future__ import annotations

from pathlib import Path

import click

from drtool.cli.command import Context, drtool_command
from drtool.errors import UsageError


@drtool_command(
    example="""
drtool metrics
drtool metrics --textfile /var/lib/prometheus/node-exporter/drtool.prom
drtool metrics --rules > /etc/prometheus/rules/drtool.yml
drtool metrics --dashboard > drtool-dashboard.json
"""
)
@click.option("--textfile", type=click.Path(path_type=Path), metavar="FILE", help="Write them to FILE, all at once.")
@click.option("--rules", is_flag=True, help="Print alert rules for Prometheus in their place.")
@click.option("--dashboard", is_flag=True, help="Print a dashboard for Grafana in their place.")
def command(context: Context, textfile: Path | None, rules: bool, dashboard: bool) -> None:
    """Print what Prometheus is to know of backups and their schedules.

    Worked out anew each time, from the repository and from what this host has on record. With metrics.textfile in the
    configuration each run leaves it there, for the node exporter's textfile collector.

    With --json, what would be printed is the field "metrics", "rules" or "dashboard" of the result.
    """
    if (textfile is not None) + rules + dashboard > 1:
        raise UsageError("--textfile, --rules and --dashboard exclude each other")
    if rules or dashboard:
        _print_shipped(context, dashboard=dashboard)
        return
    from drtool.monitoring.textfile import write_textfile
    from drtool.operations.unattended.standing.exposing import exposition
    from drtool.operations.unattended.standing.status import status_of

    config = context.config()
    text = exposition(status_of(config), config.metrics.labels if config.metrics else {})
    if textfile is not None:
        write_textfile(textfile.absolute(), text)
        context.output.result(textfile=textfile.absolute())
        context.output.ok(f"wrote {textfile}")
    else:
        context.output.result(metrics=text)
        context.output.text(text.rstrip("\n"))


def _print_shipped(context: Context, *, dashboard: bool) -> None:
    from drtool.monitoring.shipped import DASHBOARD, RULES, read

    text = read(DASHBOARD if dashboard else RULES)
    context.output.result(**{"dashboard" if dashboard else "rules": text})
    context.output.text(text.rstrip("\n"))
