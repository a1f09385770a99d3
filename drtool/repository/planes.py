"""Codec 2, byte planes: chunks with arrays of doubles (docs/format.md, "Byte planes").

The elements' types and indices are left out, values that are 32-bit floats in 64 bits take 32, and of all values the
first bytes are compressed by themselves, then the second ones and so on: signs and exponents shrink, mantissas do not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, groupby
from operator import attrgetter
from typing import NamedTuple

import zstandard

from drtool.errors import DamagedObjectError
from drtool.repository.arena import arena
from drtool.repository.body_streams import Streams, write_streams
from drtool.repository.doubles import Run, find_runs, run_bytes
from drtool.repository.elements import Bits, build, from_planes, narrow, pick, select, to_planes, widen
from drtool.repository.wire import Cursor

#: With less of a chunk in runs, what remains decides how small it becomes.
_LEAST_SHARE = 0.5
#: Where a piece of an array shrinks to this share by itself (zeros, say), plain zstd is small enough, and faster.
_SMALL_SHARE = 0.125
_SAMPLE_BYTES = 4096
#: The format's own least count, which bounds the table. Whether so short an array pays is another question.
MIN_COUNT = 16
_ROW = struct.Struct(">BII")
_SINGLE, _DOUBLE = 4, 8
_WIDTHS = (_SINGLE, _DOUBLE)
_count_of = attrgetter("values")


class _Row(NamedTuple):
    """A run as the table has it: the bytes of a value, the bytes since the run before, how many values."""

    width: int
    gap: int
    values: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Runs of one count whose values take `width` bytes, in the order of the chunk; ``bits``: a row for each."""

    width: int
    runs: Sequence[Run]
    bits: Bits


def pack(data: bytes, compressor: zstandard.ZstdCompressor) -> list[bytes | memoryview] | None:
    """The body of the codec, valid until this thread's next chunk; ``None`` where it does not pay."""
    runs = find_runs(data)
    if not _pays(data, runs, compressor):
        return None
    arena.begin()
    groups = [group for same in _by_count(runs) for group in _groups(data, same)]
    held = sorted((run, group.width) for group in groups for run in group.runs)
    if not held:
        return None
    streams = (*_table_and_rest(data, held), *_planes(groups, _SINGLE), *_planes(groups, _DOUBLE))
    return [len(held).to_bytes(4), *write_streams(streams, compressor)]


def _pays(data: bytes, runs: Sequence[Run], compressor: zstandard.ZstdCompressor) -> bool:
    if not runs or sum(run.end - run.start for run in runs) < _LEAST_SHARE * len(data):
        return False
    middle = runs[len(runs) // 2]
    sample = data[middle.start : middle.end][-_SAMPLE_BYTES:]
    return len(compressor.compress(sample)) > _SMALL_SHARE * len(sample)


def _by_count(runs: Sequence[Run]) -> Iterator[list[Run]]:
    for _, same in groupby(sorted(runs, key=_count_of), key=_count_of):
        yield list(same)


def _groups(data: bytes, runs: Sequence[Run]) -> Iterator[_Group]:
    """Of runs of one count those that are what they seem to be."""
    is_run, bits = pick(data, runs)
    runs, bits = list(compress(runs, is_run)), select(bits, is_run)
    is_narrow, narrowed = narrow(bits)
    if is_narrow.any():
        yield _Group(_SINGLE, list(compress(runs, is_narrow)), narrowed)
    if not is_narrow.all():
        yield _Group(_DOUBLE, list(compress(runs, ~is_narrow)), select(bits, ~is_narrow))


def _table_and_rest(data: bytes, held: Sequence[tuple[Run, int]]) -> tuple[bytes, bytes]:
    """Where the runs were, and what is left without them."""
    table, rest, at = [], [], 0
    for run, width in held:
        table.append(_ROW.pack(*_Row(width, run.start - at, run.values)))
        rest.append(data[at : run.start])
        at = run.end
    return b"".join(table), b"".join([*rest, data[at:]])


def _planes(groups: Sequence[_Group], width: int) -> Iterable[bytes | memoryview]:
    values = [group.bits for group in groups if group.width == width]
    return to_planes(values, width) if values else [b""] * width


def unpack(body: memoryview, length: int, decompressor: zstandard.ZstdDecompressor, what: str) -> bytes:
    """The chunk of `length` bytes; ``DamagedObjectError`` where `body` is not that of such a chunk.

    Allocates a small multiple of `length` at most.
    """
    arena.begin()
    streams = Streams(Cursor(body, what), decompressor, what)
    table = _read_table(streams, length, what)
    rest = memoryview(streams.next(length - sum(run_bytes(row.values) for row in table)))
    if sum(row.gap for row in table) > len(rest):
        raise DamagedObjectError(f"{what} has arrays outside of itself")
    elements = [memoryview(b"")] * len(table)
    for width in _WIDTHS:
        _read_values(streams, width, table, elements)
    streams.cursor.finish()
    pieces, at = [], 0
    for row, piece in zip(table, elements, strict=True):
        pieces += [rest[at : at + row.gap], piece]
        at += row.gap
    return b"".join([*pieces, rest[at:]])


def _read_table(streams: Streams, length: int, what: str) -> list[_Row]:
    number = streams.cursor.u32()
    if number > length // run_bytes(MIN_COUNT):
        raise DamagedObjectError(f"{what} has more arrays than {length} bytes hold")
    table, room = [], length
    for row in map(_Row._make, _ROW.iter_unpack(streams.next(number * _ROW.size))):
        if row.width not in _WIDTHS or not MIN_COUNT <= row.values <= room:
            raise DamagedObjectError(f"{what} has an array of {row.values} values of {row.width} bytes")
        room -= run_bytes(row.values)
        if room < 0:
            raise DamagedObjectError(f"{what} has longer arrays than {length} bytes hold")
        table.append(row)
    return table


def _read_values(streams: Streams, width: int, table: Sequence[_Row], elements: list[memoryview]) -> None:
    """Put the elements of the arrays of this width in their places in `elements`."""
    places = sorted((at for at, row in enumerate(table) if row.width == width), key=lambda at: table[at].values)
    total = sum(table[at].values for at in places)
    values = from_planes([streams.next(total) for _ in range(width)])
    begin = 0
    for count, same in groupby(places, key=lambda at: table[at].values):
        group = list(same)
        rows = values[begin : begin + count * len(group)].reshape(-1, count)
        begin += rows.size
        built = build(widen(rows) if width == _SINGLE else rows)
        for at, row in zip(group, built, strict=True):
            elements[at] = row.data
