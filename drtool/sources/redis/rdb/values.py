"""What a value is, whichever way the server serialised it: two payloads that mean the same give the same."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from drtool.sources.redis.rdb import types
from drtool.sources.redis.rdb.compact import intset, listpack, ziplist
from drtool.sources.redis.rdb.strings import DamagedDumpError, read_length, read_string

_DOUBLE, _LONG = struct.Struct("<d"), struct.Struct("<q")
_PLAIN_NODE = 1


class Field(NamedTuple):
    """A field of a hash; ``expiry`` in ms since 1970, 0 for never."""

    name: bytes
    value: bytes
    expiry: int = 0


def text(value: bytes) -> bytes:
    """A string."""
    return read_string(value, 1)[0]


def elements(value: bytes) -> list[bytes]:
    """The elements of a list, in order."""
    number = value[0]
    if number == types.LIST_ZIPLIST:
        return ziplist(text(value))
    count, at = read_length(value, 1)
    found: list[bytes] = []
    for _ in range(count):
        container = 0
        if number == types.LIST_QUICKLIST_2:
            container, at = read_length(value, at)
        node, at = read_string(value, at)
        if number == types.LIST or (number == types.LIST_QUICKLIST_2 and container == _PLAIN_NODE):
            found.append(node)
        else:
            found += ziplist(node) if number == types.LIST_QUICKLIST else listpack(node)
    return found


def members(value: bytes) -> list[bytes]:
    """The members of a set, in the order in which the server wrote them."""
    if value[0] == types.SET_INTSET:
        return intset(text(value))
    if value[0] == types.SET_LISTPACK:
        return listpack(text(value))
    return _strings(value, 1)


def scores(value: bytes) -> list[tuple[bytes, float]]:
    """The members of a sorted set with their scores, in the order in which the server wrote them."""
    number = value[0]
    if number in (types.ZSET_ZIPLIST, types.ZSET_LISTPACK):
        flat = (ziplist if number == types.ZSET_ZIPLIST else listpack)(text(value))
        return [(member, float(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)]
    count, at = read_length(value, 1)
    found = []
    for _ in range(count):
        member, at = read_string(value, at)
        if number == types.ZSET_2:
            score, at = _DOUBLE.unpack_from(value, at)[0], at + 8
        else:
            score, at = _score_in_text(value, at)
        found.append((member, score))
    return found


def fields(value: bytes) -> list[Field]:
    """The fields of a hash, in the order in which the server wrote them."""
    number = value[0]
    if number in (types.HASH_ZIPLIST, types.HASH_LISTPACK):
        flat = (ziplist if number == types.HASH_ZIPLIST else listpack)(text(value))
        return [Field(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    if number == types.HASH:
        flat = _strings(value, 2)
        return [Field(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    if number == types.HASH_LISTPACK_EX:
        flat = listpack(read_string(value, 9)[0])
        triples = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        return [Field(name, content, int(expiry)) for name, content, expiry in triples]
    if number == types.HASH_METADATA:
        return list(_fields_with_times(value))
    raise DamagedDumpError(f"hashes of type {number} cannot be looked into")


def _fields_with_times(value: bytes) -> Iterator[Field]:
    (first,) = _LONG.unpack_from(value, 1)
    count, at = read_length(value, 9)
    for _ in range(count):
        later, at = read_length(value, at)
        name, at = read_string(value, at)
        content, at = read_string(value, at)
        yield Field(name, content, first + later - 1 if later else 0)


def _strings(value: bytes, each: int) -> list[bytes]:
    count, at = read_length(value, 1)
    found = []
    for _ in range(count * each):
        one, at = read_string(value, at)
        found.append(one)
    return found


def _score_in_text(value: bytes, at: int) -> tuple[float, int]:
    length = value[at]
    special = {253: "nan", 254: "inf", 255: "-inf"}.get(length)
    if special is not None:
        return float(special), at + 1
    return float(value[at + 1 : at + 1 + length]), at + 1 + length
