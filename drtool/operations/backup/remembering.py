"""Where a source keeps on this host what makes its next reading quicker."""

from __future__ import annotations

from pathlib import Path


def memory_of(directory: Path, job: str, source: str) -> Path:
    """The directory for a source of a job, in a repository's own directory of local state."""
    return directory / "sources" / job / source


def was_read_here(state_dir: Path, job: str, source: str) -> bool:
    """Did this host ever begin to read a source of a job, into any repository whose state is in `state_dir`?"""
    return any(state_dir.glob(str(memory_of(Path("*"), job, source))))
