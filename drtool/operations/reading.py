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
from drtool.sources.reading import KeyRange, ReadAgainError, StreamInfo, View


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

    @property
    def bytes(self) -> int:
        """How long the chunks are together."""
        return sum(self.chunks.lengths)


class Intake:
    """Reads units. `store` takes a chunk's bytes, from several threads, and gives its id; `advance` is told how many,
    and takes them back (less than zero) where they have to be read again.

    The first error cancels what has not begun and is raised by `read`; but ``InstantMovedError`` ends the reading and
    is kept as ``moved``, and what was read before is returned: of parts that hold ``together`` nothing, unless all are
    there.
    """

    def __init__(self, store: Callable[[bytes], bytes], budget: Budget, advance: Callable[[int], None]) -> None:
        self._store = store
        self._budget = budget
        self._advance = advance
        self._queue = _Bytes(budget.queue_bytes)
        self._stop = threading.Event()
        self.moved: InstantMovedError | None = None
        #: Streams whose parts have to be read again.
        self._again: set[str] = set()

    def read(self, view: View, units: Sequence[Unit]) -> list[Taken]:
        """What was read of each unit, in the order of `units`. Once only."""
        with (
            ThreadPoolExecutor(self._budget.workers, thread_name_prefix="work") as workers,
            ThreadPoolExecutor(self._budget.readers, thread_name_prefix="read") as readers,
        ):
            futures: list[Future[Taken]] = []

            def read_each(some: Sequence[Unit]) -> list[Taken]:
                begun = [readers.submit(self._read_unit, view, unit, workers) for unit in some]
                futures.extend(begun)
                wait(begun, return_when=FIRST_EXCEPTION)
                return [future.result() for future in _failed_first(begun)]

            try:
                found = read_each(units)
                while again := [number for number, unit in enumerate(units) if unit.stream.name in self._again]:
                    self._again.clear()
                    for number in again:
                        self._advance(-found[number].bytes)
                    for number, taken in zip(again, read_each([units[number] for number in again]), strict=True):
                        found[number] = taken
                return _holding(units, found)
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
                if self._stop.is_set() or unit.stream.name in self._again:
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
        except ReadAgainError:
            self._again.add(unit.stream.name)
        settle(limit=0)
        return taken

    def _keep(self, data: bytes) -> bytes:
        try:
            id_ = self._store(data)
        finally:
            self._queue.give(len(data))
        self._advance(len(data))
        return id_


def _holding(units: Sequence[Unit], found: Sequence[Taken]) -> list[Taken]:
    """What holds of what was read: of parts that hold ``together`` nothing where one of their stream is missing."""
    lacking = {unit.stream.name for unit, taken in zip(units, found, strict=True) if not taken.complete}
    void = [unit.part.together and unit.stream.name in lacking for unit in units]
    return [Taken() if none else taken for none, taken in zip(void, found, strict=True)]


def _failed_first(futures: list[Future[Taken]]) -> Iterator[Future[Taken]]:
    """All of them; but a failed one before any that may still be running."""
    for future in futures:
        if future.done() and not future.cancelled() and future.exception() is not None:
            yield future
    yield from futures
