"""Whether a run's process lives: a lock of its own for each run, shared by whoever answers for it (``flock``).

The scheduler takes it before it starts a command, and the command when it begins; so there is no moment in between at
which a run looks dead. A process id would tell less: it may be another's by now.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from drtool.errors import StateError
from drtool.local.locks import leave_to_owner


class Liveness:
    """The locks of runs, below a directory. What one process holds ends with it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, int] = {}

    def hold(self, run: str) -> None:
        """Answer for a run from here on; a second time is as good as once. ``StateError`` where it cannot be said."""
        if run in self._held:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path(run), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            leave_to_owner(descriptor, self._directory)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except OSError as error:
            raise StateError(f"cannot write below {self._directory}: {error.strerror or error}") from error
        self._held[run] = descriptor

    def let_go(self, run: str, *, is_over: bool) -> None:
        """Answer for it no more; with `is_over` nobody has to."""
        if is_over:
            self._path(run).unlink(missing_ok=True)
        if (descriptor := self._held.pop(run, None)) is not None:
            os.close(descriptor)

    def let_all_go(self) -> None:
        """Answer for none."""
        for run in list(self._held):
            self.let_go(run, is_over=False)

    def lives(self, run: str) -> bool:
        """Does anybody answer for it, this process or another? ``StateError`` where that cannot be seen."""
        if run in self._held:
            return True
        try:
            with self._path(run).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError as error:
            raise StateError(
                f"cannot see whether a run is still alive: {self._path(run)}: {error.strerror or error}",
                hint="Did another user run drtool here? Give the file to the user that schedules run as (chown).",
            ) from error
        return False

    def _path(self, run: str) -> Path:
        return self._directory / f"{run}.run"
