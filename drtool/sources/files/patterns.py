"""What is left out: patterns as in .gitignore, relative to each tree."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

Excluded = Callable[[bytes, bool], bool]
"""Takes a path relative to the tree and whether it is a directory."""


def excluder(patterns: Sequence[str]) -> Excluded | None:
    """None where nothing is left out. ``ValueError`` for what is no pattern."""
    if not patterns:
        return None
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(patterns)

    def excluded(path: bytes, is_directory: bool) -> bool:
        return spec.match_file(os.fsdecode(path) + ("/" if is_directory else ""))

    return excluded


def either(one: Excluded | None, other: Excluded | None) -> Excluded | None:
    """What one of the two leaves out."""
    if one is None or other is None:
        return one or other
    return lambda path, is_directory: one(path, is_directory) or other(path, is_directory)
