"""The values of a field as hashes, a limited number of them at a time.

Values are told apart by 64 bits of XXH3 with a seed that is drawn anew for each verification: that one of n values that
do not fit is taken for one of m others has a probability of n·m/2**64, and not twice for the same values.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from drtool.operations.relations.reading_as import normal, read_as
from drtool.sources.base import MISSING

Hashes = npt.NDArray[np.uint64]
#: How many values are looked for at a time in those of the other side, and how many of these are held (8 bytes each).
BATCH = 10_000
MOST_HELD = 8_000_000


@dataclass(frozen=True, slots=True)
class Slice:
    """One of so many parts of all hashes: a stream with more values than are to be held is read as often."""

    number: int
    of: int

    def mask(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which of them belong to it."""
        found: npt.NDArray[np.bool_] = hashes % np.uint64(self.of) == self.number
        return found


def slices(values: int) -> Iterator[Slice]:
    """So many that a slice of so many values is held at once."""
    count = max(1, -(-values // MOST_HELD))
    return (Slice(number, count) for number in range(count))


@dataclass(slots=True)
class Batch:
    """Values and their hashes. ``unread`` are those that cannot be read as they should; ``absent`` counts the records
    without a value."""

    values: list[Any] = field(default_factory=list)
    hashes: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    unread: list[Any] = field(default_factory=list)
    absent: int = 0


class Hasher:
    """Hashes values, as one verification compares them."""

    def __init__(self) -> None:
        self._seed = secrets.randbits(64)

    def batches(self, values: Iterable[Any], type_: str | None) -> Iterator[Batch]:
        """All values (``Source.values``), read as `type_`; several of a record each by itself."""
        iterator = iter(values)
        while raw := list(islice(iterator, BATCH)):
            yield self._batch(raw, type_)

    def held(self, values: Iterable[Any], type_: str | None, part: Slice) -> Hashes:
        """The hashes of all values that belong to `part`, sorted; what has none is left out."""
        found = array("Q")
        for batch in self.batches(values, type_):
            found.frombytes(batch.hashes[part.mask(batch.hashes)].tobytes())
        hashes: Hashes = np.frombuffer(found, np.uint64)
        hashes.sort()
        return hashes

    def _batch(self, raw: Iterable[Any], type_: str | None) -> Batch:
        batch = Batch()
        hashes: list[int] = []
        for value in raw:
            if value is MISSING or value is None:
                batch.absent += 1
                continue
            for one in value if isinstance(value, list) else (value,):
                if one is None:
                    batch.absent += 1
                    continue
                try:
                    hashes.append(xxh3_64_intdigest(normal(read_as(one, type_)), self._seed))
                except ValueError:
                    batch.unread.append(one)
                else:
                    batch.values.append(one)
        batch.hashes = np.array(hashes, np.uint64)
        return batch


def are_in(hashes: Hashes, held: Hashes) -> npt.NDArray[np.bool_]:
    """Which of `hashes` are among those `held`, which are sorted."""
    if not len(held):
        return np.zeros(len(hashes), np.bool_)
    at = np.searchsorted(held, hashes)
    found: npt.NDArray[np.bool_] = held[np.minimum(at, len(held) - 1)] == hashes
    return found
