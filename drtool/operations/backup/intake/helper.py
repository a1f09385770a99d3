"""The life of a helper: a process that opens a view of its own, reads, cuts, hashes and compresses.

It has three threads: one reads, one compresses, and the main one takes orders, so that it hears at once when the
process that gives them is gone.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from multiprocessing.connection import Connection

from drtool.local.allocator import give_back_large
from drtool.operations.backup.intake.orders import Answer, Asked, Begin, Failed, Order, Piece, Told
from drtool.operations.backup.intake.passing import SLOT_BYTES, Slots
from drtool.operations.backup.intake.units import Taking, Unit
from drtool.repository.chunks import compress, keyed_id
from drtool.sources.reading import View

#: Sent to all processes of a run, these are for the one that gives the orders to understand. They are held back when
#: `serve` is called.
SIGNALS_TO_IGNORE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_QUEUE_BYTES = 4_000_000
#: Nobody is there any more: closing the view, which tells a server, may take so long, and before that the reading.
_FAREWELL_SECONDS, _LAST_READING_SECONDS = 5, 1


def serve(connection: Connection, slots: Slots, foreign: Iterable[Connection]) -> None:
    """Follow the orders that come until nobody gives any; then the process ends. `foreign` are ends of other processes,
    which the fork brought along."""
    wakes = signal.set_wakeup_fd(-1)
    if wakes != -1:
        os.close(wakes)  # whoever reads the other end waits until nobody has this one
    for number in SIGNALS_TO_IGNORE:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS_TO_IGNORE)
    for end in foreign:
        end.close()
    give_back_large()
    gc.freeze()  # a search for cycles in what is shared would make a copy of it
    helper = _Helper(connection, slots)
    try:
        while True:
            helper.follow(connection.recv())
    except (EOFError, OSError):
        signal.alarm(_FAREWELL_SECONDS)
        helper.leave()
        os._exit(0)  # threads may still wait for a server


class _Helper:
    def __init__(self, connection: Connection, slots: Slots) -> None:
        self._connection, self._slots = connection, slots
        self._sending = threading.Lock()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="work")
        self._taking = Taking(self._keep, self._worker, _QUEUE_BYTES)
        self._enough = threading.Event()
        self._cancelled = threading.Event()
        self._begun: Begin | None = None
        self._view: View | None = None

    def follow(self, asked: Asked) -> None:
        """Have done what is asked."""
        match asked:
            case Begin():
                self._begun = asked
                self._cancelled.clear()
            case Unit():
                self._enough.clear()
                self._reader.submit(self._take, asked)
            case Order.ENOUGH:
                self._enough.set()
            case Order.CANCEL:
                self._cancel()
            case Order.END:
                self._reader.submit(self._end)

    def leave(self) -> None:
        """Nobody asks for anything any more."""
        self._cancel()
        # A view may be on its way to be opened. One that a server holds up is closed all the same.
        wait([self._reader.submit(self._end)], _LAST_READING_SECONDS)
        if (view := self._view) is not None:
            view.close()

    def _cancel(self) -> None:
        self._cancelled.set()
        if (view := self._view) is not None:
            view.cancel()

    def _take(self, unit: Unit) -> None:
        try:
            self._send(self._taking.take(self._opened(), unit, self._wanted))
        except Exception as error:  # noqa: BLE001 - it is raised where the order came from
            self._send(_failed(error))

    def _wanted(self) -> bool:
        return not (self._enough.is_set() or self._cancelled.is_set())

    def _opened(self) -> View:
        assert self._begun is not None  # it is the first order
        if self._view is None:
            self._view = self._begun.opening()
        return self._view

    def _end(self) -> None:
        try:
            if self._view is not None:
                self._view.close()
        finally:
            self._view = None
            self._send(Told.ENDED)

    def _keep(self, data: bytes) -> bytes:
        assert self._begun is not None
        id_ = keyed_id(self._begun.id_key, data)
        packed = compress(data)
        for start in range(0, len(packed), SLOT_BYTES):
            piece = packed[start : start + SLOT_BYTES]
            slot = self._slots.fill(piece)
            is_last = start + SLOT_BYTES >= len(packed)
            last = (id_, len(data)) if is_last else ()
            self._send(Piece(slot, len(piece), start, *last))
        return id_

    def _send(self, answer: Answer) -> None:
        with self._sending:
            self._connection.send(answer)


def _failed(error: Exception) -> Failed:
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever does not survive that
        error = RuntimeError("".join(traceback.format_exception_only(error)).strip())
    return Failed(error, text)
