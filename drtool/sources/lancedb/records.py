"""The records of a table: parts of its files (docs/format.md, "LanceDB tables").

A record is four lengths, little-endian (path: 2 bytes, part: 4, offset: 8, file: 8), the path, and the part's bytes.
Sorted by path, then offset; a file without bytes has one record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from drtool.errors import SourceError
from drtool.sources.cutting import Record

PART_BYTES = 1024 * 1024
_HEAD = struct.Struct("<HIQQ")


class Part(NamedTuple):
    """A part of a file: the path below the table's directory, where it begins, the file's size, the bytes."""

    path: str
    offset: int
    size: int
    data: bytes | memoryview


def key_of(path: str, offset: int) -> bytes:
    """The record key."""
    return path.encode() + b"\0" + offset.to_bytes(8)


def encode(part: Part) -> Record:
    """The record of a part."""
    path = part.path.encode()
    head = _HEAD.pack(len(path), len(part.data), part.offset, part.size)
    return key_of(part.path, part.offset), b"".join((head, path, part.data))


def parts(chunk: bytes) -> Iterator[Part]:
    """The parts in a chunk. ``SourceError`` where it is not whole records."""
    for _, record in records(chunk):
        path, length, offset, size = _HEAD.unpack_from(record)
        start = _HEAD.size + path
        yield Part(bytes(record[_HEAD.size : start]).decode(), offset, size, record[start : start + length])


def records(chunk: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """See ``Source.records``."""
    view = memoryview(chunk)
    at = 0
    while at < len(chunk):
        if at + _HEAD.size > len(chunk):
            raise SourceError("a chunk does not consist of whole records")
        path, length, offset, _ = _HEAD.unpack_from(chunk, at)
        start = at + _HEAD.size
        end = start + path + length
        if end > len(chunk):
            raise SourceError("a chunk does not consist of whole records")
        yield bytes(view[start : start + path]) + b"\0" + offset.to_bytes(8), view[at:end]
        at = end
