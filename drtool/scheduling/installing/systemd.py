"""Units of the host, where root installs them, else of the user's own manager."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import InstallationError
from drtool.local.accounts import user_name
from drtool.scheduling.installing.edits import Edit
from drtool.scheduling.installing.units import configuration_of

_BOOTED = Path("/run/systemd/system")
_LINGERING = Path("/var/lib/systemd/linger")
_NAME = "drtool"
#: A service that is stopped has five minutes to end in good order.
_SECONDS = 330


@dataclass(frozen=True, slots=True)
class Systemd:
    """Where units are put, for whom, and whether systemd runs this host (else it cannot be told of them)."""

    directory: Path
    user: bool
    booted: bool

    @classmethod
    def of_this_account(cls) -> Systemd:
        """The host's for root, else the user's."""
        user = os.geteuid() != 0
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        directory = home / "systemd" / "user" if user else Path("/etc/systemd/system")
        return cls(directory, user, _BOOTED.is_dir())

    @property
    def lingers(self) -> bool:
        """Do its units run while nobody is logged in?"""
        return not self.user or (_LINGERING / user_name()).exists()

    def owned(self, config: Path) -> dict[str, str]:
        """The units there for a configuration: names of files and their texts."""
        return {name: text for name, text in self.all().items() if configuration_of(text) == config}

    def all(self) -> dict[str, str]:
        """All units that drtool wrote there."""
        found = {}
        for path in sorted(self.directory.glob(f"{_NAME}*.*")):
            if path.suffix in (".service", ".timer") and path.is_file():
                text = self._read(path)
                if configuration_of(text) is not None:
                    found[path.name] = text
        return found

    def free_name(self, config: Path) -> str:
        """What the units of a configuration are called: as they are already, else the first name that is free."""
        for timer in self.owned(config):
            if timer.endswith(".timer"):
                return timer.removesuffix(".timer")
        names = (_NAME if number == 1 else f"{_NAME}-{number}" for number in range(1, 1000))
        return next(name for name in names if not any(self.directory.glob(f"{name}.*")))

    def edits(self, config: Path, units: Mapping[str, str]) -> list[Edit]:
        """What it takes to have these units for a configuration, and no others of it."""
        there = self.owned(config)
        names = sorted({*there, *units})
        return [Edit(str(self.directory / name), there.get(name), units.get(name)) for name in names]

    def write(self, edits: Iterable[Edit]) -> None:
        """Do it; what goes is stopped before. systemd is to be told with `commands` afterwards."""
        for edit in sorted(edits, key=lambda edit: not edit.name.endswith(".timer")):  # else it would start it again
            path = Path(edit.name)
            try:
                if edit.after is None:
                    if self.booted and edit.before is not None:
                        self.run([self.command("disable", "--now", path.name)])
                    path.unlink(missing_ok=True)
                elif edit.changes:
                    self._put(path, edit.after)
            except OSError as error:
                raise InstallationError(f"cannot write {path}: {error.strerror}") from error

    def commands(self, edits: Sequence[Edit]) -> list[list[str]]:
        """What makes systemd go by the units as they then are."""
        kept = [Path(edit.name).name for edit in edits if edit.after is not None]
        started = [name for name in kept if name.endswith((".timer", "-capture.service"))]
        starting = [self.command("enable", *started), self.command("restart", *started)] if started else []
        return [self.command("daemon-reload"), *starting]

    def command(self, *words: str) -> list[str]:
        """A call of systemctl to this manager."""
        return ["systemctl", *(["--user"] if self.user else []), *words]

    def run(self, commands: Iterable[Sequence[str]]) -> None:
        """Call systemctl. ``InstallationError`` with what it says where it fails."""
        for command in commands:
            done = self._called(command)
            if done is None or done.returncode != 0:
                said = "it is not installed" if done is None else done.stderr.strip() or f"exit code {done.returncode}"
                hint = (
                    "A session of the user's is needed (XDG_RUNTIME_DIR): log in, do not use su." if self.user else ""
                )
                raise InstallationError(f"{' '.join(command)} failed: {said}", hint=hint)

    def is_active(self, unit: str) -> bool | None:
        """Does it run, or wait for its time? None where that cannot be told."""
        done = self._called(self.command("is-active", "--quiet", unit)) if self.booted else None
        return None if done is None else done.returncode == 0

    def _called(self, command: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
        if shutil.which(command[0]) is None:
            return None
        try:
            return subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InstallationError(f"{' '.join(command)} cannot be run: {error}") from error

    def _put(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(path)

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise InstallationError(f"cannot read {path}: {error.strerror}") from error
