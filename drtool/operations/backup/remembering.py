"""Where a source keeps on this host what makes its next reading quicker."""

from __future__ import annotations

from pathlib import Path

_SOURCES = "sources"


def memory_of(directory: Path, job: str, source: str) -> Path:
    """The directory for a source of a job, in a repository's own directory of local state."""
    return directory / _SOURCES / job / source


def was_read_here(state_dir: Path, job: str, source: str) -> bool:
    """Did this host ever begin to read a source of a job, into any repository whose state is in `state_dir`?"""
    return any(state_dir.glob(f"*/{_SOURCES}/{job}/{source}"))
