"""The attempts of one call to a store: how many, how far apart, and what is left to say when they run out.

Waits follow "full jitter" (AWS Architecture Blog, "Exponential Backoff And Jitter"): a random time up to a bound that
doubles with every attempt.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from drtool.errors import CorruptAnswerError, InterruptedRunError, StorageError, ThrottledError, TransientStorageError
from drtool.storage.pacing import Pace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on: `attempts` in all, none begun later than `elapsed` seconds after the first.

    Fewer where more would not help: `corrupt_attempts` for answers that arrive damaged (the object itself may be), and
    `contact_attempts` while the store has not answered at all yet (its address may be wrong).
    The wait after the n-th attempt is random, up to ``min(longest, shortest * 2**(n - 1))`` seconds.
    """

    attempts: int = 20
    corrupt_attempts: int = 4
    contact_attempts: int = 5
    elapsed: float = 300.0
    shortest: float = 0.25
    longest: float = 20.0


@dataclass(slots=True)
class Surroundings:
    """What the attempts of all calls share. `wait` takes seconds and returns True when cut short by cancellation."""

    policy: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], bool] = field(default_factory=lambda: threading.Event().wait)
    pace: Pace = field(init=False)
    contact: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.clock)

    def answered(self, *, throttled: bool = False) -> None:
        """The store answered a request, well or not."""
        self.contact = True
        self.pace.answered(throttled=throttled)


class Attempts:
    """One call: `ambiguous` is True once an attempt failed that may have taken effect."""

    def __init__(self, shared: Surroundings) -> None:
        self._shared = shared
        self._began = shared.clock()
        self._failed = 0
        self._corrupt = 0
        self.ambiguous = False

    def run(self, request: Callable[[], T]) -> T:
        """The result of `request`, repeated while that may help; its last error otherwise."""
        while True:
            self.keep_pace()
            try:
                result = request()
            except TransientStorageError as error:
                self.failed(error)
            except StorageError:
                self._shared.answered()
                raise
            else:
                self._shared.answered()
                return result

    def keep_pace(self) -> None:
        """Wait for leave to send. A cancelled run may still send: cleaning up needs it."""
        delay = self._shared.pace.delay()
        if delay > 0:
            self._shared.wait(delay)

    def failed(self, error: TransientStorageError) -> None:
        """Wait before the next attempt; raise `error` with the tally where there is none.

        Raises ``InterruptedRunError`` where the run is cancelled.
        """
        self._failed += 1
        self._corrupt += isinstance(error, CorruptAnswerError)
        self.ambiguous |= error.ambiguous
        if isinstance(error, ThrottledError):
            self._shared.answered(throttled=True)
        policy = self._shared.policy
        delay = random.uniform(0, min(policy.longest, policy.shortest * 2.0 ** (self._failed - 1)))
        spent = self._shared.clock() - self._began
        if self._exhausted() or spent + delay > policy.elapsed:
            raise type(error)(self._tally(error, spent), hint=error.hint, ambiguous=self.ambiguous) from error
        if self._shared.wait(delay):
            raise InterruptedRunError(f"interrupted while waiting to try again: {error.message}") from error

    def _exhausted(self) -> bool:
        policy = self._shared.policy
        attempts = policy.attempts if self._shared.contact else min(policy.attempts, policy.contact_attempts)
        return self._failed >= attempts or self._corrupt >= policy.corrupt_attempts

    def _tally(self, error: TransientStorageError, spent: float) -> str:
        times = "once" if self._failed == 1 else f"{self._failed} times in {spent:.0f} s"
        return f"{error.message} (tried {times})"
