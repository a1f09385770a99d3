"""This host: what of Python's packages is installed, and whether there is room and a place for local state."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from drtool.operations.doctor.findings import Finding, Verdict

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings

_GB = 1_000_000_000
#: Less than this is little: a run's packs wait there, and its state grows by some of it.
_LITTLE_BYTES = 2 * _GB


def examine_host(settings: RepositorySettings) -> Iterator[Finding]:
    """Packages, and the directories that drtool writes to on this host."""
    yield _packages()
    for name, directory in (("state", settings.state_dir), ("cache", settings.cache_dir)):
        yield _directory(name, directory)


def _packages() -> Finding:
    """What drtool's own package asks for; an upgrade of another one may have moved it."""
    wrong = []
    for text in requires("drtool") or []:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(found, prereleases=True):
            wrong.append(f"{needed.name} is {found}, not {needed.specifier}")
    if wrong:
        return Finding(
            "packages", Verdict.FAILED, "; ".join(wrong), "Install drtool again into an environment of its own."
        )
    return Finding("packages", Verdict.OK, f"drtool {version('drtool')} has what it needs")


def _directory(name: str, directory: Path) -> Finding:
    check = f"{name} directory"
    there = next(path for path in (directory, *directory.parents) if path.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        hint = f"Let this user write there, or set repository.{name}_dir."
        return Finding(check, Verdict.FAILED, f"{there} cannot be written by this user", hint)
    free = shutil.disk_usage(there).free
    if free < _LITTLE_BYTES:
        about = f"{free / _GB:.1f} GB free in {there}"
        return Finding(
            check, Verdict.WARNING, about, f"Make room, or set repository.{name}_dir: a full disk ends runs."
        )
    return Finding(check, Verdict.OK, f"{directory}, {free / _GB:,.0f} GB free")
