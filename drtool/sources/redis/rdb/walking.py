"""Where a value ends: its lengths are followed, its contents are not looked at."""

from __future__ import annotations

from collections.abc import Callable

from drtool.sources.redis.rdb.strings import Buffer, DamagedDumpError, read_length, skip_string
from drtool.sources.redis.rdb.types import (
    HASH,
    HASH_LISTPACK_EX,
    HASH_METADATA,
    LIST,
    LIST_QUICKLIST,
    LIST_QUICKLIST_2,
    SET,
    SINGLE,
    STREAM,
    STREAM_2,
    STREAM_3,
    ZSET,
    ZSET_2,
)

_ID, _TIME = 16, 8
#: A score as text: its length, or one of these for not a number and the infinities.
_SPECIAL_SCORES = 253


def skip_value(number: int, data: Buffer, at: int) -> int:
    """Where the value of type `number` that begins here ends. ``DamagedDumpError`` for a type that is unknown."""
    if number in SINGLE:
        return skip_string(data, at)
    try:
        return _WALKS[number](data, at)
    except KeyError:
        raise DamagedDumpError(f"the dump holds a value of type {number}, which is unknown") from None


def skip_module(data: Buffer, at: int) -> int:
    """Where a module's own data end, which are annotated for those who do not know the module."""
    while True:
        part, at = read_length(data, at)
        if part == 0:
            return at
        if part in (1, 2):
            _, at = read_length(data, at)
        elif part in (3, 4):
            at += 4 if part == 3 else 8
        elif part == 5:
            at = skip_string(data, at)
        else:
            raise DamagedDumpError(f"a module's data in the dump hold a part of kind {part}, which is unknown")


def _strings(each: int) -> Callable[[Buffer, int], int]:
    def skip(data: Buffer, at: int) -> int:
        count, at = read_length(data, at)
        for _ in range(count * each):
            first = data[at]
            at = at + 1 + first if first < 0x40 else skip_string(data, at)
        return at

    return skip


def _text_scores(data: Buffer, at: int) -> int:
    count, at = read_length(data, at)
    for _ in range(count):
        at = skip_string(data, at)
        at += 1 + (data[at] if data[at] < _SPECIAL_SCORES else 0)
    return at


def _binary_scores(data: Buffer, at: int) -> int:
    count, at = read_length(data, at)
    for _ in range(count):
        at = skip_string(data, at) + 8
    return at


def _nodes(data: Buffer, at: int) -> int:
    count, at = read_length(data, at)
    for _ in range(count):
        _, at = read_length(data, at)
        at = skip_string(data, at)
    return at


def _fields_with_times(data: Buffer, at: int) -> int:
    count, at = read_length(data, at + _TIME)
    for _ in range(count):
        _, at = read_length(data, at)
        at = skip_string(data, skip_string(data, at))
    return at


def _stream(version: int) -> Callable[[Buffer, int], int]:
    def skip(data: Buffer, at: int) -> int:
        at = _strings(2)(data, at)
        at = _lengths(data, at, 3 if version == 1 else 8)
        groups, at = read_length(data, at)
        for _ in range(groups):
            at = _lengths(data, skip_string(data, at), 2 if version == 1 else 3)
            pending, at = read_length(data, at)
            for _ in range(pending):
                _, at = read_length(data, at + _ID + _TIME)
            consumers, at = read_length(data, at)
            for _ in range(consumers):
                pending, at = read_length(data, skip_string(data, at) + (_TIME if version < 3 else 2 * _TIME))
                at += pending * _ID
        return at

    return skip


def _lengths(data: Buffer, at: int, count: int) -> int:
    for _ in range(count):
        _, at = read_length(data, at)
    return at


_WALKS: dict[int, Callable[[Buffer, int], int]] = {
    LIST: _strings(1),
    SET: _strings(1),
    ZSET: _text_scores,
    HASH: _strings(2),
    ZSET_2: _binary_scores,
    LIST_QUICKLIST: _strings(1),
    STREAM: _stream(1),
    LIST_QUICKLIST_2: _nodes,
    STREAM_2: _stream(2),
    STREAM_3: _stream(3),
    HASH_METADATA: _fields_with_times,
    HASH_LISTPACK_EX: lambda data, at: skip_string(data, at + _TIME),
}


def module_name(data: Buffer, at: int) -> str:
    """The name of the module type whose value begins here: nine characters of six bits, then ten bits of version
    (``moduleTypeEncodeId`` in ``src/module.c``)."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number, _ = read_length(data, at)
    return "".join(letters[number >> (10 + 6 * place) & 63] for place in range(8, -1, -1))


def library_name(code: bytes) -> bytes:
    """The name of a library of functions, from its first line (``#!lua name=NAME``)."""
    first = code.partition(b"\n")[0]
    for word in first.split()[1:]:
        name, equals, value = word.partition(b"=")
        if equals and name.lower() == b"name":
            return value
    raise DamagedDumpError("a library of functions in the dump has no name")
