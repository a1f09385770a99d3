"""Records by key, in a file of its own where they are many."""

from __future__ import annotations

import marshal
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import IO

from drtool.sources.sorting.files import flush, new_file, write
from drtool.sources.sorting.merging import Sorted, merged

#: What Python needs for a key and its record beside their bytes.
_KEY_BYTES = 250
#: After so many runs they are twice as long.
_DOUBLED_AFTER = 160
#: What is read of each run at a time.
_BLOCK_BYTES = 64 * 1024
#: How many records are looked at together: all of a run would not fit into the processor's cache.
_AT_ONCE = 1000
_OLD = 2  # the version of marshal that does not look for the same object twice

Block = tuple[int, int]
"""Where a block of a run lies in the file: offset and length."""


class Runs:
    """Records of several sequences, to be read in the order of their keys. `add` first, `end` once, then read from any
    thread. Of equal keys the last counts. About `run_bytes` are sorted at a time; what needs no more stays in memory.

    ``NotKeptError`` where there is no room.
    """

    def __init__(self, run_bytes: int) -> None:
        self._run_bytes = run_bytes
        self._held: dict[int, dict[bytes, bytes]] = {}
        self._bytes = self._times = 0
        self._runs: dict[int, list[list[Block]]] = {}
        self._file: IO[bytes] | None = None

    def add(self, sequence: int, found: Mapping[bytes, bytes], size: int) -> None:
        """Take records by key, which have so many bytes."""
        self._held.setdefault(sequence, {}).update(found)
        self._bytes += size + _KEY_BYTES * len(found)
        # Each run takes memory when all are read: so they grow, and it grows with the square root of what there is.
        if self._bytes >= self._run_bytes + self._times * self._run_bytes // _DOUBLED_AFTER:
            self._put_away()

    def end(self) -> None:
        """All is there."""
        if self._file is not None:
            self._put_away()
            flush(self._file)

    def read(self, sequence: int) -> Iterator[Sorted]:
        """The keys of a sequence and their records, in order, some at a time."""
        held = self._held.get(sequence)
        if held:
            keys = sorted(held)
            yield keys, list(map(held.__getitem__, keys))
        else:
            yield from merged([self._run(blocks) for blocks in self._runs.get(sequence, ())])

    def close(self) -> None:
        """Give up the file. Safe to call twice."""
        if self._file is not None:
            self._file.close()

    def _put_away(self) -> None:
        if self._file is None:
            self._file = new_file()
        for sequence, held in self._held.items():
            self._runs.setdefault(sequence, []).append(list(_written(self._file, held)))
        self._held, self._bytes = {}, 0
        self._times += 1

    def _run(self, blocks: list[Block]) -> Iterator[Sorted]:
        assert self._file is not None
        for offset, length in blocks:
            yield marshal.loads(os.pread(self._file.fileno(), length, offset))  # noqa: S302 - a file of our own


def _written(file: IO[bytes], held: Mapping[bytes, bytes]) -> Iterator[Block]:
    names = sorted(held)
    for first in range(0, len(names), _AT_ONCE):
        keys = names[first : first + _AT_ONCE]
        records = list(map(held.__getitem__, keys))
        ends = list(accumulate(map(len, records)))
        start = before = 0
        while start < len(keys):
            end = bisect_right(ends, before + _BLOCK_BYTES, start + 1)
            data = marshal.dumps((keys[start:end], records[start:end]), _OLD)
            yield file.tell(), len(data)
            write(file, data)
            start, before = end, ends[end - 1]
