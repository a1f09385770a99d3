"""What was read of a server, in order: records by key, in a file of its own where they are many.

A dump has its keys in no order. They are sorted in runs that fit into memory, which are merged when they are read
(Knuth, The Art of Computer Programming, 5.4.1). Values that take more than one record are not moved about: they lie in
another file, and an empty record stands for them.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import IO, NamedTuple

from drtool.errors import SourceError
from drtool.sources.redis.merging import Sorted, merged
from drtool.sources.redis.records import HEAD

#: How many bytes are sorted at a time. What Python needs for a key and its record beside their bytes counts, too.
_RUN_BYTES, _KEY_BYTES = 32_000_000, 250
#: After so many runs they are twice as long.
_DOUBLED_AFTER = 160
#: What is read of each run at a time.
_BLOCK_BYTES = 128 * 1024
#: How many records are looked at together: all of a run would not fit into the processor's cache.
_AT_ONCE = 1000
_OLD = 2  # the version of marshal that does not look for the same object twice
_HINT = "Values wait in the directory that $TMPDIR names while they are put in order: it needs room for all of them."

Block = tuple[int, int]
"""Where a block of a run lies in the file: offset and length."""


class Place(NamedTuple):
    """A large value: when it expires, its type, and where it lies in the other file."""

    expiry: int
    number: int
    offset: int
    length: int


@dataclass(slots=True)
class Tally:
    """What there is of one database: keys, bytes of keys and values, how many expire, and the types."""

    keys: int = 0
    bytes: int = 0
    expiring: int = 0
    types: set[int] = field(default_factory=set)


class Order:
    """Keys of several databases, to be read in order. `add` and `add_large` first, `end` once, then read from any
    thread. Of equal keys the last counts."""

    def __init__(self) -> None:
        self.tallies: dict[int, Tally] = {}
        self.large: dict[int, dict[bytes, Place]] = {}
        self._held: dict[int, dict[bytes, bytes]] = {}
        self._bytes = self._times = 0
        self._runs: dict[int, list[list[Block]]] = {}
        self._file: IO[bytes] | None = None
        self._large: IO[bytes] | None = None

    def add(self, database: int, found: Mapping[bytes, bytes], types: set[int], expiring: int) -> None:
        """Take records by key, the types among them, and how many of them expire."""
        size = sum(map(len, found.values()))
        tally = self.tallies.setdefault(database, Tally())
        tally.keys += len(found)
        tally.bytes += size - HEAD.size * len(found)
        tally.expiring += expiring
        tally.types |= types
        self._hold(database, found, size)

    def add_large(self, database: int, key: bytes, expiry: int, number: int, value: bytes | memoryview) -> None:
        """Take a value of type `number` that needs more than one record. Type and expiry are counted by `add`."""
        if self._large is None:
            self._large = new_file()
        place = Place(expiry, number, self._large.tell(), len(value))
        write(self._large, value)
        self.large.setdefault(database, {})[key] = place
        tally = self.tallies.setdefault(database, Tally())
        tally.keys += 1
        tally.bytes += len(key) + len(value) + 1
        self._hold(database, {key: b""}, 0)

    def end(self) -> None:
        """All is there. What fits into one run stays in memory."""
        if self._file is not None:
            self._put_away()
        for file in (self._file, self._large):
            if file is not None:
                flush(file)

    def read(self, database: int) -> Iterator[Sorted]:
        """The keys of a database and their records, in order, some at a time."""
        held = self._held.get(database)
        if held:
            keys = sorted(held)
            yield keys, list(map(held.__getitem__, keys))
        else:
            yield from merged([self._run(blocks) for blocks in self._runs.get(database, ())])

    def part_of(self, place: Place, start: int, end: int) -> bytes:
        """These bytes of a large value."""
        assert self._large is not None
        return os.pread(self._large.fileno(), end - start, place.offset + start)

    def close(self) -> None:
        """Give up the files. Safe to call twice."""
        for file in (self._file, self._large):
            if file is not None:
                file.close()

    def _hold(self, database: int, found: Mapping[bytes, bytes], size: int) -> None:
        self._held.setdefault(database, {}).update(found)
        self._bytes += size + _KEY_BYTES * len(found)
        # Each run takes memory when all are read: so they grow, and it grows with the square root of what there is.
        if self._bytes >= _RUN_BYTES + self._times * _RUN_BYTES // _DOUBLED_AFTER:
            self._put_away()

    def _put_away(self) -> None:
        if self._file is None:
            self._file = new_file()
        for database, held in self._held.items():
            self._runs.setdefault(database, []).append(list(_written(self._file, held)))
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


def new_file() -> IO[bytes]:
    """``SourceError`` where there can be none, here and below."""
    with _kept():
        return tempfile.TemporaryFile()


def write(file: IO[bytes], data: bytes | memoryview) -> None:
    """All of it."""
    with _kept():
        file.write(data)


def flush(file: IO[bytes]) -> None:
    """So that it can be read."""
    with _kept():
        file.flush()


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f"what is read of Redis cannot be kept on this host: {error.strerror}", hint=_HINT) from error
