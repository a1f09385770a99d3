"""The records of Redis streams (docs/format.md): a key, when it expires, and its value as the server serialises it.

A record is a head and the key, then the value's type (one byte) and its bytes: a payload of the command DUMP without
its last ten bytes. Values longer than ``PART_BYTES`` are several records, one for each part, in order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from drtool.errors import SourceError
from drtool.sources.cutting import Record

PART_BYTES = 1024 * 1024

#: Bytes of the record after this field, bytes of the key, expiry in ms, number of the part, bytes of the whole value.
HEAD = struct.Struct("<IIqIQ")


class Part(NamedTuple):
    """One record: `value` is that part of `total` bytes of type and value that begins at `number` × ``PART_BYTES``."""

    key: bytes
    expiry: int
    number: int
    total: int
    value: bytes

    @property
    def is_last(self) -> bool:
        """Does it complete the value?"""
        return self.number * PART_BYTES + len(self.value) >= self.total

    @property
    def is_whole(self) -> bool:
        """Is it all of the value?"""
        return len(self.value) == self.total


class Entry(NamedTuple):
    """A whole key: `value` begins with the type."""

    key: bytes
    expiry: int
    value: bytes


def record(key: bytes, expiry: int, number: int, total: int, value: bytes) -> bytes:
    """The bytes of one record."""
    return HEAD.pack(HEAD.size - 4 + len(key) + len(value), len(key), expiry, number, total) + key + value


def record_key(key: bytes, number: int) -> bytes:
    """What the cut rule looks at: the key, for later parts with a zero byte and the part's number."""
    return key if number == 0 else key + b"\0" + number.to_bytes(4)


def count_of(entry: Entry) -> int:
    """How many records a key has."""
    return max(1, -(-len(entry.value) // PART_BYTES))


def records_of(entry: Entry) -> Iterator[Record]:
    """The records of a whole key."""
    total = len(entry.value)
    for number in range(count_of(entry)):
        part = entry.value[number * PART_BYTES : (number + 1) * PART_BYTES]
        yield record_key(entry.key, number), record(entry.key, entry.expiry, number, total, part)


def split(chunk: bytes) -> Iterator[Record]:
    """See ``Source.records``."""
    at, view = 0, memoryview(chunk)
    while at < len(chunk):
        length, key_length, _, number, _ = HEAD.unpack_from(chunk, at)
        end = at + 4 + length
        start = at + HEAD.size
        yield record_key(chunk[start : start + key_length], number), view[at:end]
        at = end


def parts(chunk: bytes) -> Iterator[Part]:
    """The records of a chunk."""
    at = 0
    while at < len(chunk):
        length, key_length, expiry, number, total = HEAD.unpack_from(chunk, at)
        end, start = at + 4 + length, at + HEAD.size + key_length
        yield Part(chunk[start - key_length : start], expiry, number, total, chunk[start:end])
        at = end


def entries(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """Whole keys, of chunks in order. ``SourceError`` where a part is missing."""
    held: list[bytes] = []
    for chunk in chunks:
        for part in parts(chunk):
            if part.number != len(held):
                raise SourceError(f"{shown(part.key)}: part {len(held)} of its value is missing")
            if part.is_whole:
                yield Entry(part.key, part.expiry, part.value)
                continue
            held.append(part.value)
            if part.is_last:
                yield Entry(part.key, part.expiry, b"".join(held))
                held = []
    if held:
        raise SourceError(f"the last value ends after {len(held)} of its parts")


def shown(key: bytes) -> str:
    """A key for people."""
    text = key.decode(errors="backslashreplace")
    return text if len(text) <= 200 else f"{text[:200]}…"
