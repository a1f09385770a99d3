"""Where trees go by their names, which come from a repository: never out of the directory that they are to go below."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from drtool.errors import SourceError, UsageError


def place_of(name: str, directory: Path | None) -> Path:
    """The path of a tree, absolute, or below `directory` (``/srv/app`` at ``DIR/srv/app``, ``/`` at ``DIR/root``)."""
    components = [each for each in name.split("/") if each not in ("", ".")] or ["root"]
    if ".." in components or "\0" in name:
        raise SourceError(
            f"{name!r} is no path that a tree can be restored to", hint="Give it another name with --rename OLD=NEW."
        )
    return Path(name).absolute() if directory is None else directory.joinpath(*components)


def refuse_overlaps(names: Iterable[str]) -> None:
    """``UsageError`` where one tree would lie in another."""
    for one, other in combinations(sorted(names), 2):
        if Path(one) in (Path(other), *Path(other).parents):
            raise UsageError(
                f"{other} would lie in {one}",
                hint="Restore one of them alone (--only), or rename it (--rename OLD=NEW).",
            )
