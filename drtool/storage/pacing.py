"""Sending at the rate that a store can take, found by its own answers.

The scheme of the AWS SDKs' adaptive retry mode (AWS SDKs and Tools Reference Guide, "Retry behavior"): no limit until
the store throttles; then a token bucket whose rate falls to 70 % of what was being sent and grows back along the
cubic curve of TCP CUBIC (RFC 9438, section 4.2), slowly near the rate that failed and fast beyond it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

_BACK_OFF = 0.7
_GROWTH = 0.4
_SMOOTHING = 0.8
_WINDOW = 0.5
_SLOWEST = 0.5


class Pace:
    """Shared by all threads that send to one store; rates are requests per second, `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rate: float | None = None
        self._tokens = 0.0
        self._filled_at = 0.0
        self._measured = 0.0
        self._window_began = clock()
        self._sent = 0
        self._failed_rate = 0.0
        self._failed_at = 0.0

    @property
    def rate(self) -> float | None:
        """Requests per second allowed just now; None is no limit."""
        return self._rate

    def delay(self) -> float:
        """Take leave to send one request; returns the seconds to wait before sending it."""
        with self._lock:
            if self._rate is None:
                return 0.0
            self._fill(self._rate)
            self._tokens -= 1.0
            return max(0.0, -self._tokens / self._rate)

    def answered(self, *, throttled: bool) -> None:
        """A request was answered: adapt."""
        with self._lock:
            now = self._clock()
            self._measure(now)
            if throttled:
                current = self._measured if self._rate is None else min(self._measured, self._rate)
                self._failed_rate = max(current, _SLOWEST)
                self._failed_at = now
                self._limit(now, self._failed_rate * _BACK_OFF)
            elif self._rate is not None:
                self._limit(now, min(self._recovered(now), max(2 * self._measured, self._rate)))

    def _measure(self, now: float) -> None:
        self._sent += 1
        passed = now - self._window_began
        if passed >= _WINDOW or self._measured == 0.0:
            rate = self._sent / max(passed, _WINDOW)
            self._measured = rate if self._measured == 0.0 else self._mix(rate)
            self._window_began = now
            self._sent = 0

    def _mix(self, rate: float) -> float:
        return _SMOOTHING * rate + (1 - _SMOOTHING) * self._measured

    def _recovered(self, now: float) -> float:
        """CUBIC's curve: passes through the failed rate after the time that the back-off is worth."""
        plateau = float((self._failed_rate * (1 - _BACK_OFF) / _GROWTH) ** (1 / 3))
        return float(_GROWTH * (now - self._failed_at - plateau) ** 3) + self._failed_rate

    def _limit(self, now: float, rate: float) -> None:
        if self._rate is None:
            self._tokens, self._filled_at = 0.0, now
        else:
            self._fill(self._rate)
        self._rate = max(rate, _SLOWEST)

    def _fill(self, rate: float) -> None:
        now = self._clock()
        self._tokens = min(max(rate, 1.0), self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
