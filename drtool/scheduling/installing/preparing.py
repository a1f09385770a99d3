"""From a configuration and this shell to the call that cron or systemd is to make."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drtool.config.root import Config
from drtool.errors import ConfigError, InstallationError
from drtool.scheduling.installing.calling import Call, absolute, path_of, this_program
from drtool.scheduling.installing.variables import Variables, as_file, names_in, variables_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """``env_text`` is what the call's file of variables is to hold, with secrets; None where there is one already, or
    none is wanted. ``handed_on`` names what such a file sets; ``warnings`` are sentences.
    """

    call: Call
    handed_on: Sequence[str]
    env_text: str | None
    warnings: Sequence[str]

    def write_variables(self) -> None:
        """Make the file of variables, for its owner only; nothing is overwritten."""
        path = self.call.env_file
        if path is None or self.env_text is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.env_text)
        except OSError as error:
            raise InstallationError(f"cannot write {path}: {error.strerror}") from error


def prepare(config: Config, env_file: Path | None, environment: Mapping[str, str] = os.environ) -> Prepared:
    """``ConfigError`` where the configuration needs variables that whatever cron or systemd starts would not have."""
    variables = variables_of(config, environment)
    path = None if env_file is None else absolute(env_file)
    is_there = path is not None and path.exists()
    wanted = [name for name in (*variables.needed, *variables.ambient) if environment.get(name)]
    given = set() if path is None else names_in(path) if is_there else set(wanted)
    if lacking := [name for name in variables.needed if name not in given]:
        raise ConfigError(
            f"the configuration takes {', '.join(lacking)} from the environment, and what cron or systemd starts does"
            " not have this shell's",
            hint=f"Lines NAME=value in {path} are needed."
            if is_there
            else "Name a file for it: --env-file FILE. It is made from this shell's values where there is none.",
        )
    settings = {"PATH": path_of(environment), **variables.settings}
    call = Call(this_program(), absolute(config.path), settings, path)
    text = None if path is None or is_there else as_file(wanted, environment)
    return Prepared(call, sorted(given), text, list(_warnings(config, variables, given, path if is_there else None)))


def _warnings(config: Config, variables: Variables, given: set[str], file: Path | None) -> Iterator[str]:
    if not config.schedules and not any(job.schedule for job in config.jobs.values()):
        yield "nothing in the configuration has a schedule: nothing will ever be due"
    if left := [name for name in variables.ambient if name not in given]:
        yield f"{', '.join(left)} of this shell is not handed on; --env-file FILE would"
    if variables.temporary:
        yield "the store's credentials in this shell expire (AWS_SESSION_TOKEN), and are not handed on: use a profile"
    if file is not None and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield f"{file} can be read by other users: chmod 600 {file}"
