"""An end to waiting for a server that answers a byte at a time: timeouts of a socket begin anew with each."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class Deadline:
    """``passed`` is true once the connection was cut off."""

    passed: bool = False


@contextlib.contextmanager
def cut_off(seconds: float, connected: Callable[[], socket.socket | None]) -> Iterator[Deadline]:
    """Inside, the socket that `connected` returns by then is shut down after `seconds`: whoever waits for it gets an
    error, of whichever kind the protocol's library makes of a lost connection."""
    deadline = Deadline()

    def cut() -> None:
        deadline.passed = True
        if (open_ := connected()) is not None:
            with contextlib.suppress(OSError):  # closed meanwhile
                # Not through TLS, whose own farewell would wait for the other side.
                socket.socket.shutdown(open_, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()
