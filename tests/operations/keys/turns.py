"""Two operations on one storage that take turns, call by call, in an order that a test chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

from drtool.errors import DrtoolError
from drtool.storage.base import Storage

Operation = Callable[[Storage], Any]


class _Turns:
    """Who may call the store next: as `order` says while both are at it, then whoever is left."""

    def __init__(self, order: Sequence[int], count: int) -> None:
        self._order = list(order)
        self._running = set(range(count))
        self._changed = threading.Condition()

    def take(self, me: int, call: Callable[[], Any]) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._next() == me)
            if self._order:
                self._order.pop(0)
            try:
                return call()
            finally:
                self._changed.notify_all()

    def leave(self, me: int) -> None:
        with self._changed:
            self._running.discard(me)
            self._changed.notify_all()

    def _next(self) -> int:
        while self._order and self._order[0] not in self._running:
            self._order.pop(0)
        return self._order[0] if self._order else min(self._running)


class _Waiting:
    """A storage each of whose calls waits for its turn."""

    def __init__(self, storage: Storage, turns: _Turns, me: int) -> None:
        self._storage, self._turns, self._me = storage, turns, me

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found
        return lambda *args, **kwargs: self._turns.take(self._me, lambda: _whole(found(*args, **kwargs)))


def _whole(answer: Any) -> Any:
    """A listing is made in one turn."""
    return answer if isinstance(answer, bytes) or not hasattr(answer, "__next__") else iter(list(answer))


def in_turns(storage: Storage, operations: Sequence[Operation], order: Sequence[int]) -> list[Any]:
    """Run them all, each in a thread of its own; what each returned, or the exception that ended it."""
    turns = _Turns(order, len(operations))
    results: list[Any] = [None] * len(operations)

    def run(me: int) -> None:
        try:
            results[me] = operations[me](cast(Storage, _Waiting(storage, turns, me)))
        except (DrtoolError, AssertionError) as error:
            results[me] = error
        finally:
            turns.leave(me)

    threads = [threading.Thread(target=run, args=(me,)) for me in range(len(operations))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
