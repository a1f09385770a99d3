"""Directories where a sync costs nothing, for tests of what is stored and not of what survives a power failure."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

_FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextlib.contextmanager
def fast_directory() -> Iterator[Path]:
    """A new directory, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="drtool-test-", dir=_FAST, ignore_cleanup_errors=True) as path:
        yield Path(path)
