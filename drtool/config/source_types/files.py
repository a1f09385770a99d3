"""``type: files``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drtool.config.paths import ConfigPath
from drtool.config.source_types.base import SourceSettings


def _apart(paths: Sequence[Path]) -> Sequence[Path]:
    for one, other in combinations(paths, 2):
        if one == other or one in other.parents or other in one.parents:
            raise ValueError(f"{other} and {one} overlap: name only the outer one")
    return paths


def _ignore_pattern(pattern: str) -> str:
    from pathspec import GitIgnoreSpec  # which takes its time, and most trees have no pattern

    try:
        GitIgnoreSpec.from_lines([pattern])
    except ValueError as error:  # which every error of a pattern is
        raise ValueError("must be a pattern as in .gitignore") from error
    return pattern


class FilesSettings(SourceSettings):
    """Trees of files: an application's code and configuration, uploads."""

    type: Literal["files"]
    paths: Annotated[tuple[ConfigPath, ...], AfterValidator(_apart)] = Field(
        min_length=1, description="Directories or files to back up; one that is a link stands for what it leads to."
    )
    exclude: tuple[Annotated[str, AfterValidator(_ignore_pattern)], ...] = Field(
        default=(), description="What is left out of each: patterns as in .gitignore, the last that fits decides."
    )
    one_file_system: bool = Field(
        default=False, description="Leave out what other file systems that are mounted inside hold."
    )
    cache: bool = Field(
        default=True,
        description="Remember on this host what was read, so that files with the same times, size and inode are not"
        " read again.",
    )
