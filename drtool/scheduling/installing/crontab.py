"""The crontab of the user who calls this, through the program ``crontab``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from drtool.errors import InstallationError, MissingToolError, RefusedError
from drtool.local.accounts import user_name
from drtool.scheduling.installing.blocks import with_block, without_block
from drtool.scheduling.installing.calling import RUN, Call
from drtool.scheduling.installing.edits import Edit
from drtool.scheduling.installing.rhythm import Rhythm
from drtool.scheduling.installing.templates import filled
from drtool.scheduling.installing.words import to_cron

_SECONDS = 30
#: Sets what a file says, then becomes the command.
_WITH_FILE = 'set -a; . "$0"; exec "$@"'
#: How crons say that a user has none yet: Vixie's and cronie, busybox.
_NONE = re.compile(r"no crontab for|can't open .*: No such file or directory")


def block_of(call: Call, rhythm: Rhythm) -> str:
    """What a crontab has to hold.

    Variables are set for this command alone: a line ``PATH=`` would hold for every line of the user's below it.
    """
    words = [*(f"{name}={value}" for name, value in call.variables.items())]
    words = ["env", *words] if words else []
    words += ["sh", "-c", _WITH_FILE, str(call.env_file)] if call.env_file else []
    command = to_cron([*words, *call.words(*RUN)])
    return filled("crontab", {"CONFIG": str(call.config), "RHYTHM": rhythm.cron, "COMMAND": command})


class Crontab:
    """``MissingToolError`` where there is no cron. Text is in the bytes' own encoding, whatever that is."""

    def __init__(self) -> None:
        program = shutil.which("crontab")
        if program is None:
            raise MissingToolError(
                "there is no crontab program on this host",
                hint="Install cron, or use systemd's timers: drtool schedule install --systemd",
            )
        self._program = program
        self.name = f"crontab of {user_name()}"

    def read(self) -> str | None:
        """All of it; None where the user has none. ``RefusedError`` where that cannot be told: to write one would then
        be to overwrite one."""
        done = self._run("-l")
        if done.returncode == 0:
            return _decoded(done.stdout)
        said = _decoded(done.stderr).strip()
        if _NONE.search(said):
            return None
        raise RefusedError(
            f"the {self.name} cannot be read: {said or f'exit code {done.returncode}'}",
            hint="May this user have one? See /etc/cron.allow and /etc/cron.deny.",
        )

    def installing(self, call: Call, rhythm: Rhythm) -> Edit:
        """What it takes to have drtool called so."""
        before = self.read()
        return Edit(self.name, before, with_block(before or "", call.config, block_of(call, rhythm)))

    def removing(self, config: Path) -> Edit:
        """What it takes to have drtool called for this configuration no more."""
        before = self.read()
        if before is None:
            return Edit(self.name, None, None)
        after = without_block(before, config)
        return Edit(self.name, before, after if after or not before else None)

    def write(self, edit: Edit) -> None:
        """Do it. ``RefusedError`` where somebody else changed the crontab since."""
        if self.read() != edit.before:
            raise RefusedError(f"the {self.name} was changed by somebody else meanwhile", hint="Do this again.")
        done = self._run("-r") if edit.after is None else self._run("-", edit.after)
        if done.returncode != 0:
            said = _decoded(done.stderr).strip() or f"exit code {done.returncode}"
            raise InstallationError(f"the {self.name} cannot be written: {said}")

    def _run(self, argument: str, table: str | None = None) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                [self._program, argument],
                input=(table or "").encode("utf-8", "surrogateescape"),
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InstallationError(f"{self._program} cannot be run: {error}") from error


def _decoded(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape")
