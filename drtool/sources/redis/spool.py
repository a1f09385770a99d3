"""What was read of a server, in files of its own: values where they came to lie, and keys in order.

A dump has its keys in no order. Of each key only its name and the place of its value are sorted: in runs that fit into
memory, merged when they are read (Knuth, The Art of Computer Programming, 5.4.1).
"""

from __future__ import annotations

import heapq
import marshal
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import IO

from drtool.errors import SourceError
from drtool.sources.redis.rdb.dump import NEVER, Found

#: How many keys, and how many bytes of keys, are sorted at a time.
_RUN_KEYS, _RUN_BYTES = 200_000, 32_000_000
_BLOCK_KEYS = 1_000
_KEY = itemgetter(0)
_HINT = "Values wait in the directory that $TMPDIR names while they are put in order: it needs room for all of them."


@dataclass(slots=True)
class Tally:
    """What there is of one database: keys, bytes of keys and values, how many expire, and the types."""

    keys: int = 0
    bytes: int = 0
    expiring: int = 0
    types: set[int] = field(default_factory=set)
    runs: list[list[tuple[int, int]]] = field(default_factory=list)

    def count(self, found: Sequence[Found]) -> None:
        """Add keys."""
        names, expiries, numbers, _, lengths = zip(*found, strict=True)
        self.keys += len(found)
        self.bytes += sum(map(len, names)) + sum(lengths) + len(found)
        self.expiring += len(found) - expiries.count(NEVER)
        self.types.update(numbers)


class Order:
    """Keys of several databases, to be read in order. `add` first, `end` once, then read from any thread."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `close` does
        self._held: dict[int, list[Found]] = {}
        self._keys = self._bytes = 0
        self.tallies: dict[int, Tally] = {}

    def add(self, database: int, found: Sequence[Found]) -> None:
        """Take some keys, one or more."""
        tally = self.tallies.setdefault(database, Tally())
        tally.count(found)
        self._held.setdefault(database, []).extend(found)
        self._keys += len(found)
        self._bytes += sum(map(len, map(_KEY, found)))
        if self._keys >= _RUN_KEYS or self._bytes >= _RUN_BYTES:
            self._put_away()

    def end(self) -> None:
        """All is there. What is held now stays so: it is no more than was held before."""
        for held in self._held.values():
            held.sort(key=_KEY)

    def _put_away(self) -> None:
        for database, held in self._held.items():
            held.sort(key=_KEY)
            blocks = []
            for start in range(0, len(held), _BLOCK_KEYS):
                data = marshal.dumps(held[start : start + _BLOCK_KEYS])
                blocks.append((self._file.tell(), len(data)))
                write(self._file, data)
            self.tallies[database].runs.append(blocks)
        self._file.flush()
        self._held, self._keys, self._bytes = {}, 0, 0

    def read(self, database: int) -> Iterator[Found]:
        """The keys of a database in order; of equal ones only the first."""
        tally = self.tallies.get(database)
        runs: list[Iterable[Found]] = [self._run(blocks) for blocks in tally.runs] if tally is not None else []
        runs += [self._held.get(database, [])]
        last: bytes | None = None
        for found in heapq.merge(*runs, key=_KEY) if len(runs) > 1 else runs[0]:
            if found[0] != last:
                last = found[0]
                yield found

    def close(self) -> None:
        """Give up the file. Safe to call twice."""
        self._file.close()

    def _run(self, blocks: list[tuple[int, int]]) -> Iterator[Found]:
        for offset, length in blocks:
            yield from marshal.loads(os.pread(self._file.fileno(), length, offset))  # noqa: S302 - a file of our own


def write(file: IO[bytes], data: bytes) -> None:
    """``SourceError`` where there is no room."""
    try:
        file.write(data)
    except OSError as error:
        raise SourceError(f"what is read of Redis cannot be kept on this host: {error.strerror}", hint=_HINT) from error
