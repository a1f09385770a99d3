"""Codec 3: chunks with vectors of 32-bit floats, written down as planes."""

from __future__ import annotations

import struct

from tests.format.keys import require
from tests.format.planes import Body


def unpacked(data: bytes, length: int) -> bytes:
    """The chunk of `length` bytes that is written down as `data`."""
    body = Body(data)
    number = body.number()
    require(4 * number <= length, "has more vectors than it has room for")
    table = list(struct.iter_unpack(">II", body.stream(8 * number)))
    total = sum(count for _, count in table)
    require(
        all(count for _, count in table) and 4 * total <= length, "has vectors that are empty or longer than itself"
    )
    rest = body.stream(length - 4 * total)
    require(sum(gap for gap, _ in table) <= len(rest), "has vectors outside of itself")
    planes = [body.stream(total) for _ in range(4)]
    body.end()
    values = b"".join(bytes(value) for value in zip(*planes, strict=True))
    chunk, at, begin = b"", 0, 0
    for gap, count in table:
        chunk += rest[at : at + gap] + values[begin : begin + 4 * count]
        at, begin = at + gap, begin + 4 * count
    return chunk + rest[at:]
