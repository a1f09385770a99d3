"""Helpers: processes that read beside this one, which then only seals and stores what they compressed.

Python runs one thread of a process at a time, which leaves a quarter of two cores idle when threads read. Helpers are
forked before the run has connections, locks or threads worth mentioning: they share what was imported, and hold nothing
else.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.util import Finalize

from drtool.errors import SourceError
from drtool.operations.backup.intake.helper import SIGNALS_TO_IGNORE, serve
from drtool.operations.backup.intake.orders import Answer, Asked, Begin, Failed, Order, Piece, Told
from drtool.operations.backup.intake.passing import Slots
from drtool.operations.backup.intake.units import Taken, Unit
from drtool.repository import planes as _planes  # noqa: F401 - numpy, which each of them would load for itself
from drtool.sources.reading import SharedView

#: A helper that was told to cancel, or to end, is given so long.
_PATIENCE_SECONDS = 10.0

Store = Callable[[bytes, memoryview, int], None]
"""Takes a chunk: its id, the chunk compressed (valid during the call), and its length."""


class Helpers:
    """`count` helpers, which are asked for one view after the other; `close` them."""

    def __init__(self, count: int) -> None:
        self._helpers: list[_Handle] = []
        try:
            # Where the system has no room for another process, fewer do.
            with suppress(OSError):
                for _ in range(count):
                    self._helpers.append(_Handle(self._helpers))
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> Sequence[int]:
        """Their ids."""
        return [helper.process for helper in self._helpers]

    @contextmanager
    def reading(self, view: SharedView, id_key: bytes, store: Store) -> Iterator[Reading | None]:
        """Have them read a view, which each opens for itself until the end. Chunks get their ids by `id_key`. None
        where the view is not to be shared, or no helper is left."""
        opening = view.elsewhere()
        if opening is None:
            yield None
            return
        able = [helper for helper in self._helpers if helper.begin(Begin(opening, id_key))]
        try:
            yield Reading(view, able, store) if able else None
        finally:
            for helper in able:
                helper.end()
            for helper in able:
                helper.await_end()

    def close(self) -> None:
        """End them."""
        for helper in self._helpers:
            helper.dismiss()
        for helper in self._helpers:
            helper.close()


class Reading:
    """A view that helpers read, so many ``at_once`` units. Methods may be called from several threads."""

    def __init__(self, view: SharedView, helpers: Sequence[_Handle], store: Store) -> None:
        self.at_once = len(helpers)
        self._view, self._helpers, self._store = view, helpers, store
        self._free: queue.SimpleQueue[_Handle] = queue.SimpleQueue()
        for helper in helpers:
            self._free.put(helper)

    def take(self, unit: Unit, wanted: Callable[[], bool], advance: Callable[[int], None]) -> Taken:
        """See ``Taking.take``, of a keyed stream; `advance` is told the length of each chunk that was stored. Raises
        what reading raised, and ``SourceError`` where the helper is gone."""

        def store(id_: bytes, packed: memoryview, length: int) -> None:
            self._store(id_, packed, length)
            advance(length)

        helper = self._free.get()
        try:
            taken = helper.take(unit, store, wanted)
        finally:
            self._free.put(helper)
        self._view.read_elsewhere(unit.stream, taken.ended_by)
        return taken

    def cancel(self) -> None:
        """See ``View.cancel``."""
        for helper in self._helpers:
            helper.cancel()


class _ElsewhereError(Exception):
    """The traceback of what was raised in a helper."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Handle:
    """A helper, seen from the process that forked it. For one thread at a time, but `cancel` and `end` for any."""

    def __init__(self, others: Sequence[_Handle]) -> None:
        fork = get_context("fork")
        self._connection, theirs = fork.Pipe()
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._slots = Slots()
        mine = [end for helper in (*others, self) for end in (helper._connection, helper._slots.giving)]
        self._process = fork.Process(target=serve, args=(theirs, self._slots, mine), daemon=True)
        # At exit multiprocessing waits for it without an end; before that this is called, if it was not called already.
        self._dismissal = Finalize(self, _close, (self._connection, self._slots.giving), exitpriority=0)
        self._timer: threading.Timer | None = None
        try:
            with _held_back(SIGNALS_TO_IGNORE):  # until it ignores them
                self._process.start()
        except BaseException:
            self.dismiss()
            raise
        finally:
            theirs.close()
            self._slots.taking.close()

    @property
    def process(self) -> int:
        assert self._process.pid is not None  # it was started
        return self._process.pid

    def begin(self, begin: Begin) -> bool:
        """False where it is gone."""
        try:
            self._send(begin)
        except SourceError:
            return False
        return True

    def take(self, unit: Unit, store: Store, wanted: Callable[[], bool]) -> Taken:
        with self._receiving:
            return self._take(unit, store, wanted)

    def _take(self, unit: Unit, store: Store, wanted: Callable[[], bool]) -> Taken:
        self._send(unit)
        begun = bytearray()  # a chunk in several pieces
        told = False
        while True:
            match self._receive():
                case Piece() as piece:
                    with self._slots.emptying(piece.slot, piece.size) as data:
                        if piece.start != len(begun):
                            raise RuntimeError("a chunk lacks pieces")  # of a unit whose taking failed here
                        if piece.is_last and not begun:
                            store(piece.id, data, piece.length)
                        else:
                            begun += data
                    if piece.is_last and begun:
                        store(piece.id, memoryview(begun), piece.length)
                        begun = bytearray()
                case Failed(error, traceback):
                    raise error from _ElsewhereError(traceback)
                case Taken() as taken:
                    return taken
            if not told and not wanted():
                self._send(Order.ENOUGH)
                told = True

    def cancel(self) -> None:
        self._hurry()
        with suppress(SourceError):  # it is gone
            self._send(Order.CANCEL)

    def end(self) -> None:
        """Have it close its view; `await_end` follows."""
        self._hurry()
        with suppress(SourceError):  # it is gone, and its view with it
            self._send(Order.END)

    def await_end(self) -> None:
        """What it still sends of the view is dropped. A unit that is being taken ends first."""
        with self._receiving, suppress(SourceError):
            while (answer := self._receive()) is not Told.ENDED:
                if isinstance(answer, Piece):
                    self._slots.give(answer.slot)
        self._calm()

    def dismiss(self) -> None:
        """Nobody asks it for anything any more; `close` follows."""
        self._dismissal()

    def close(self) -> None:
        self._calm()
        self._process.join(_PATIENCE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self._slots.close()

    def _hurry(self) -> None:
        """It has so long to come to an end."""
        if self._timer is None:
            self._timer = threading.Timer(_PATIENCE_SECONDS, self._process.kill)
            self._timer.daemon = True
            self._timer.start()

    def _calm(self) -> None:
        """It has come to one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self, asked: Asked) -> None:
        try:
            with self._sending:
                self._connection.send(asked)
        except OSError as error:
            raise self._gone() from error

    def _receive(self) -> Answer:
        try:
            answer: Answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error
        return answer

    def _gone(self) -> SourceError:
        self._process.join(1)
        return SourceError(
            f"a process that read beside this one ended unexpectedly (exit code {self._process.exitcode})",
            hint="Where the system ran out of memory, lower limits.memory or limits.readers. Then run the same again.",
        )


def _close(*ends: Connection) -> None:
    for end in ends:
        end.close()


@contextmanager
def _held_back(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """Inside, these signals do not reach this thread, nor a process that it forks. A handler of Python's runs here all
    the same where another thread gets one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
