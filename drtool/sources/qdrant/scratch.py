"""Temporary directories for copies of what is read: gone at the end, and after a crash when the next one is made."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "drtool-qdrant-"
#: A directory this young may not be locked yet by whoever made it (seconds).
_YOUNG = 60.0


class Scratch:
    """A directory below ``TMPDIR``, locked as long as this process lives. Raises ``OSError``."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def close(self) -> None:
        """Away with it. Safe to call twice."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def _sweep(parent: Path) -> None:
    """Remove what processes left behind that were killed."""
    for place in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another process's, or just being removed
            found = place.lstat()
            if found.st_uid == os.getuid() and time.time() - found.st_ctime > _YOUNG and not place.is_symlink():
                _remove_if_free(place)


def _remove_if_free(place: Path) -> None:
    lock = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(lock)
