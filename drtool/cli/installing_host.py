"""``drtool schedule install`` on this host: into the user's crontab, or as systemd units."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.cli.command import Context
from drtool.cli.installing import confirm, show
from drtool.cli.logs import log_sources
from drtool.cli.units import duration

if TYPE_CHECKING:
    from drtool.scheduling.installing.edits import Edit
    from drtool.scheduling.installing.preparing import Prepared
    from drtool.scheduling.installing.rhythm import Rhythm
    from drtool.scheduling.installing.systemd import Systemd


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for beside the kind."""

    rhythm: Rhythm
    env_file: Path | None
    follow: Sequence[str]
    writable: Sequence[Path]
    only_print: bool
    yes: bool


def into_crontab(context: Context, wishes: Wishes) -> None:
    """A block in the crontab of whoever calls this."""
    from drtool.scheduling.installing.crontab import Crontab, block_of
    from drtool.scheduling.installing.finding import cron_runs

    prepared = _prepared(context, wishes)
    if wishes.only_print:
        _print(context, "crontab", block_of(prepared.call, wishes.rhythm))
        return
    crontab = Crontab()
    edit = crontab.installing(prepared.call, wishes.rhythm)
    if _agreed(context, [edit], prepared, wishes):
        crontab.write(edit)
    if cron_runs() is False:
        context.reporter().warn("no cron daemon runs on this host: nothing is called until one does")
    _tell(context, "cron", crontab.name, wishes)


def as_units(context: Context, wishes: Wishes) -> None:
    """Units of the host's for root, else of the user's own manager."""
    from drtool.scheduling.installing.systemd import Systemd
    from drtool.scheduling.installing.units import units_of
    from drtool.scheduling.installing.writable import kept_by, writable

    prepared, config, systemd = _prepared(context, wishes), context.config(), Systemd.of_this_account()
    follow = log_sources(context, wishes.follow) if wishes.follow else []
    units = units_of(
        config,
        prepared.call,
        wishes.rhythm,
        name=systemd.free_name(prepared.call.config),
        user=systemd.user,
        writable=writable(config, wishes.writable),
        follow=follow,
    )
    if wishes.only_print:
        for name, text in units.items():
            _print(context, str(systemd.directory / name), f"# {systemd.directory / name}\n{text}")
        return
    edits = systemd.edits(prepared.call.config, units)
    if _agreed(context, edits, prepared, wishes):
        for directory in kept_by(config):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        systemd.write(edits)
    _start(context, systemd, edits)
    _tell(context, "systemd", str(systemd.directory), wishes)


def _prepared(context: Context, wishes: Wishes) -> Prepared:
    from drtool.scheduling.installing.preparing import prepare

    prepared = prepare(context.config(), wishes.env_file)
    for warning in prepared.warnings:
        context.reporter().warn(warning)
    return prepared


def _agreed(context: Context, edits: Sequence[Edit], prepared: Prepared, wishes: Wishes) -> bool:
    """Show what changes; once that is confirmed, the file of variables is made."""
    changes = show(context, edits)
    if prepared.env_text is not None:
        names = ", ".join(prepared.handed_on) or "nothing yet"
        context.output.text(f"{prepared.call.env_file} will be made, for this user only, with {names}")
    if changes or prepared.env_text is not None:
        confirm(wishes.yes)
        prepared.write_variables()
    else:
        context.output.text("nothing changes: it is installed already")
    return changes


def _start(context: Context, systemd: Systemd, edits: Sequence[Edit]) -> None:
    commands = systemd.commands(edits)
    context.output.result(systemd_runs=systemd.booted, commands=commands)
    if systemd.booted:
        systemd.run(commands)
    else:
        context.reporter().warn("systemd does not run this host just now; where it does, call:")
        for command in commands:
            context.output.text(f"  {shlex.join(command)}")
    if not systemd.lingers:
        context.reporter().warn("units of a user run while that user is logged in; always: loginctl enable-linger")


def _print(context: Context, name: str, text: str) -> None:
    context.output.line("file", name=name, content=text)
    context.output.text(text.removesuffix("\n"))


def _tell(context: Context, kind: str, where: str, wishes: Wishes) -> None:
    from drtool.errors import StateError
    from drtool.operations.unattended.configuration.keeping import keep

    try:
        keep(context.config())  # here, where nothing confines drtool to the state directory
    except StateError as error:
        context.reporter().warn(f"{error.message}; {error.hint}")
    context.output.result(installed=kind, where=where, every=wishes.rhythm.seconds)
    context.output.ok(f"installed in {where}: looks every {duration(wishes.rhythm.seconds)} what is due")
    context.output.text("what that is, and when: drtool schedule list")
