"""Codec 2: chunks with arrays of doubles, written down as byte planes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import zstandard

from tests.format.keys import require

_LEAST = 16


class Run(NamedTuple):
    """A row of the table."""

    width: int
    gap: int
    values: int

    @property
    def length(self) -> int:
        """The bytes of its elements."""
        return 10 * self.values + sum(len(str(index)) for index in range(self.values))


class Body:
    """Takes numbers and streams off a body."""

    def __init__(self, body: bytes) -> None:
        self._rest = body

    def number(self) -> int:
        """A u32."""
        require(len(self._rest) >= 4, "ends within a number")
        (number,) = struct.unpack_from(">I", self._rest)
        self._rest = self._rest[4:]
        return int(number)

    def stream(self, length: int) -> bytes:
        """A stream of so many bytes when unpacked."""
        stored = self.number()
        require(stored <= min(length, len(self._rest)), "has a stream that is too long")
        data, self._rest = self._rest[:stored], self._rest[stored:]
        if stored == length:
            return data
        require(zstandard.get_frame_parameters(data).content_size == length, "claims another length in its frame")
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)

    def end(self) -> None:
        """Nothing may follow."""
        require(not self._rest, "goes on after its last stream")


def unpacked(data: bytes, length: int) -> bytes:
    """The chunk of `length` bytes that is written down as `data`."""
    body = Body(data)
    number = body.number()
    require(182 * number <= length, "has more runs than it has room for")
    runs = [Run(*fields) for fields in struct.iter_unpack(">BII", body.stream(9 * number))]
    for run in runs:
        require(run.width in {4, 8} and _LEAST <= run.values <= length // 11, "has a run of an impossible kind")
    room = length - sum(run.length for run in runs)
    require(room >= 0, "has runs longer than itself")
    rest = body.stream(room)
    require(sum(run.gap for run in runs) <= room, "has runs outside of itself")
    elements: dict[int, bytes] = {}
    for width, letter in ((4, "f"), (8, "d")):
        elements |= _elements(body, runs, width, letter)
    body.end()
    chunk, at = b"", 0
    for place, run in enumerate(runs):
        chunk += rest[at : at + run.gap] + elements[place]
        at += run.gap
    return chunk + rest[at:]


def _elements(body: Body, runs: Sequence[Run], width: int, letter: str) -> dict[int, bytes]:
    """The elements of the runs of this width, by the runs' places in the table."""
    places = sorted((place for place, run in enumerate(runs) if run.width == width), key=lambda at: runs[at].values)
    total = sum(runs[place].values for place in places)
    planes = [body.stream(total) for _ in range(width)]
    little_endian = bytes(byte for value in zip(*planes, strict=True) for byte in value)
    values = iter(struct.unpack(f"<{total}{letter}", little_endian))
    return {place: b"".join(_element(index, next(values)) for index in range(runs[place].values)) for place in places}


def _element(index: int, value: float) -> bytes:
    return b"\1" + str(index).encode() + b"\0" + struct.pack("<d", value)
