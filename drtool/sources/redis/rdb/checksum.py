"""Redis' CRC-64 (Jones: polynomial 0xad93d23594c935a9, reflected, no inversion), of many payloads at a time.

No library at hand computes this variant, and a loop over bytes in Python takes a hundred times as long as the rest of a
restore. Two laws make it quick with numpy: zeros in front change nothing, so payloads of like length are filled up and
computed side by side; and crc(a + b) = shift(crc(a), len(b)) xor crc(b), where shift is linear, so long ones are
computed in pieces (Mark Adler's ``crc32_combine`` in zlib does the same).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_POLYNOMIAL = 0x95AC9329AC4BC9B5
#: Bytes that are computed one after the other; longer payloads are cut into pieces of so many.
_PIECE_BITS, _WORD_BITS = 9, 3


def checksums(payloads: Sequence[bytes]) -> list[int]:
    """The checksum of each payload."""
    return [int.from_bytes(footer, "little") for footer in footers(payloads)]


def footers(payloads: Sequence[bytes]) -> list[bytes]:
    """The same as they stand behind a payload: eight bytes, little-endian."""
    classes: dict[int, list[int]] = {}
    for number, payload in enumerate(payloads):
        classes.setdefault((len(payload) - 1).bit_length(), []).append(number)
    found = [b""] * len(payloads)
    for length, numbers in classes.items():
        bits = max(_WORD_BITS, length)
        size = 1 << bits
        filled = b"".join([payloads[number].rjust(size, b"\0") for number in numbers])
        told = _side_by_side(filled, bits).astype("<u8").tobytes()
        for place, number in enumerate(numbers):
            found[number] = told[place * 8 : place * 8 + 8]
    return found


def extended(crc: int, data: bytes) -> int:
    """The checksum of what had `crc`, with `data` behind it."""
    if not data:
        return crc
    [behind] = checksums([data])
    if crc == 0:
        return behind
    word = np.array([crc], dtype=np.uint64)
    for bit in range(len(data).bit_length()):
        if len(data) >> bit & 1:
            word = _shifted(word, bit)
    return int(word[0]) ^ behind


def _side_by_side(filled: bytes, bits: int) -> Words:
    """The checksums of runs of 2**`bits` bytes, eight of them at a time."""
    piece = min(bits, _PIECE_BITS)
    columns = np.ascontiguousarray(np.frombuffer(filled, dtype="<u8").reshape(-1, 1 << piece - _WORD_BITS).T)
    # Whatever is made for each step stands ready; `wrap` spares the look whether an index is one.
    crc: Words = np.zeros(columns.shape[1], dtype=np.uint64)
    pairs, places = crc.view(np.uint16).reshape(-1, 4).T, np.empty((4, crc.size), dtype=np.intp)
    one = np.empty_like(crc)
    first, *others = _word_tables()
    for column in columns:
        np.bitwise_xor(crc, column, out=crc)
        places[:] = pairs
        first.take(places[0], out=crc, mode="wrap")
        for table, place in zip(others, places[1:], strict=True):
            table.take(place, out=one, mode="wrap")
            np.bitwise_xor(crc, one, out=crc)
    for level in range(piece, bits):
        crc = _shifted(crc[::2], level) ^ crc[1::2]
    return crc


def _shifted(crc: Words, bits: int) -> Words:
    """As if 2**`bits` zero bytes followed."""
    tables = _shift_tables(bits)
    parts = np.ascontiguousarray(crc).view(np.uint8).reshape(-1, 8)
    result: Words = tables[0][parts[:, 0]]
    for place in range(1, 8):
        result = result ^ tables[place][parts[:, place]]
    return result


@lru_cache(maxsize=1)
def _byte_table() -> Words:
    table = np.arange(256, dtype=np.uint64)
    one = np.uint64(1)
    for _ in range(8):
        table = np.where(table & one, (table >> one) ^ np.uint64(_POLYNOMIAL), table >> one)
    return table


@lru_cache(maxsize=1)
def _word_tables() -> Words:
    """The same as `_shift_tables` for eight bytes, for each of the four pairs of bytes: half as many steps."""
    tables = _shift_tables(_WORD_BITS)
    pairs = [(high[:, None] ^ low[None, :]).reshape(-1) for low, high in zip(tables[::2], tables[1::2], strict=True)]
    return np.stack(pairs)


@lru_cache(maxsize=64)
def _shift_tables(bits: int) -> Words:
    """For each of the eight bytes of a checksum what its values become."""
    units = np.uint64(1) << np.arange(64, dtype=np.uint64)
    if bits == 0:
        images = _byte_table()[(units & np.uint64(0xFF)).astype(np.uint8)] ^ (units >> np.uint64(8))
    else:
        images = _shifted(_shifted(units, bits - 1), bits - 1)
    values = np.arange(256, dtype=np.uint64)
    tables: Any = np.zeros((8, 256), dtype=np.uint64)
    for place in range(8):
        for bit in range(8):
            has = (values >> np.uint64(bit)) & np.uint64(1)
            tables[place] ^= has * images[place * 8 + bit]
    return tables  # type: ignore[no-any-return]
