"""One run of a job at a time on one host."""

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
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{job}.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise LockedError(
                f"job {job} is being backed up by another process (pid {holder})",
                hint="Wait for it; if it hangs, end it: what it uploaded is reused.",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
