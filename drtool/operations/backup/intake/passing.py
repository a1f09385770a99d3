"""Bytes from one process to another through memory that both see."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe

#: Compressed, most chunks are shorter than this.
SLOT_BYTES = 1024 * 1024
_SLOTS = 6


class Slots:
    """Slots of `SLOT_BYTES`, made before a fork: the process that was forked fills free ones, the one that forked it
    empties them and gives them back.

    The free ones are those whose numbers are on their way in a pipe; each process closes the other's end of it
    (``taking``, ``giving``).
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SLOTS * SLOT_BYTES)
        self._view = memoryview(self._memory)
        self.taking, self.giving = Pipe(duplex=False)
        for slot in range(_SLOTS):
            self.give(slot)

    def fill(self, data: memoryview) -> int:
        """Put up to `SLOT_BYTES` into a free slot, once there is one; its number. ``EOFError`` where nobody gives any
        back."""
        found = os.read(self.taking.fileno(), 1)
        if not found:
            raise EOFError
        [slot] = found
        self._view[slot * SLOT_BYTES :][: len(data)] = data
        return slot

    @contextmanager
    def emptying(self, slot: int, size: int) -> Iterator[memoryview]:
        """What was put into a slot, which is free again afterwards."""
        try:
            with self._view[slot * SLOT_BYTES :][:size] as data:
                yield data
        finally:
            self.give(slot)

    def give(self, slot: int) -> None:
        """A slot is free."""
        with suppress(BrokenPipeError):  # nobody is there any more to fill it
            os.write(self.giving.fileno(), bytes((slot,)))

    def close(self) -> None:
        """Give up the memory."""
        self._view.release()
        self._memory.close()
