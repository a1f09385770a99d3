"""Units, what a reader does in one go; and doing one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field

from drtool.errors import InstantMovedError
from drtool.operations.backup.collecting import PartList
from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.reading import KeyRange, ReadAgainError, StreamInfo, View

#: So many chunks of a unit are with the workers, or wait for their turn to be listed.
_MOST_WAITING = 256


@dataclass(frozen=True, slots=True)
class Unit:
    """One part of one stream: what a reader does in one go, and may do again."""

    stream: StreamInfo
    part: KeyRange
    rule: CutRule


@dataclass(slots=True)
class Taken:
    """The chunks that were read of a unit: all, or those before it ended early. ``ended_by`` is what ended it, where
    that was the source."""

    chunks: PartList = field(default_factory=PartList)
    complete: bool = False
    ended_by: InstantMovedError | ReadAgainError | None = None

    @property
    def bytes(self) -> int:
        """How long the chunks are together."""
        return sum(self.chunks.lengths)


class ByteCount:
    """A semaphore that counts bytes: what waits between readers and workers is bounded by it."""

    def __init__(self, limit: int) -> None:
        self._free = self._limit = limit
        self._changed = threading.Condition()
        self._cancelled = False

    def take(self, amount: int) -> None:
        """Wait until there is room for so many bytes, or nobody waits any more."""
        amount = min(amount, self._limit)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount or self._cancelled)
            self._free -= amount

    def give(self, amount: int) -> None:
        """So many bytes are done with."""
        with self._changed:
            self._free += min(amount, self._limit)
            self._changed.notify_all()

    def cancel(self) -> None:
        """Nobody is to wait any more."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()


_Waiting = deque[tuple[Future[bytes], int, Chunk]]


class Taking:
    """Takes units in the threads that call it: they read and cut, while `workers` keep the chunks, at most
    `queue_bytes` of which wait for them. `keep` gives a chunk's id."""

    def __init__(self, keep: Callable[[bytes], bytes], workers: Executor, queue_bytes: int) -> None:
        self._keep, self._workers = keep, workers
        self._queue = ByteCount(queue_bytes)

    def take(self, view: View, unit: Unit, wanted: Callable[[], bool]) -> Taken:
        """What was read of a unit; it ends early, too, when it is no longer `wanted`. However it ends, the workers have
        no chunk of it any more."""
        waiting: _Waiting = deque()
        try:
            return self._take(view, unit, wanted, waiting)
        finally:
            wait([future for future, *_ in waiting])

    def cancel(self) -> None:
        """Nobody is to wait any more."""
        self._queue.cancel()

    def _take(self, view: View, unit: Unit, wanted: Callable[[], bool], waiting: _Waiting) -> Taken:
        taken = Taken()

        def settle(limit: int) -> None:
            while len(waiting) > limit or (waiting and waiting[0][0].done()):
                future, length, bare = waiting.popleft()
                taken.chunks.add(future.result(), length, bare)

        try:
            for chunk in view.chunks(unit.stream, unit.part, unit.rule):
                if not wanted():
                    break
                self._queue.take(len(chunk.data))
                length = len(chunk.data)
                future = self._workers.submit(self._work, chunk.data)
                bare = Chunk(b"", chunk.records, chunk.first, chunk.last, chunk.beyond)
                waiting.append((future, length, bare))
                del chunk
                settle(limit=_MOST_WAITING)
            else:
                taken.complete = True
        except (InstantMovedError, ReadAgainError) as error:
            taken.ended_by = error
        settle(limit=0)
        return taken

    def _work(self, data: bytes) -> bytes:
        try:
            return self._keep(data)
        finally:
            self._queue.give(len(data))
