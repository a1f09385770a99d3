"""The records of a vector collection (docs/format.md, "Vector collections").

A collection is two streams with the same keys in the same order: the *items* (id, document, metadata) and, beside them,
the *vectors*. Then touching every item's metadata stores no vector again. Both are BSON documents back to back, sorted
by key; vectors are BSON vectors of type FLOAT32 (binary subtype 9,
https://github.com/mongodb/specifications/blob/master/source/bson-binary-vector/bson-binary-vector.md).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import bson
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from bson.errors import BSONError

from drtool.errors import SourceError
from drtool.sources.cutting import Record

#: What is added to a collection's name for the stream of its vectors.
VECTORS = "#vectors"
#: The name of a collection's only vector, where it has no named ones.
UNNAMED = ""

Id = str | int | UUID

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD, tz_aware=True)
_LENGTH = struct.Struct("<i")
_HEAD = struct.Struct("<i5si")
_BINARY = struct.Struct("<iB2s")
_INT32 = struct.Struct("<i")
_INT64 = struct.Struct("<q")
_SUBTYPE = 9
_FLOAT32 = b"\x27\x00"
_MIDDLE = 1 << 63
_SIMPLE = frozenset({str, int, float, bool, bytes, type(None)})
#: A document's length, then the type and the name of its first element; what follows is the value.
_NAME = slice(5, 9)
_VALUE = 9


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

    ``SourceError`` for a value that BSON cannot hold: an integer beyond 64 bits, a time finer than a millisecond.
    """
    return key_of(id_), _encode(id_, fields)


def encode_vectors(id_: Id, vectors: Mapping[str, Any]) -> Record:
    """The record of an item's vectors by name (`UNNAMED` for the only one). Dense ones are bytes of little-endian
    float32; whatever else (sparse ones, as {"indices": …, "values": …}; those of other types, as ``Binary`` of a
    subtype other than 0) is taken as it is."""
    if len(vectors) == 1 and isinstance(id_, str):
        [(name, value)] = vectors.items()
        if type(value) is bytes and "\0" not in name:
            return _one_dense(id_, name, value)
    held = {name: _vector(value) for name, value in vectors.items()}
    return key_of(id_), _encode(id_, {"v": held})


def decode(data: bytes | memoryview) -> dict[str, Any]:
    """A record: ``_id`` and its fields."""
    try:
        return _with_id(bson.decode(bytes(data), _OPTIONS))
    except BSONError as error:
        raise SourceError(f"a record is no BSON document: {error}") from error


def decode_all(chunk: bytes) -> list[dict[str, Any]]:
    """`decode` for all records of a chunk at once, which is quicker."""
    try:
        return [_with_id(document) for document in bson.decode_all(chunk, _OPTIONS)]
    except BSONError as error:
        raise SourceError(f"a chunk does not consist of BSON documents: {error}") from error


def decode_vectors(data: bytes | memoryview) -> tuple[Id, dict[str, Any]]:
    """A record of vectors: the id, and by name the bytes of float32, or what else was given."""
    document = decode(data)
    return document["_id"], vectors_of(document)


def vectors_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The vectors of a decoded record."""
    return {name: bytes(value[2:]) if _is_float32(value) else value for name, value in document["v"].items()}


def records(chunk: bytes) -> Iterator[Record]:
    """See ``Source.records``: for both kinds of stream. ``SourceError`` where the chunk is not whole documents."""
    view = memoryview(chunk)
    at = 0
    while at < len(chunk):
        end = at + _LENGTH.unpack_from(chunk, at)[0] if at + 4 <= len(chunk) else 0
        if not at + 5 <= end <= len(chunk):
            raise SourceError("a chunk does not consist of whole records")
        yield _key_in(chunk, at, end), view[at:end]
        at = end


def values(chunks: Iterable[bytes], path: str, missing: object) -> Iterator[Any]:
    """See ``Source.values``: `path` is of names with dots between (a name may have dots of its own); a list where an
    array is on the way. ``id`` is the item's, unless it has a field of that name."""
    for chunk in chunks:
        for document in decode_all(chunk):
            document.setdefault("id", document["_id"])
            yield _value(document, path, missing)


def _value(value: Any, path: str, missing: object) -> Any:
    if isinstance(value, list):
        found = [_value(each, path, missing) for each in value]
        return [each for each in found if each is not missing] or missing
    if not isinstance(value, dict):
        return missing
    if path in value:
        return value[path]
    step, _, rest = path.partition(".")
    return _value(value[step], rest, missing) if rest and step in value else missing


def _key_in(chunk: bytes, at: int, end: int) -> bytes:
    """The key of the document there: a record begins with its id, so nothing else is decoded."""
    kind, value = chunk[at + 4], at + _VALUE
    if chunk[at + _NAME.start : at + _NAME.stop] == b"_id\0":
        if kind == 0x02:
            last = value + 4 + _LENGTH.unpack_from(chunk, value)[0] - 1
            if value + 4 <= last < end:
                return b"s" + chunk[value + 4 : last]
        elif kind == 0x12 and value + 8 < end:
            return key_of(_INT64.unpack_from(chunk, value)[0])
        elif kind == 0x10 and value + 4 < end:
            return key_of(_INT32.unpack_from(chunk, value)[0])
    return key_of(decode(memoryview(chunk)[at:end])["_id"])


def _one_dense(id_: str, name: str, vector: bytes) -> Record:
    """What `bson` would make of the commonest record of all, in a quarter of its time."""
    try:
        key, label = id_.encode(), name.encode()
    except UnicodeEncodeError as error:
        raise SourceError(f"item {id_!r} cannot be kept: {error}") from error
    inner = len(label) + len(vector) + 14
    head = _HEAD.pack(inner + len(key) + 18, b"\x02_id\0", len(key) + 1)
    middle = b"\0\x03v\0" + _LENGTH.pack(inner) + b"\x05" + label + b"\0"
    binary = _BINARY.pack(len(vector) + len(_FLOAT32), _SUBTYPE, _FLOAT32)
    return b"s" + key, b"".join((head, key, middle, binary, vector, b"\0\0"))


def _is_float32(value: Any) -> bool:
    return isinstance(value, Binary) and value.subtype == _SUBTYPE and value[:2] == _FLOAT32


def _vector(value: Any) -> Any:
    if isinstance(value, bytes | memoryview) and not isinstance(value, Binary):
        return Binary(_FLOAT32 + value, _SUBTYPE)
    return value


def _encode(id_: Id, fields: Mapping[str, Any]) -> bytes:
    if "_id" in fields:
        raise SourceError(f"item {id_!r} cannot be kept: it has a field of the name _id")
    held = Decimal128(str(id_)) if isinstance(id_, int) and id_ >= _MIDDLE else id_
    try:
        return bson.encode({"_id": held, **_sorted(fields)}, codec_options=_OPTIONS)
    except (BSONError, OverflowError, ValueError) as error:
        raise SourceError(f"item {id_!r} cannot be kept: {error}") from error


def _with_id(document: dict[str, Any]) -> dict[str, Any]:
    id_ = document.get("_id")
    if isinstance(id_, Decimal128):
        document["_id"] = int(id_.to_decimal())
    elif not isinstance(id_, str | int | UUID):
        raise SourceError(f"a record has no id: {id_!r}")
    return document


def _sorted(value: Any) -> Any:
    if type(value) in _SIMPLE:
        return value
    if isinstance(value, Mapping):
        return {name: _sorted(each) for name, each in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_sorted(each) for each in value]
    if isinstance(value, datetime) and value.microsecond % 1000:
        raise ValueError(f"{value} is finer than a millisecond")
    return value
