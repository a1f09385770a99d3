"""From the memory that a run may use to how much it does at once."""

from __future__ import annotations

import os
from dataclasses import dataclass

from drtool.repository.packs import PACK_BYTES, PACK_SLACK_BYTES

#: Python, its libraries, the index cache, and what the allocator keeps, before any data is counted.
_BASE_BYTES = 95_000_000
#: What a reader holds: a reply of the server, the records of a chunk, and the chunk.
_READER_BYTES = 15_000_000
#: What a worker holds beside its chunk: the chunk compressed, twice, or its vectors taken apart.
_WORKER_BYTES = 10_000_000
#: What a helper holds, which reads and works beside this process: that, and what it does not share with this one.
_HELPER_BYTES = 48_000_000
_LEAST_QUEUE_BYTES = 8_000_000
_MOST_QUEUE_BYTES = 64_000_000
_MOST_UPLOADS = 4
_SMALL_PACKS = (PACK_BYTES // 2, PACK_BYTES // 4)
MAX_READERS = 16

# How what is left beside the base is shared out, in percent.
_READERS, _WORKERS, _PACKS, _QUEUE = 22, 12, 53, 13


@dataclass(frozen=True, slots=True)
class Budget:
    """``readers`` read streams, ``workers`` hash, compress and seal, ``uploads`` packs are on their way while one is
    filled; ``queue_bytes`` of chunks wait between the first two. Packs are smaller than usual where memory is short.
    ``helpers`` processes may take the place of readers, workers and queue; 0 where that would not be quicker.
    """

    readers: int
    workers: int
    uploads: int
    queue_bytes: int
    pack_bytes: int = PACK_BYTES
    helpers: int = 0

    @classmethod
    def within(cls, memory: int, readers: int | None) -> Budget:
        """What fits into `memory` bytes; `readers` where the operator fixed their number.

        Never less than one of each, which needs about 110 MB.
        """
        cores = os.cpu_count() or 1
        hundredth = max(0, memory - _BASE_BYTES) // 100
        packs = _PACKS * hundredth
        most_readers = readers or min(MAX_READERS, max(2, cores))
        helpers = min(cores, most_readers, (100 - _PACKS) * hundredth // _HELPER_BYTES)
        return cls(
            readers=_between(1, _READERS * hundredth // _READER_BYTES, most_readers),
            workers=_between(1, _WORKERS * hundredth // _WORKER_BYTES, min(cores, MAX_READERS)),
            uploads=_between(1, packs // (PACK_BYTES + PACK_SLACK_BYTES) - 1, _MOST_UPLOADS),
            queue_bytes=_between(_LEAST_QUEUE_BYTES, _QUEUE * hundredth, _MOST_QUEUE_BYTES),
            pack_bytes=_largest_of_two(packs),
            helpers=helpers if helpers > 1 else 0,
        )


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def _largest_of_two(memory: int) -> int:
    """The largest pack of which `memory` holds one that is filled and one on its way; else the smallest."""
    for size in (PACK_BYTES, *_SMALL_PACKS):
        if 2 * (size + PACK_SLACK_BYTES) <= memory:
            return size
    return _SMALL_PACKS[-1]
