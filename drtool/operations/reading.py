"""Reading the streams of a view into the repository: readers, workers, and the queue between them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from drtool.errors import InstantMovedError
from drtool.operations.budget import Budget
from drtool.operations.collecting import PartList
from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.reading import KeyRange, StreamInfo, View


class _Bytes:
    """A semaphore that counts bytes: what waits between readers and workers is bounded by it."""

    def __init__(self, limit: int) -> None:
        self._free = self._limit = limit
        self._changed = threading.Condition()
        self._cancelled = False

    def take(self, amount: int) -> None:
        amount = min(amount, self._limit)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount or self._cancelled)
            self._free -= amount

    def give(self, amount: int) -> None:
        with self._changed:
            self._free += min(amount, self._limit)
            self._changed.notify_all()

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Unit:
    """One part of one stream: what a reader does in one go, and may do again."""

    stream: StreamInfo
    part: KeyRange
    rule: CutRule


@dataclass(slots=True)
class Taken:
    """The chunks that were read of a unit: all, or those before the instant moved away."""

    chunks: PartList = field(default_factory=PartList)
    complete: bool = False


class Intake:
    """Reads units. `store` takes a chunk's bytes, from several threads, and gives its id; `advance` is told how many.

    The first error cancels what has not begun and is raised by `read`; but ``InstantMovedError`` ends the reading and
    is kept as ``moved``, and what was read before is returned.
    """

    def __init__(self, store: Callable[[bytes], bytes], budget: Budget, advance: Callable[[int], None]) -> None:
        self._store = store
        self._budget = budget
        self._advance = advance
        self._queue = _Bytes(budget.queue_bytes)
        self._stop = threading.Event()
        self.moved: InstantMovedError | None = None

    def read(self, view: View, units: Sequence[Unit]) -> list[Taken]:
        """What was read of each unit, in the order of `units`. Once only."""
        with (
            ThreadPoolExecutor(self._budget.workers, thread_name_prefix="work") as workers,
            ThreadPoolExecutor(self._budget.readers, thread_name_prefix="read") as readers,
        ):
            futures: list[Future[Taken]] = []
            try:
                for unit in units:
                    futures.append(readers.submit(self._read_unit, view, unit, workers))
                wait(futures, return_when=FIRST_EXCEPTION)
                return [future.result() for future in _failed_first(futures)]
            except BaseException:
                view.cancel()
                raise
            finally:
                self._stop.set()
                self._queue.cancel()
                for future in futures:
                    future.cancel()

    def _read_unit(self, view: View, unit: Unit, workers: ThreadPoolExecutor) -> Taken:
        taken = Taken()
        waiting: deque[tuple[Future[bytes], int, Chunk]] = deque()

        def settle(limit: int) -> None:
            while len(waiting) > limit or (waiting and waiting[0][0].done()):
                future, length, bare = waiting.popleft()
                taken.chunks.add(future.result(), length, bare)

        if self._stop.is_set():
            return taken
        try:
            for chunk in view.chunks(unit.stream, unit.part, unit.rule):
                if self._stop.is_set():
                    break
                self._queue.take(len(chunk.data))
                length = len(chunk.data)
                future = workers.submit(self._keep, chunk.data)
                bare = Chunk(b"", chunk.records, chunk.first, chunk.last, chunk.beyond)
                waiting.append((future, length, bare))
                del chunk
                settle(limit=256)
            else:
                taken.complete = True
        except InstantMovedError as error:
            self.moved = self.moved or error
            self._stop.set()
        settle(limit=0)
        return taken

    def _keep(self, data: bytes) -> bytes:
        try:
            id_ = self._store(data)
        finally:
            self._queue.give(len(data))
        self._advance(len(data))
        return id_


def _failed_first(futures: list[Future[Taken]]) -> Iterator[Future[Taken]]:
    """All of them; but a failed one before any that may still be running."""
    for future in futures:
        if future.done() and not future.cancelled() and future.exception() is not None:
            yield future
    yield from futures
