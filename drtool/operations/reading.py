"""Reading the streams of a view into the repository: readers, workers, and the queue between them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from drtool.operations.budget import Budget
from drtool.operations.collecting import PartList
from drtool.repository.keyring import ChunkKind
from drtool.repository.writer import ChunkWriter
from drtool.sources.base import KeyRange, StreamInfo, View
from drtool.sources.cutting import Chunk, CutRule


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


class Intake:
    """Reads units into a writer. The first error cancels what has not begun and is raised by `read`."""

    def __init__(self, writer: ChunkWriter, budget: Budget, advance: Callable[[int, int], None]) -> None:
        self._writer = writer
        self._budget = budget
        self._advance = advance
        self._queue = _Bytes(budget.queue_bytes)
        self._stop = threading.Event()

    def read(self, view: View, units: list[Unit]) -> list[PartList]:
        """The stored chunks of each unit, in the order of `units`."""
        with (
            ThreadPoolExecutor(self._budget.workers, thread_name_prefix="work") as workers,
            ThreadPoolExecutor(self._budget.readers, thread_name_prefix="read") as readers,
        ):
            futures: list[Future[PartList]] = []
            try:
                for unit in units:
                    futures.append(readers.submit(self._read_unit, view, unit, workers))
                wait(futures, return_when=FIRST_EXCEPTION)
                return [future.result() for future in _failed_first(futures)]
            finally:
                self._stop.set()
                self._queue.cancel()
                for future in futures:
                    future.cancel()

    def _read_unit(self, view: View, unit: Unit, workers: ThreadPoolExecutor) -> PartList:
        stored = PartList()
        waiting: deque[tuple[Future[bytes], int, Chunk]] = deque()

        def settle(limit: int) -> None:
            while len(waiting) > limit or (waiting and waiting[0][0].done()):
                future, length, bare = waiting.popleft()
                stored.add(future.result(), length, bare)

        for chunk in view.chunks(unit.stream, unit.part, unit.rule):
            if self._stop.is_set():
                return stored
            self._queue.take(len(chunk.data))
            length = len(chunk.data)
            future = workers.submit(self._store, chunk.data)
            bare = Chunk(b"", chunk.records, chunk.first, chunk.last, chunk.beyond)
            waiting.append((future, length, bare))
            del chunk
            settle(limit=256)
        settle(limit=0)
        return stored

    def _store(self, data: bytes) -> bytes:
        try:
            id_ = self._writer.add(ChunkKind.DATA, data)
        finally:
            self._queue.give(len(data))
        self._advance(len(data), 0)
        return id_


def _failed_first(futures: list[Future[PartList]]) -> Iterator[Future[PartList]]:
    """All of them; but a failed one before any that may still be running."""
    for future in futures:
        if future.done() and not future.cancelled() and future.exception() is not None:
            yield future
    yield from futures
