"""Several sorted runs as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Sorted = tuple[list[bytes], list[bytes]]
"""Keys in ascending order, and the record of each."""


def merged(runs: Iterable[Iterator[Sorted]]) -> Iterator[Sorted]:
    """Runs, each in blocks that are not empty, as blocks of one run. Of equal keys the last run's counts.

    What lies up to the least of the blocks' last keys is complete, and is sorted at once: sorting finds what is in
    order already (https://github.com/python/cpython/blob/main/Objects/listsort.txt), and a heap would cost a step of
    Python for each record.
    """
    open_runs = [one for one in map(_Run, runs) if one.keys]
    while open_runs:
        bound = min([one.keys[-1] for one in open_runs])
        found: dict[bytes, bytes] = {}
        for one in open_runs:
            one.give(found, bound)
        open_runs = [one for one in open_runs if one.keys]
        keys = sorted(found)
        yield keys, list(map(found.__getitem__, keys))


class _Run:
    """``keys`` are those of the block that is being read; empty at the end."""

    def __init__(self, blocks: Iterator[Sorted]) -> None:
        self._blocks = blocks
        self._next()

    def _next(self) -> None:
        self.keys, self._records = next(self._blocks, ([], []))
        self._at = 0

    def give(self, found: dict[bytes, bytes], bound: bytes) -> None:
        """What lies up to `bound`, which is no more than this block's last key."""
        at, keys = self._at, self.keys
        if keys[at] > bound:
            return
        end = bisect_right(keys, bound, at)
        found.update(zip(keys[at:end], self._records[at:end], strict=True))
        if end == len(keys):
            self._next()
        else:
            self._at = end
