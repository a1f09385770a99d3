"""Waiting until what was written is on its disk."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)


def sync(directory: Path) -> None:
    """Everything of the file system that `directory` is in: for many small files that is far quicker than one after the
    other. Raises ``OSError`` where the disk did not take it (before Linux 5.8 nobody is told)."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not hasattr(_LIBC, "syncfs"):
            os.sync()
        elif _LIBC.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(directory))
    finally:
        os.close(descriptor)
