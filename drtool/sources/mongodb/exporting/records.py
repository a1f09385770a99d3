"""Counting the documents of a chunk."""

from __future__ import annotations

from struct import Struct

_LENGTH = Struct("<i").unpack_from


def count_records(chunk: bytes) -> int:
    """How many whole documents there are."""
    count = position = 0
    end = len(chunk)
    while position < end:
        position += _LENGTH(chunk, position)[0]
        count += 1
    return count
