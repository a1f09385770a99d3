"""SIGINT, SIGTERM and SIGHUP end a run in good order; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Does nothing but interrupt a wait; by default the system ignores it.
_NUDGE = signal.SIGURG


class StoppedError(KeyboardInterrupt):
    """A signal asked this process to stop.

    Not an ``Exception``: code that carries on after a source's failure must not carry on after this.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.name = signal.Signals(number).name


@contextmanager
def stopping_in_order(announce: Callable[[], None]) -> Iterator[None]:
    """Inside, the first of the signals raises ``StoppedError`` in the main thread; the next ends the process.

    `announce` is called before that, for waits in other threads.

    A signal that the caller had ignored (``nohup``) stays ignored. For the main thread only.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    caught = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in caught:
            signal.signal(other, signal.SIG_DFL)
        announce()
        raise StoppedError(number)

    stopped = False
    try:
        with _woken_by(caught):
            for number in caught:
                signal.signal(number, stop)
            yield
    except StoppedError:
        stopped = True  # the default handlers stay: what is still running may be ended by a second signal
        raise
    finally:
        if not stopped:
            for number in caught:
                signal.signal(number, before[number])


@contextmanager
def _woken_by(numbers: list[signal.Signals]) -> Iterator[None]:
    """Inside, these signals interrupt the main thread's waits whichever thread the system gives them to.

    Handlers written in Python run in the main thread, when it next runs at all. The system may hand a signal to
    another thread (one that is just starting or ending takes what is pending), and then a main thread that waits for
    its workers would not notice. The interpreter writes each signal's number to the wake-up descriptor, in whichever
    thread it arrives; a thread that reads them there nudges the main one.
    """
    main = threading.get_ident()
    readable, writable = os.pipe()
    os.set_blocking(writable, False)

    def nudge() -> None:
        while arrived := os.read(readable, 64):
            if any(number in arrived for number in numbers):
                signal.pthread_kill(main, _NUDGE)

    handler = signal.signal(_NUDGE, lambda _number, _frame: None)
    descriptor = signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    watcher = threading.Thread(target=nudge, name="signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        os.close(writable)
        watcher.join()
        os.close(readable)
        signal.signal(_NUDGE, handler)
