"""What lies in the place of a collection's directory and is none: a restore neither fills nor removes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drtool.errors import TargetNotEmptyError


def strangers(directory: Path) -> Iterator[str]:
    """The names of everything in `directory` but empty directories; of nothing where there is no such directory."""
    if directory.is_dir():
        yield from (path.name for path in directory.iterdir() if not _is_empty(path))


def not_ours(path: Path, wanted: str) -> TargetNotEmptyError:
    """The error for what is there and not `wanted`."""
    return TargetNotEmptyError(
        f"{path} is there, and is not {wanted}",
        hint="Restore under another name with --rename OLD=NEW, or to another directory with --to.",
    )


def _is_empty(path: Path) -> bool:
    try:
        return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    except OSError:
        return False
