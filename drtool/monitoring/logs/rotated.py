"""A log file that several processes write to, and that is put aside when it gets too large."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import BinaryIO

#: How long (seconds) a process waits for another that writes; one that was suspended meanwhile must not stop all.
_PATIENCE = 2.0


class RotatedFile:
    """Lines are added whole, by whichever process; ``OSError`` where that cannot be done.

    A process that writes holds the lock on the file (``flock``). Who finds that a line has no more room renames the
    files (``FILE`` to ``FILE.1``, that to ``FILE.2``, …) under that lock; the others notice that they hold another file
    than the name stands for, and open it anew. So an outside rotation (logrotate) does no harm, either.
    """

    def __init__(self, path: Path, max_size: int, keep: int) -> None:
        self._path = path
        self._max_size = max_size
        self._keep = keep
        self._thread = threading.Lock()
        self._file: BinaryIO | None = None

    def add(self, text: str) -> None:
        """Add a line."""
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        with self._thread:
            file, is_alone = self._locked()
            try:
                size = os.fstat(file.fileno()).st_size
                if is_alone and size and size + len(data) > self._max_size:
                    self._rotate()
                    file, _ = self._locked()
                file.write(data)
            finally:
                if self._file is not None:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Nothing can be added afterwards."""
        with self._thread:
            self._close()

    def _locked(self) -> tuple[BinaryIO, bool]:
        """The file of that name, and whether this process holds its lock: not where another does not let go of it."""
        until = time.monotonic() + _PATIENCE
        while True:
            file = self._file or self._open()
            is_alone = _lock(file, until)
            if self._is_current(file):
                return file, is_alone
            self._close()

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        return self._file

    def _is_current(self, file: BinaryIO) -> bool:
        try:
            there, here = self._path.stat(), os.fstat(file.fileno())
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older, newer = self._aside(number), self._aside(number - 1) if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        if self._keep == 0:
            self._path.unlink()
        self._close()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: BinaryIO, until: float) -> bool:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.002)
        else:
            return True
