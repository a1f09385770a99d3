"""The records of a vector collection (docs/format.md, "Vector collections").

A collection is two streams with the same keys in the same order: the *items* (id, document, metadata) and, beside them,
the *vectors*. Then touching every item's metadata stores no vector again. Both are BSON documents back to back, sorted
by key; vectors are BSON vectors of type FLOAT32 (binary subtype 9,
https://github.com/mongodb/specifications/blob/master/source/bson-binary-vector/bson-binary-vector.md).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

import bson
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from bson.errors import BSONError

from drtool.errors import SourceError
from drtool.sources.cutting import Record

#: What is added to a collection's name for the stream of its vectors.
VECTORS = "#vectors"
#: The name of a collection's only vector, where it has no named ones.
UNNAMED = ""

Id = str | int | UUID

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
_LENGTH = struct.Struct("<i")
_SUBTYPE = 9
_FLOAT32 = b"\x27\x00"
_MIDDLE = 1 << 63


def key_of(id_: Id) -> bytes:
    """The record key: a letter for the type, then bytes that sort as ids of the type do. Integers are of 64 bits,
    signed or not."""
    if isinstance(id_, str):
        return b"s" + id_.encode("utf-8", "surrogatepass")
    if isinstance(id_, UUID):
        return b"u" + id_.bytes
    return b"i" + (id_ + _MIDDLE).to_bytes(9)


def encode_item(id_: Id, fields: Mapping[str, Any]) -> Record:
    """The record of an item: ``_id``, then `fields` sorted by name at every depth, so that equal ones are equal bytes.

    ``SourceError`` for a value that BSON cannot hold: an integer beyond 64 bits, say.
    """
    return key_of(id_), _encode(id_, {name: _sorted(value) for name, value in sorted(fields.items())})


def encode_vectors(id_: Id, vectors: Mapping[str, Any]) -> Record:
    """The record of an item's vectors by name (`UNNAMED` for the only one). Dense ones are bytes of little-endian
    float32; whatever else (sparse ones, as {"indices": …, "values": …}) is taken as it is."""
    held = {
        name: Binary(_FLOAT32 + value, _SUBTYPE) if isinstance(value, bytes | memoryview) else _sorted(value)
        for name, value in sorted(vectors.items())
    }
    return key_of(id_), _encode(id_, {"v": held})


def decode(data: bytes | memoryview) -> dict[str, Any]:
    """A record: ``_id`` and its fields."""
    try:
        return bson.decode(bytes(data), _OPTIONS)
    except BSONError as error:
        raise SourceError(f"a record is no BSON document: {error}") from error


def decode_vectors(data: bytes | memoryview) -> tuple[Id, dict[str, Any]]:
    """A record of vectors: the id, and by name the bytes of float32, or what else was given."""
    document = decode(data)
    vectors = document["v"]
    return document["_id"], {
        name: bytes(value[2:]) if isinstance(value, Binary) and value.subtype == _SUBTYPE else value
        for name, value in vectors.items()
    }


def records(chunk: bytes) -> Iterator[Record]:
    """See ``Source.records``: for both kinds of stream. ``SourceError`` where the chunk is not whole documents."""
    view = memoryview(chunk)
    at = 0
    while at < len(chunk):
        end = at + _LENGTH.unpack_from(chunk, at)[0] if at + 4 <= len(chunk) else 0
        if not at + 5 <= end <= len(chunk):
            raise SourceError("a chunk does not consist of whole records")
        yield key_of(decode(view[at:end])["_id"]), view[at:end]
        at = end


def values(chunks: Iterable[bytes], path: str, missing: object) -> Iterator[Any]:
    """See ``Source.values``: `path` is of names with dots between; a list where an array is on the way."""
    steps = path.split(".")
    for chunk in chunks:
        for _, data in records(chunk):
            document = decode(data)
            document["id"] = document["_id"]
            yield _value(document, steps, missing)


def _value(value: Any, steps: list[str], missing: object) -> Any:
    for at, step in enumerate(steps):
        if isinstance(value, list):
            found = [_value(each, steps[at:], missing) for each in value]
            return [each for each in found if each is not missing] or missing
        if not isinstance(value, dict) or step not in value:
            return missing
        value = value[step]
    return value


def _encode(id_: Id, fields: Mapping[str, Any]) -> bytes:
    try:
        return bson.encode({"_id": id_, **fields}, codec_options=_OPTIONS)
    except (BSONError, OverflowError) as error:
        raise SourceError(f"item {id_!r} cannot be kept: {error}") from error


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(each) for name, each in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_sorted(each) for each in value]
    return value
