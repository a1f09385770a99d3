"""Small collections, which Redis keeps as one string: listpacks, ziplists and sets of integers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from drtool.sources.redis.rdb.strings import DamagedDumpError

_END = 0xFF


def _signed(data: bytes) -> bytes:
    return b"%d" % int.from_bytes(data, "little", signed=True)


def listpack(data: bytes) -> list[bytes]:
    """The elements of a listpack: six bytes of head, then elements, each followed by its length backwards."""
    return _elements(data, 6, _listpack_element)


def ziplist(data: bytes) -> list[bytes]:
    """The elements of a ziplist: ten bytes of head, then elements, each after the length of the one before."""
    return _elements(data, 10, _ziplist_element)


def intset(data: bytes) -> list[bytes]:
    """The members of a set of integers, smallest first."""
    width, count = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
    if width not in (2, 4, 8) or len(data) != 8 + width * count:
        raise DamagedDumpError("a set of integers in the dump is damaged")
    return [_signed(data[start:end]) for start, end in pairwise(range(8, len(data) + 1, width))]


def _elements(data: bytes, at: int, element: Callable[[bytes, int], tuple[bytes, int]]) -> list[bytes]:
    found = []
    try:
        while data[at] != _END:
            value, at = element(data, at)
            found.append(value)
    except IndexError:
        raise DamagedDumpError("a small collection in the dump is damaged") from None
    return found


def _listpack_element(data: bytes, at: int) -> tuple[bytes, int]:
    first = data[at]
    if first < 0x80:
        value, end = b"%d" % first, at + 1
    elif first < 0xC0:
        end = at + 1 + (first & 0x3F)
        value = data[at + 1 : end]
    elif first < 0xE0:
        number = (first & 0x1F) << 8 | data[at + 1]
        value, end = b"%d" % (number - 0x2000 if number >= 0x1000 else number), at + 2
    elif first < 0xF0:
        end = at + 2 + ((first & 0x0F) << 8 | data[at + 1])
        value = data[at + 2 : end]
    elif first == 0xF0:
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "little")
        value = data[at + 5 : end]
    elif first in _LISTPACK_INTEGERS:
        end = at + 1 + _LISTPACK_INTEGERS[first]
        value = _signed(data[at + 1 : end])
    else:
        raise DamagedDumpError(f"a listpack in the dump holds an element of kind {first:#x}, which is unknown")
    size = end - at
    back = 1 if size < 1 << 7 else 2 if size < 1 << 14 else 3 if size < 1 << 21 else 4 if size < 1 << 28 else 5
    return value, end + back


_LISTPACK_INTEGERS = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}


def _ziplist_element(data: bytes, at: int) -> tuple[bytes, int]:
    at += 1 if data[at] < 0xFE else 5
    first = data[at]
    if first < 0x40:
        end = at + 1 + first
        return data[at + 1 : end], end
    if first < 0x80:
        end = at + 2 + ((first & 0x3F) << 8 | data[at + 1])
        return data[at + 2 : end], end
    if first == 0x80:
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5])
        return data[at + 5 : end], end
    if first in _ZIPLIST_INTEGERS:
        end = at + 1 + _ZIPLIST_INTEGERS[first]
        return _signed(data[at + 1 : end]), end
    if 0xF1 <= first <= 0xFD:
        return b"%d" % ((first & 0x0F) - 1), at + 1
    raise DamagedDumpError(f"a ziplist in the dump holds an element of kind {first:#x}, which is unknown")


_ZIPLIST_INTEGERS = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}
