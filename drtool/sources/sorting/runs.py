"""Records by key, in a file of its own where they are many."""

from __future__ import annotations

import marshal
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import IO

from drtool.sources.sorting.files import discard, flush, new_file, read, write
from drtool.sources.sorting.merging import Sorted, merged

#: What Python needs for a key and its record beside their bytes.
_KEY_BYTES = 250
#: So many runs are read at once; where there are more, some are merged before, so that memory does not grow.
_MOST_RUNS = 128
#: What is read of each run at a time.
_BLOCK_BYTES = 64 * 1024
#: How many records are looked at together: all of a run would not fit into the processor's cache.
_AT_ONCE = 1000
_OLD = 2  # the version of marshal that does not look for the same object twice


class Runs:
    """Records of several sequences, to be read in the order of their keys. `add` first, `end` once, then read from any
    thread. Of equal keys the last counts. About `run_bytes` are sorted at a time; what needs no more stays in memory,
    the rest in a file, which takes twice the room where it is merged in between.

    ``NotKeptError`` where there is none.
    """

    def __init__(self, run_bytes: int) -> None:
        self._run_bytes = run_bytes
        self._held: dict[int, dict[bytes, bytes]] = {}
        self._bytes = 0
        self._runs: dict[int, list[array[int]]] = {}
        self._file: IO[bytes] | None = None

    def add(self, sequence: int, found: Mapping[bytes, bytes], size: int) -> None:
        """Take records by key, which have so many bytes."""
        self._held.setdefault(sequence, {}).update(found)
        self._bytes += size + _KEY_BYTES * len(found)
        if self._bytes >= self._run_bytes:
            self._put_away()

    def end(self) -> None:
        """All is there."""
        if self._file is None:
            return
        self._put_away()
        flush(self._file)
        while max(map(len, self._runs.values())) > _MOST_RUNS:
            self._merge()

    def read(self, sequence: int) -> Iterator[Sorted]:
        """The keys of a sequence and their records, in order, some at a time."""
        held = self._held.get(sequence)
        if held:
            yield _sorted(held)
        else:
            yield from merged([self._run(blocks) for blocks in self._runs.get(sequence, ())])

    def close(self) -> None:
        """Give up the file. Safe to call twice."""
        if self._file is not None:
            discard(self._file)

    def _put_away(self) -> None:
        if self._file is None:
            self._file = new_file()
        for sequence, held in self._held.items():
            self._runs.setdefault(sequence, []).append(_written(self._file, [_sorted(held)]))
        self._held, self._bytes = {}, 0

    def _merge(self) -> None:
        """Make one run of as many as are read at once, in another file."""
        file = new_file()
        try:
            longer = {sequence: [*self._merged(runs, file)] for sequence, runs in self._runs.items()}
            flush(file)
        except BaseException:
            discard(file)
            raise
        self.close()
        self._file, self._runs = file, longer

    def _merged(self, runs: Sequence[array[int]], file: IO[bytes]) -> Iterator[array[int]]:
        for first in range(0, len(runs), _MOST_RUNS):
            yield _written(file, merged([self._run(blocks) for blocks in runs[first : first + _MOST_RUNS]]))

    def _run(self, blocks: array[int]) -> Iterator[Sorted]:
        assert self._file is not None
        for at in range(0, len(blocks), 2):
            data = read(self._file, blocks[at + 1], blocks[at])
            yield marshal.loads(data)  # noqa: S302 - a file of our own


def _sorted(held: Mapping[bytes, bytes]) -> Sorted:
    keys = sorted(held)
    return keys, list(map(held.__getitem__, keys))


def _written(file: IO[bytes], lists: Iterable[Sorted]) -> array[int]:
    """Write records that come in order as a run: offset and length of each of its blocks."""
    blocks = array("Q")
    for keys, records in lists:
        for first in range(0, len(keys), _AT_ONCE):
            ends = list(accumulate(map(len, records[first : first + _AT_ONCE])))
            start = before = 0
            while start < len(ends):
                end = bisect_right(ends, before + _BLOCK_BYTES, start + 1)
                data = marshal.dumps((keys[first + start : first + end], records[first + start : first + end]), _OLD)
                blocks.extend((file.tell(), len(data)))
                write(file, data)
                start, before = end, ends[end - 1]
    return blocks
