"""How fast a source is read: a token bucket that all readers of it share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds of the rate that may be caught up at once after a pause.
BURST = 1.0


class Bandwidth:
    """At most `rate` bytes per second, over any time and all threads together, and no more than ``BURST`` seconds'
    worth beyond.

    What was read is paid for afterwards, when its size is known: `take` waits until all that was taken before it is
    paid, and it. `clock` gives monotonic seconds; `sleep` waits so many seconds, or until the event is set.
    """

    def __init__(
        self,
        rate: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self.rate = rate
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._paid_at = clock()

    def take(self, size: int, cancelled: threading.Event) -> None:
        """Account for `size` bytes and wait until they are paid; no longer than until `cancelled` is set."""
        with self._lock:
            now = self._clock()
            self._paid_at = max(self._paid_at, now - BURST) + size / self.rate
            wait = self._paid_at - now
        if wait > 0:
            self._sleep(cancelled, wait)
