"""What calls drtool on this host by itself: what was installed, and whether it still fits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from drtool.config.root import Config
from drtool.errors import MissingToolError
from drtool.scheduling.installing.blocks import blocks_of
from drtool.scheduling.installing.calling import CONFIG, FOLLOW, RUN, absolute
from drtool.scheduling.installing.crontab import Crontab
from drtool.scheduling.installing.systemd import Systemd
from drtool.scheduling.installing.units import configuration_of
from drtool.scheduling.installing.words import from_cron, from_unit

_PROCESSES = Path("/proc")
#: Cron daemons, as the kernel knows them.
_DAEMONS = {"cron", "crond", "fcron", "dcron"}


class Kind(StrEnum):
    """What calls drtool."""

    CRON = "cron"
    SYSTEMD = "systemd"


@dataclass(frozen=True, slots=True)
class Installation:
    """One call of drtool. ``where`` is whose crontab, or a unit's path; ``command`` the words that it calls.

    ``active`` says whether cron's daemon, or the timer, is at work; None where that cannot be told.
    """

    kind: Kind
    where: str
    config: Path
    command: tuple[str, ...]
    active: bool | None

    @property
    def program(self) -> Path | None:
        """The drtool that is called; None where the command is not one that drtool wrote."""
        at = self.command.index(CONFIG) if CONFIG in self.command else 0
        return Path(self.command[at - 1]) if at else None

    @property
    def names_config(self) -> bool:
        """Is the configuration that it is marked with the one that it calls drtool with?"""
        at = self.command.index(CONFIG) if CONFIG in self.command else len(self.command)
        return self.command[at + 1 : at + 2] == (str(self.config),)

    @property
    def program_exists(self) -> bool:
        """Is there such a program, for whoever asks?"""
        return self.program is not None and os.access(self.program, os.X_OK)

    @property
    def runs_schedules(self) -> bool:
        """Does it start what is due? (A service may only archive oplogs.)"""
        return self.command[-len(RUN) :] == RUN


def installed(config: Config) -> list[Installation]:
    """What this user's crontab, and manager (the host's, for root), have for a configuration.

    ``RefusedError`` where the crontab cannot be read.
    """
    path = absolute(config.path)
    return [one for one in (*_in_crontab(), *_in_units(Systemd.of_this_account())) if one.config == path]


def cron_runs() -> bool | None:
    """Is a cron daemon at work on this host? None where the processes cannot be seen."""
    try:
        processes = [one for one in _PROCESSES.iterdir() if one.name.isdecimal()]
    except OSError:
        return None
    return any(_name(one) in _DAEMONS for one in processes)


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""  # it has ended


def _in_crontab() -> Iterator[Installation]:
    try:
        crontab = Crontab()
    except MissingToolError:
        return
    for block in blocks_of(crontab.read() or ""):
        calls = [line for line in block.lines if line and not line.startswith("#")]
        command = tuple(from_cron(calls[0])) if calls else ()
        yield Installation(Kind.CRON, crontab.name, block.config, command, cron_runs())


def _in_units(systemd: Systemd) -> Iterator[Installation]:
    units = systemd.all()
    for name, text in units.items():
        config = configuration_of(text)
        if name.endswith(".timer") or config is None:
            continue
        [command] = [line for line in text.splitlines() if line.startswith("ExecStart=")] or [""]
        timer = name.removesuffix(".service") + ".timer"
        words = tuple(from_unit(command.removeprefix("ExecStart=")))
        follows = any(words[at : at + len(FOLLOW)] == FOLLOW for at in range(len(words)))
        active = systemd.is_active(name if follows else timer)
        yield Installation(Kind.SYSTEMD, str(systemd.directory / name), config, words, active)
