"""Arrays of doubles in BSON documents (https://bsonspec.org/spec.html): where they lie among any bytes.

An element of such an array is the byte 0x01, its index in decimal as a C string, and 8 bytes: so an array of `count`
doubles is always as long as any other, and only every value's bytes differ. A *run* is the elements of one array.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache
from random import Random
from typing import NamedTuple

VALUE_BYTES = 8
#: Shorter arrays cost more time than they save space.
LEAST_COUNT = 128
_FIRST = re.compile(rb"\x010\x00")
#: Two elements beyond the hundredth: shorter arrays are not to be seen.
_INSIDE = re.compile(rb"\x01[1-9][0-9]{2,6}\x00.{8}\x01[1-9][0-9]{2,6}\x00", re.DOTALL)
#: Of an array: its length before the elements, which counts itself, and the byte after them.
_AROUND_BYTES = 5
_PROBE_BYTES = 128
_random = Random(1)
#: As shares of the data. Not at equal distances: in documents of one length that might be always the same place.
_PROBED = [_random.random() for _ in range(16)]


class Run(NamedTuple):
    """`values` elements, the first of which begins at byte `start`."""

    start: int
    values: int

    @property
    def end(self) -> int:
        """The byte after the last element."""
        return self.start + run_bytes(self.values)


class Decade(NamedTuple):
    """Elements whose indices have the same number of digits: `first` to below `beyond`, from byte `offset` of a run,
    `stride` bytes each."""

    first: int
    beyond: int
    offset: int
    stride: int

    @property
    def value_offset(self) -> int:
        """Where the first element's value begins."""
        return self.offset + self.stride - VALUE_BYTES


def _decades() -> tuple[Decade, ...]:
    decades, offset = [], 0
    for digits in range(1, 9):
        first = 10 ** (digits - 1) if digits > 1 else 0
        decade = Decade(first, 10**digits, offset, 1 + digits + 1 + VALUE_BYTES)
        decades.append(decade)
        offset += (decade.beyond - first) * decade.stride
    return tuple(decades)


#: More elements than a chunk has room for.
DECADES = _decades()
_OFFSETS = [decade.offset for decade in DECADES]


def run_bytes(count: int) -> int:
    """The length of a run of `count` elements."""
    decade = DECADES[len(str(count - 1)) - 1] if count else DECADES[0]
    return decade.offset + (count - decade.first) * decade.stride


def may_hold_runs(data: bytes) -> bool:
    """A look at a few places of `data`: is it worth a search? Sees arrays that make up a good share of it."""
    room = max(0, len(data) - _PROBE_BYTES)
    places = (int(share * room) for share in _PROBED)
    return any(_INSIDE.search(data, at, at + _PROBE_BYTES) for at in places)


def find_runs(data: bytes) -> list[Run]:
    """What may be runs of `LEAST_COUNT` elements and more, none within another: the first element is there, and an
    array's length stands before it. The other elements are for the caller to compare."""
    runs = []
    found = _FIRST.search(data)
    while found:
        start, beyond = found.span()
        length = int.from_bytes(data[start - 4 : start], "little") - _AROUND_BYTES
        count = count_in(length)
        if count >= LEAST_COUNT and start + length <= len(data):
            runs.append(Run(start, count))
            beyond = start + length
        found = _FIRST.search(data, beyond)
    return runs


@lru_cache(maxsize=256)
def count_in(length: int) -> int:
    """How many elements a run of `length` bytes has; 0 if none has that length."""
    if not 0 < length <= _OFFSETS[-1]:
        return 0
    decade = DECADES[bisect_left(_OFFSETS, length) - 1]
    elements, rest = divmod(length - decade.offset, decade.stride)
    return 0 if rest else decade.first + elements
