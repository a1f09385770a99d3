"""The values of a field in stored documents, taken from their bytes without decoding the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import Struct, error
from typing import Any, Final
from uuid import UUID

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.objectid import ObjectId

from drtool.errors import SourceError
from drtool.sources.base import MISSING
from drtool.sources.mongodb.keys import elements, find_element, int32, value_length

_DOCUMENT, _ARRAY = 0x03, 0x04
_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    tz_aware=True, uuid_representation=UuidRepresentation.STANDARD
)
_INT64, _DOUBLE = Struct("<q"), Struct("<d")


def values(chunks: Iterable[bytes], path: str) -> Iterator[Any]:
    """One for each document, in order: as a query for the dotted `path` finds them, ``MISSING`` where it finds none, a
    list where an array leads to them, with None for what stands in it without the field; a number in the path is a
    place in an array. Embedded documents are their BSON. ``SourceError`` for what is no document."""
    words = tuple(word.encode() for word in path.split("."))
    for chunk in chunks:
        position = 0
        while position < len(chunk):
            try:
                end = position + int32(chunk, position)
                if not position + 5 <= end <= len(chunk):
                    raise SourceError("a chunk does not consist of whole documents")
                value = _found(chunk, position, words)
            except (IndexError, ValueError, error, bson.errors.BSONError) as failure:
                raise SourceError("a chunk holds a document that is none") from failure
            yield value
            position = end


def _found(raw: bytes, document: int, words: tuple[bytes, ...]) -> Any:
    """What a path leads to in one document."""
    last = len(words) - 1
    for number, word in enumerate(words):
        found = find_element(raw, document, word)
        if found is None:
            return MISSING
        kind, offset = found
        if kind == _ARRAY:
            return list(_below(raw, kind, offset, words[number + 1 :]))
        if number == last:
            return _value(raw, kind, offset)
        if kind != _DOCUMENT:
            return MISSING
        document = offset
    raise AssertionError  # a path has a word


def _below(raw: bytes, kind: int, offset: int, words: tuple[bytes, ...]) -> Iterator[Any]:
    """The values that are found through an array."""
    if kind != _ARRAY:
        value = _value(raw, kind, offset) if not words else _found(raw, offset, words) if kind == _DOCUMENT else MISSING
        if isinstance(value, list):
            yield from value
        elif value is not MISSING:
            yield value
        return
    for inner_kind, name, inner in elements(raw, offset):
        if not words and inner_kind != _ARRAY:
            yield _value(raw, inner_kind, inner)
        elif words and words[0].isdigit():
            if words[0] == name:
                yield from _below(raw, inner_kind, inner, words[1:])
        elif words and inner_kind == _DOCUMENT:
            value = _found(raw, inner, words)
            if isinstance(value, list):
                yield from value
            else:
                yield None if value is MISSING else value


def _string(raw: bytes, offset: int) -> str:
    return raw[offset + 4 : offset + 3 + int32(raw, offset)].decode("utf-8", "surrogateescape")


_DECODED: dict[int, Callable[[bytes, int], Any]] = {
    0x01: lambda raw, offset: _DOUBLE.unpack_from(raw, offset)[0],
    0x02: _string,
    0x07: lambda raw, offset: ObjectId(raw[offset : offset + 12]),
    0x08: lambda raw, offset: raw[offset] != 0,
    0x0A: lambda raw, offset: None,  # noqa: ARG005 - null has no bytes
    0x10: int32,
    0x12: lambda raw, offset: _INT64.unpack_from(raw, offset)[0],
}


def _value(raw: bytes, kind: int, offset: int) -> Any:
    decode = _DECODED.get(kind)
    if decode is not None:
        return decode(raw, offset)
    data = raw[offset : offset + value_length(kind, raw, offset)]
    if kind in (_DOCUMENT, _ARRAY):
        return data
    element = bytes((kind,)) + b"v\0" + data
    value = bson.decode((5 + len(element)).to_bytes(4, "little") + element + b"\0", _OPTIONS)["v"]
    return bytes(value) if isinstance(value, bytes) and not isinstance(value, UUID) else value
