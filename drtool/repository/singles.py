"""Vectors of 32-bit floats in BSON documents: where they lie among any bytes.

They are BSON binaries of subtype 9 of the type FLOAT32, without padding
(https://github.com/mongodb/specifications/blob/master/source/bson-binary-vector/bson-binary-vector.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VALUE_BYTES = 4
#: Shorter vectors cost more time than they save space.
LEAST_VALUES = 32
#: The subtype, the type and the padding. Before them stands the length of the last two and the values.
_HEAD = b"\x09\x27\x00"
_LOOK_BYTES = 64 * 1024
_TRIES = 8


class Run(NamedTuple):
    """``values`` floats from byte ``start``."""

    start: int
    values: int

    @property
    def end(self) -> int:
        """The byte after the last value."""
        return self.start + VALUE_BYTES * self.values


def may_hold_vectors(data: bytes) -> bool:
    """A look at the beginning of `data`: is it worth a search?"""
    at = -1
    for _ in range(_TRIES):
        at = data.find(_HEAD, at + 1, _LOOK_BYTES)
        if at < 0 or _run_at(data, at) is not None:
            return at >= 0
    return False


def find_vectors(data: bytes) -> Iterator[Run]:
    """The values of each vector, in order."""
    at = data.find(_HEAD)
    while at >= 0:
        run = _run_at(data, at)
        if run is not None:
            yield run
        at = data.find(_HEAD, at + 1 if run is None else run.end)


def _run_at(data: bytes, at: int) -> Run | None:
    """The vector whose head is there, if its length says so, too; None otherwise."""
    start = at + len(_HEAD)
    length = int.from_bytes(data[at - 4 : at], "little") - 2 if at >= 4 else 0
    if length % VALUE_BYTES or length < VALUE_BYTES * LEAST_VALUES or start + length > len(data):
        return None
    return Run(start, length // VALUE_BYTES)
