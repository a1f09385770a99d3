"""One run of a job, and one capture of a source, at a time on one host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drtool.local.locks import held


@contextmanager
def job_lock(directory: Path, job: str) -> Iterator[None]:
    """Hold the job's lock; ``LockedError`` while another process does. A dead process holds nothing."""
    doing = f"job {job} is being backed up, or restored in place,"
    with held(directory / f"{job}.lock", doing, "Wait for it; if it hangs, end it: what it uploaded is reused."):
        yield


@contextmanager
def capture_lock(directory: Path, source: str) -> Iterator[None]:
    """Hold the lock on archiving a source's log; ``LockedError`` while another process does."""
    hint = "One is enough: a running capture --follow archives everything."
    with held(directory / f"{source}.capture.lock", f"the log of {source} is being archived", hint):
        yield


@contextmanager
def copy_lock(directory: Path) -> Iterator[None]:
    """Hold the lock on copying to a repository, whose local state is in `directory`; ``LockedError`` while another
    process does."""
    hint = "Wait for it: it copies everything that is missing there. If it hangs, end it: what it sent is reused."
    with held(directory / "copy.lock", "snapshots are being copied there", hint):
        yield
