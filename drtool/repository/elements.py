"""The elements of arrays of doubles as BSON has them, and their values: many arrays of one length at once.

What is returned lies in this thread's `arena`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from drtool.repository.arena import arena
from drtool.repository.doubles import DECADES, VALUE_BYTES, Decade, Run, run_bytes

Bytes = npt.NDArray[np.uint8]
#: Values as bit patterns: ``<u8``, or ``<u4`` for 32-bit floats.
Bits = npt.NDArray[np.unsignedinteger]

#: Longer arrays are rare: their template is made each time, lest it fill the memory.
_KEPT_COUNT = 4096
_WORD = 8
#: How many values of a run are looked at before all of them are.
_FIRST_VALUES = 8
#: The bits of a double that no 32-bit float has.
_BEYOND_SINGLE = np.uint64((1 << 29) - 1)


def pick(data: bytes, runs: Sequence[Run]) -> tuple[npt.NDArray[np.bool_], Bits]:
    """The values of runs of one count: ``<u8``, (runs, count). And which of the runs are what they seem to be."""
    count, length = runs[0].values, run_bytes(runs[0].values)
    template = _template(count)
    elements = arena.array((len(runs), len(template)), "u1")
    elements[:, length:] = template[length:]
    source = np.frombuffer(data, np.uint8)
    for row, run in zip(elements, runs, strict=True):
        row[:length] = source[run.start : run.start + length]
    bits = arena.array((len(runs), count), "<u8")
    for decade, values in _values(elements, count):
        bits[:, decade.first : decade.beyond] = values
        values[:] = np.zeros(values.shape[1], "<u8")
    # Without the values, every array of this count has the same bytes.
    return (elements.view(np.uint64) == template.view(np.uint64)).all(axis=1), bits


def build(bits: Bits) -> Bytes:
    """Elements with these values (``<u8``, (runs, count)): their bytes, a row for each run."""
    runs, count = bits.shape
    elements = arena.array((runs, run_bytes(count)), "u1")
    elements[:] = _template(count)[: run_bytes(count)]
    for decade, values in _values(elements, count):
        values[:] = bits[:, decade.first : decade.beyond]
    return elements


def narrow(bits: Bits) -> tuple[npt.NDArray[np.bool_], Bits]:
    """Which rows (``<u8``) are 32-bit floats in 64 bits; these rows as such floats (``<u4``).

    A row is if widening gives the same bits again, which also tells signs of zeros and payloads of NaNs.
    """
    is_narrow = (bits[:, :_FIRST_VALUES] & _BEYOND_SINGLE == 0).all(axis=1)
    candidates = select(bits, is_narrow)
    narrowed = _cast(candidates, "<f8", "<f4").view("<u4")
    is_same = (widen(narrowed) == candidates).all(axis=1)
    is_narrow[is_narrow] = is_same
    return is_narrow, select(narrowed, is_same)


def widen(bits: Bits) -> Bits:
    """The doubles (``<u8``) that have the values of 32-bit floats (``<u4``)."""
    return _cast(bits, "<f4", "<f8").view("<u8")


def _cast(bits: Bits, of: str, to: str) -> npt.NDArray[np.floating]:
    cast = arena.array(bits.shape, to)
    with np.errstate(all="ignore"):
        np.copyto(cast, bits.view(of), casting="same_kind")
    return cast


def select(bits: Bits, rows: npt.NDArray[np.bool_]) -> Bits:
    """These rows; without a copy where that is all of them."""
    return bits if rows.all() else bits[rows]


def to_planes(bits: Sequence[Bits], width: int) -> Iterator[memoryview]:
    """All first bytes, all second ones and so on of values of `width` bytes each."""
    flat = np.concatenate([rows.reshape(-1) for rows in bits]) if len(bits) > 1 else bits[0].reshape(-1)
    planes = arena.array((width, len(flat)), "u1")
    planes[:] = flat.view(np.uint8).reshape(-1, width).T
    for plane in planes:
        yield plane.data


def from_planes(planes: Sequence[bytes]) -> Bits:
    """The values whose first bytes, second ones and so on these are."""
    values = arena.array((len(planes[0]), len(planes)), "u1")
    for number, plane in enumerate(planes):
        values[:, number] = np.frombuffer(plane, np.uint8)
    return values.reshape(-1).view(f"<u{len(planes)}")


def _values(elements: Bytes, count: int) -> Iterator[tuple[Decade, Bits]]:
    """The values within elements, decade by decade: views, (runs, values of the decade)."""
    for decade in DECADES:
        if decade.first >= count:
            return
        shape = (len(elements), min(count, decade.beyond) - decade.first)
        strides = (elements.shape[1], decade.stride)
        yield decade, np.ndarray(shape, "<u8", elements, decade.value_offset, strides)


def _template(count: int) -> Bytes:
    """The elements of an array of `count` doubles with all bytes of values zero, padded to whole words."""
    # Those of a shorter array are the first ones of a longer array, so its padding may be what comes next in that.
    words = -(-run_bytes(count) // _WORD)
    return _kept_template()[: words * _WORD] if count <= _KEPT_COUNT else _new_template(count)


@cache
def _kept_template() -> Bytes:
    return _new_template(_KEPT_COUNT)


def _new_template(count: int) -> Bytes:
    template = np.zeros(-(-run_bytes(count) // _WORD) * _WORD, np.uint8)
    for decade in DECADES:
        if decade.first >= count:
            break
        indices = np.arange(decade.first, min(count, decade.beyond))
        elements = template[decade.offset : decade.offset + len(indices) * decade.stride].reshape(-1, decade.stride)
        digits = decade.stride - VALUE_BYTES - 2
        elements[:, 0] = 1
        for digit in range(digits):
            elements[:, 1 + digit] = indices // 10 ** (digits - 1 - digit) % 10 + ord("0")
    return template
