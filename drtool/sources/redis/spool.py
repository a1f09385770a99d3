"""What was read of a server, in order: records by key (``drtool.sources.sorting``).

Values that take more than one record are not moved about: they lie in a file of their own, and an empty record stands
for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from drtool.sources.redis.records import HEAD
from drtool.sources.sorting.files import discard, flush, new_file, read, write
from drtool.sources.sorting.merging import Sorted
from drtool.sources.sorting.runs import Runs

#: How many bytes are sorted at a time.
_RUN_BYTES = 32_000_000


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
        self._runs = Runs(_RUN_BYTES)
        self._large: IO[bytes] | None = None

    def add(self, database: int, found: Mapping[bytes, bytes], types: set[int], expiring: int) -> None:
        """Take records by key, the types among them, and how many of them expire."""
        size = sum(map(len, found.values()))
        tally = self.tallies.setdefault(database, Tally())
        tally.keys += len(found)
        tally.bytes += size - HEAD.size * len(found)
        tally.expiring += expiring
        tally.types |= types
        self._runs.add(database, found, size)

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
        self._runs.add(database, {key: b""}, 0)

    def end(self) -> None:
        """All is there. What fits into one run stays in memory."""
        self._runs.end()
        if self._large is not None:
            flush(self._large)

    def read(self, database: int) -> Iterator[Sorted]:
        """The keys of a database and their records, in order, some at a time."""
        return self._runs.read(database)

    def part_of(self, place: Place, start: int, end: int) -> bytes:
        """These bytes of a large value."""
        assert self._large is not None
        return read(self._large, end - start, place.offset + start)

    def close(self) -> None:
        """Give up the files. Safe to call twice."""
        self._runs.close()
        if self._large is not None:
            discard(self._large)
