"""Taking units: threads that read and cut, workers that keep the chunks, and helpers that do both elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from drtool.errors import InstantMovedError
from drtool.operations.backup.intake.units import Taken, Taking, Unit
from drtool.operations.budget import Budget
from drtool.sources.reading import ReadAgainError, View

if TYPE_CHECKING:
    from drtool.operations.backup.intake.helpers import Reading


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
        self._stop = threading.Event()
        self.moved: InstantMovedError | None = None
        #: Streams whose parts have to be read again.
        self._again: set[str] = set()

    def read(self, view: View, units: Sequence[Unit], elsewhere: Reading | None = None) -> list[Taken]:
        """What was read of each unit, in the order of `units`. Once only. With `elsewhere` helpers read those they
        can."""
        count = self._budget.readers if elsewhere is None else elsewhere.at_once
        with (
            ThreadPoolExecutor(self._budget.workers, thread_name_prefix="work") as workers,
            ThreadPoolExecutor(count, thread_name_prefix="read") as readers,
        ):
            here = Taking(self._keep, workers, self._budget.queue_bytes)
            futures: list[Future[Taken]] = []

            def take(unit: Unit, helped: Reading | None) -> Taken:
                if not self._wanted(unit):
                    return Taken()
                if helped is not None and unit.stream.keyed:
                    taken = helped.take(unit, lambda: self._wanted(unit), self._advance)
                else:
                    taken = here.take(view, unit, lambda: self._wanted(unit))
                self._note(unit, taken)
                return taken

            def read_each(some: Sequence[Unit], helped: Reading | None = None) -> list[Taken]:
                begun = [readers.submit(take, unit, helped) for unit in some]
                futures.extend(begun)
                wait(begun, return_when=FIRST_EXCEPTION)
                return [future.result() for future in _failed_first(begun)]

            try:
                found = read_each(units, elsewhere)
                while again := [number for number, unit in enumerate(units) if unit.stream.name in self._again]:
                    self._again.clear()
                    for number in again:
                        self._advance(-found[number].bytes)
                    for number, taken in zip(again, read_each([units[number] for number in again]), strict=True):
                        found[number] = taken
                return _holding(units, found)
            except BaseException:
                view.cancel()
                if elsewhere is not None:
                    elsewhere.cancel()
                raise
            finally:
                self._stop.set()
                here.cancel()
                for future in futures:
                    future.cancel()

    def _wanted(self, unit: Unit) -> bool:
        return not self._stop.is_set() and unit.stream.name not in self._again

    def _note(self, unit: Unit, taken: Taken) -> None:
        if isinstance(taken.ended_by, InstantMovedError):
            self.moved = self.moved or taken.ended_by
            self._stop.set()
        elif isinstance(taken.ended_by, ReadAgainError):
            self._again.add(unit.stream.name)

    def _keep(self, data: bytes) -> bytes:
        id_ = self._store(data)
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
