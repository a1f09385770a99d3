"""Locks between the processes of one host: a dead process holds nothing (``flock``)."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from drtool.errors import LockedError

#: Whoever only looks (`is_held`) holds the lock for a moment: one refusal within that time says nothing.
_LOOKS_SECONDS = 0.2


@contextmanager
def held(path: Path, doing: str, hint: str) -> Iterator[None]:
    """Hold the lock that is this file; ``LockedError`` (`doing`, then by whom) while another process does."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+") as file:
        leave_to_owner(file.fileno(), path.parent)
        if not _taken(file.fileno()):
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise LockedError(f"{doing} by another process (pid {holder})", hint=hint)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_held(path: Path) -> bool:
    """Does a living process hold the lock that is this file?"""
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def leave_to_owner(descriptor: int, directory: Path) -> None:
    """What root makes in a directory of somebody else's becomes theirs, who could not open it afterwards."""
    if os.geteuid() != 0:
        return
    owner, found = directory.stat(), os.fstat(descriptor)
    if found.st_uid != owner.st_uid:
        with suppress(PermissionError):  # a root of little power
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _taken(descriptor: int) -> bool:
    until = time.monotonic() + _LOOKS_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOKS_SECONDS / 20)
        else:
            return True
