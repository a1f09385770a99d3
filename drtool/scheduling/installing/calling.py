"""How drtool is called from outside of any shell: an absolute path, the configuration, what the environment lacks."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drtool.errors import InstallationError

#: What is done when drtool is called, and what a service of its own does.
RUN, FOLLOW = ("schedule", "run"), ("pitr", "capture", "--follow")
CONFIG = "--config"


@dataclass(frozen=True, slots=True)
class Call:
    """``program`` and ``config`` are absolute. ``variables`` are set for it (no secrets: others may read them);
    ``env_file`` has further ones, which only its owner may read.
    """

    program: Path
    config: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    env_file: Path | None = None

    def words(self, *command: str) -> tuple[str, ...]:
        """The program with its arguments."""
        return (str(self.program), CONFIG, str(self.config), "--quiet", *command)


def this_program() -> Path:
    """The program ``drtool`` of this installation, absolute; ``InstallationError`` where it has none."""
    user = sysconfig.get_preferred_scheme("user")
    folders = (str(Path(sys.executable).parent), sysconfig.get_path("scripts"), sysconfig.get_path("scripts", user))
    for path in (*(Path(folder) / "drtool" for folder in folders), Path(sys.argv[0])):
        if path.name == "drtool" and path.is_file() and os.access(path, os.X_OK):
            return absolute(path)
    raise InstallationError(
        "this drtool has no program that could be called from elsewhere",
        hint="Install it (pip install, pipx or uv), and call that one.",
    )


def absolute(path: Path) -> Path:
    """`path` without ``..`` and from the root. Links stay: what they lead to moves with upgrades."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - which would follow them


def path_of(environment: Mapping[str, str]) -> str:
    """The search path without what is relative, missing, named twice, or another user's (after ``su``, say)."""
    folders = environment.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(one for one in folders if Path(one).is_absolute() and _is_folder(one)))


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:  # it may not be looked at
        return False
