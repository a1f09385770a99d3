"""Memory that a thread uses again for each chunk: fresh memory costs more than the work done in it."""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

#: Enough for a chunk of ordinary size; what does not fit is taken from the system each time.
_KEPT_BYTES = 6 * 1024 * 1024
_ALIGNED_TO = 64


class Arena(threading.local):
    """Hands out uninitialised arrays; after `begin`, the same memory once more."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)
        self._used = self._wanted = 0

    def begin(self) -> None:
        """What this thread was given before is not needed any more."""
        if self._wanted > len(self._memory) < _KEPT_BYTES:
            self._memory = np.empty(min(self._wanted, _KEPT_BYTES), np.uint8)
        self._used = self._wanted = 0

    def array(self, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """An array in C order, valid until this thread calls `begin`."""
        length = prod(shape) * np.dtype(dtype).itemsize
        room = -(-length // _ALIGNED_TO) * _ALIGNED_TO
        self._wanted += room
        begin = self._used
        if begin + room > len(self._memory):
            return np.empty(shape, dtype)
        self._used += room
        return self._memory[begin : begin + length].view(dtype).reshape(shape)


arena = Arena()
