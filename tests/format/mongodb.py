"""Records of MongoDB streams: BSON documents back to back."""

from __future__ import annotations

from collections.abc import Iterator

from tests.format.keys import require

_FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0}
_COUNTED = {0x02: 4, 0x0D: 4, 0x0E: 4, 0x05: 5, 0x0C: 16, 0x03: 0, 0x04: 0, 0x0F: 0}
"""Types that begin with a little-endian i32, and how many bytes more than it says they have."""
_REGEX = 0x0B


def split(chunk: bytes) -> Iterator[bytes]:
    """The documents in a chunk."""
    at = 0
    while at < len(chunk):
        length = int.from_bytes(chunk[at : at + 4], "little")
        require(5 <= length <= len(chunk) - at, "a record crosses the end of its chunk")
        yield chunk[at : at + length]
        at += length


def record_key(document: bytes) -> bytes:
    """Type and value of `_id`; empty without one."""
    at = 4
    while at < len(document) - 1:
        type_, name_end = document[at], document.index(0, at + 1)
        begin = name_end + 1
        end = begin + _value_length(document, type_, begin)
        require(end < len(document), "a value crosses the end of its document")
        if document[at + 1 : name_end] == b"_id":
            return document[at : at + 1] + document[begin:end]
        at = end
    return b""


def _value_length(document: bytes, type_: int, begin: int) -> int:
    if type_ in _FIXED:
        return _FIXED[type_]
    if type_ == _REGEX:
        return document.index(0, document.index(0, begin) + 1) + 1 - begin
    require(type_ in _COUNTED, f"a document has a value of the unknown type {type_}")
    return int.from_bytes(document[begin : begin + 4], "little") + _COUNTED[type_]
