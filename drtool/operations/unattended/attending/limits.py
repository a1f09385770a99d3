"""The time limit of a run whose starter has gone, and can see to it no more."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: How often (seconds) it is looked whether the starter is there still, once the time is over; and how long a process
#: may take to end in good order before it is ended.
LOOK, GRACE = 5.0, 60.0


@contextmanager
def in_time(seconds: float | None, look: float = LOOK) -> Iterator[None]:
    """Inside, this process asks itself to end (SIGTERM) where `seconds` have passed and the one that started it has
    died meanwhile: as long as that one lives, it is its business. None for no limit."""
    if seconds is None:
        yield
        return
    starter, over = os.getppid(), threading.Event()
    watcher = threading.Thread(target=_watch, args=(seconds, look, starter, over), name="time limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()


def _watch(seconds: float, look: float, starter: int, over: threading.Event) -> None:
    while not over.wait(seconds):
        seconds = look
        if os.getppid() != starter:
            os.kill(os.getpid(), signal.SIGTERM)
            seconds = GRACE
