"""``drtool schedule install``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.logs import Duration
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.scheduling.installing.rhythm import Rhythm

_EVERY, _EVERY_POD = 60.0, 300.0


@drtool_command(
    example="""
drtool schedule install --cron
drtool schedule install --systemd --follow app
drtool schedule install --cron --env-file ~/.config/drtool/environment --yes
drtool schedule install --kubernetes --image registry.example.org/drtool:1 --namespace backups
"""
)
@click.option("--cron", is_flag=True, help="A marked block in this user's crontab; nothing else in it changes.")
@click.option("--systemd", is_flag=True, help="Units of the host's, for root; of this user's own manager otherwise.")
@click.option("--kubernetes", is_flag=True, help="Print manifests of a CronJob; nothing is applied.")
@click.option("--every", type=Duration(), help="How often to look what is due.  [default: 1m; in a cluster: 5m]")
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="NAME=value lines with what the configuration takes from the environment; made from this shell's values, for"
    " this user only, where it is missing.",
)
@click.option("--follow", multiple=True, metavar="SOURCE", help="With --systemd: a service that archives its oplog.")
@click.option(
    "--writable",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="With --systemd, as root: a directory that hooks write to.",
)
@click.option("--image", metavar="IMAGE", help="With --kubernetes: one with drtool and what the sources need.")
@click.option("--namespace", metavar="NAME", help="With --kubernetes.  [default: default]")
@click.option("--name", metavar="NAME", help="With --kubernetes: what the objects are called.  [default: drtool]")
@click.option("--secret", metavar="NAME", help="With --kubernetes: the Secret that you make.  [default: drtool]")
@click.option("--print", "dry_run", is_flag=True, help="Print what would be installed; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(
    context: Context,
    cron: bool,
    systemd: bool,
    kubernetes: bool,
    every: float | None,
    env_file: Path | None,
    follow: tuple[str, ...],
    writable: tuple[Path, ...],
    dry_run: bool,
    yes: bool,
    **cluster: str | None,
) -> None:
    """Have drtool called regularly, so that what is due by the configuration is done.

    By systemd where it runs this host, else by cron, unless an option says which. Shows what changes, and asks. Done
    again, it replaces what it installed before. Each configuration has an installation of its own.
    """
    from drtool.cli.installing_host import Wishes, as_units, into_crontab
    from drtool.scheduling.installing.rhythm import rhythm
    from drtool.scheduling.installing.systemd import Systemd

    if cron + systemd + kubernetes > 1:
        raise UsageError("--cron, --systemd and --kubernetes exclude each other")
    systemd = systemd or (not cron and not kubernetes and Systemd.of_this_account().booted)
    named = {name: value for name, value in cluster.items() if value is not None}
    if (follow or writable) and not systemd:
        raise UsageError("--follow and --writable go with --systemd")
    if named and not kubernetes:
        raise UsageError(f"--{next(iter(named))} goes with --kubernetes")
    if kubernetes and env_file is not None:
        raise UsageError("--env-file does not go with --kubernetes: a pod has its variables from the Secret")
    often = rhythm(every if every is not None else _EVERY_POD if kubernetes else _EVERY)
    if kubernetes:
        _print_manifests(context, often, named)
        return
    install = as_units if systemd else into_crontab
    install(context, Wishes(often, env_file, follow, writable, dry_run, yes))


def _print_manifests(context: Context, often: Rhythm, named: dict[str, str]) -> None:
    from drtool.scheduling.installing.kubernetes import Cluster, manifests

    made = manifests(context.config(), often, Cluster(**named))
    for warning in made.warnings:
        context.reporter().warn(warning)
    context.output.line("file", name="kubernetes.yaml", content=made.text)
    context.output.text(made.text.removesuffix("\n"))
    context.output.result(secret_keys=list(made.asked))
