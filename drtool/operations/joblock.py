"""One run of a job, and one capture of a source, at a time on one host."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drtool.errors import LockedError


@contextmanager
def job_lock(directory: Path, job: str) -> Iterator[None]:
    """Hold the job's lock; ``LockedError`` while another process does. A dead process holds nothing."""
    doing = f"job {job} is being backed up, or restored in place,"
    with _held(directory, f"{job}.lock", doing, "Wait for it; if it hangs, end it: what it uploaded is reused."):
        yield


@contextmanager
def capture_lock(directory: Path, source: str) -> Iterator[None]:
    """Hold the lock on archiving a source's log; ``LockedError`` while another process does."""
    hint = "One is enough: a running capture --follow archives everything."
    with _held(directory, f"{source}.capture.lock", f"the log of {source} is being archived", hint):
        yield


@contextmanager
def copy_lock(directory: Path) -> Iterator[None]:
    """Hold the lock on copying to a repository, whose local state is in `directory`; ``LockedError`` while another
    process does."""
    hint = "Wait for it: it copies everything that is missing there. If it hangs, end it: what it sent is reused."
    with _held(directory, "copy.lock", "snapshots are being copied there", hint):
        yield


@contextmanager
def _held(directory: Path, name: str, doing: str, hint: str) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / name
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise LockedError(f"{doing} by another process (pid {holder})", hint=hint) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
