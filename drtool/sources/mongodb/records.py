"""The records of a stored chunk: BSON documents back to back."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from drtool.errors import SourceError
from drtool.sources.cutting import Record
from drtool.sources.mongodb.keys import int32, key_of


def records(chunk: bytes) -> Iterator[Record]:
    """Each document with its key, in order. ``SourceError`` where the chunk does not consist of whole documents."""
    view = memoryview(chunk)
    position = 0
    while position < len(chunk):
        end = position + int32(chunk, position) if position + 4 <= len(chunk) else 0
        if not position + 5 <= end <= len(chunk):
            raise SourceError("a chunk does not consist of whole documents")
        yield _key(chunk, position), view[position:end]
        position = end


def _key(chunk: bytes, position: int) -> bytes:
    try:
        return key_of(chunk, position)
    except (IndexError, ValueError, struct.error) as error:
        raise SourceError("a chunk holds a document that is none") from error
