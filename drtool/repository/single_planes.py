"""Codec 3, planes of singles: chunks with vectors of 32-bit floats (docs/format.md, "Planes of singles").

Of all values the first bytes are compressed by themselves, then the second ones and so on. Of true 32-bit floats only
the plane with sign and exponent shrinks; of those that were 16-bit ones once, the low planes do, too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
import zstandard

from drtool.errors import DamagedObjectError
from drtool.repository.arena import arena
from drtool.repository.body_streams import Streams, write_streams
from drtool.repository.elements import from_planes, to_planes
from drtool.repository.singles import VALUE_BYTES, Run, find_vectors
from drtool.repository.wire import Cursor

_LEAST_SHARE = 0.5
_ROW = struct.Struct(">II")


def pack(data: bytes, compressor: zstandard.ZstdCompressor) -> list[bytes | memoryview] | None:
    """The body of the codec, valid until this thread's next chunk; ``None`` where vectors are not most of `data`."""
    runs = list(find_vectors(data))
    if sum(run.end - run.start for run in runs) < _LEAST_SHARE * len(data):
        return None
    arena.begin()
    table, rest, at = [], [], 0
    for run in runs:
        table.append(_ROW.pack(run.start - at, run.values))
        rest.append(data[at : run.start])
        at = run.end
    rest.append(data[at:])
    streams: list[bytes | memoryview] = [b"".join(table), b"".join(rest), *_planes(data, runs)]
    return [len(runs).to_bytes(4), *write_streams(streams, compressor)]


def unpack(body: memoryview, length: int, decompressor: zstandard.ZstdDecompressor, what: str) -> bytes:
    """The chunk of `length` bytes; ``DamagedObjectError`` where `body` is not that of such a chunk.

    Allocates a small multiple of `length` at most.
    """
    arena.begin()
    streams = Streams(Cursor(body, what), decompressor, what)
    number = streams.cursor.u32()
    if number > length // VALUE_BYTES:
        raise DamagedObjectError(f"{what} has more vectors than {length} bytes hold")
    table = list(_ROW.iter_unpack(streams.next(number * _ROW.size)))
    total = sum(values for _, values in table)
    if total > length // VALUE_BYTES or any(not values for _, values in table):
        raise DamagedObjectError(f"{what} has longer vectors than {length} bytes hold, or empty ones")
    rest = memoryview(streams.next(length - VALUE_BYTES * total))
    if sum(gap for gap, _ in table) > len(rest):
        raise DamagedObjectError(f"{what} has vectors outside of itself")
    values = memoryview(from_planes([streams.next(total) for _ in range(VALUE_BYTES)]).view(np.uint8).data)
    streams.cursor.finish()
    pieces, at, begin = [], 0, 0
    for gap, count in table:
        pieces += [rest[at : at + gap], values[begin : begin + VALUE_BYTES * count]]
        at, begin = at + gap, begin + VALUE_BYTES * count
    return b"".join([*pieces, rest[at:]])


def _planes(data: bytes, runs: Sequence[Run]) -> Iterator[memoryview]:
    whole = arena.array((sum(run.values for run in runs) * VALUE_BYTES,), "u1")
    source, at = np.frombuffer(data, np.uint8), 0
    for run in runs:
        size = run.end - run.start
        whole[at : at + size] = source[run.start : run.end]
        at += size
    return to_planes([whole.view("<u4")], VALUE_BYTES)
