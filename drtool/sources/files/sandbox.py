"""A directory to restore into and throw away."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DirectorySandbox:
    """A directory that only this account may enter (``drtool.sources.base.Sandbox``)."""

    uri: str


@contextlib.contextmanager
def sandbox(directory: Path) -> Iterator[DirectorySandbox]:
    """One below `directory`, gone at the end."""
    path = directory / "files"
    path.mkdir(mode=0o700)
    try:
        yield DirectorySandbox(str(path))
    finally:
        _open_up(path)
        shutil.rmtree(path)


def _open_up(path: Path) -> None:
    """Who is not root cannot empty a directory that was restored read-only."""
    for directory, names, _ in os.walk(path):
        for name in names:
            inner = Path(directory, name)
            if not inner.is_symlink():
                inner.chmod(0o700)
