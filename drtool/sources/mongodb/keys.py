"""Record keys of MongoDB: the ``_id`` element of a raw document, as BSON type byte and value bytes.

The element order and lengths follow the BSON specification (https://bsonspec.org/spec.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct

from drtool.errors import SourceError

_INT32, _INT64 = Struct("<i"), Struct("<q")

#: Value lengths of the types that always have the same.
FIXED_LENGTHS = {
    0x01: 8,  # double
    0x06: 0,  # undefined
    0x07: 12,  # ObjectId
    0x08: 1,  # bool
    0x09: 8,  # date
    0x0A: 0,  # null
    0x10: 4,  # int32
    0x11: 8,  # timestamp
    0x12: 8,  # int64
    0x13: 16,  # decimal128
    0x7F: 0,  # MaxKey
    0xFF: 0,  # MinKey
}
#: The key of the greatest ``_id`` there can be.
MAX_KEY = b"\x7f"
_STRINGS = (0x02, 0x0D, 0x0E)  # string, code, symbol: length without itself
_DOCUMENTS = (0x03, 0x04, 0x0F)  # document, array, code with scope: length with itself


def int32(raw: bytes, offset: int) -> int:
    """The little-endian int32 at `offset`."""
    value: int = _INT32.unpack_from(raw, offset)[0]
    return value


def int64(raw: bytes, offset: int) -> int:
    """The little-endian int64 at `offset`."""
    value: int = _INT64.unpack_from(raw, offset)[0]
    return value


def value_length(kind: int, raw: bytes, offset: int) -> int:
    """The length in bytes of the value of BSON type `kind` that begins at `offset`.

    Raises ``SourceError`` for a type that BSON does not have.
    """
    fixed = FIXED_LENGTHS.get(kind)
    if fixed is not None:
        return fixed
    if kind in _STRINGS:
        return 4 + int32(raw, offset)
    if kind in _DOCUMENTS:
        return int32(raw, offset)
    if kind == 0x05:  # binary: length, subtype, bytes
        return 5 + int32(raw, offset)
    if kind == 0x0B:  # regular expression: two C strings
        return _after_name(raw, _after_name(raw, offset)) - offset
    if kind == 0x0C:  # DBPointer: string, ObjectId
        return 4 + int32(raw, offset) + 12
    raise SourceError(f"a document holds a value of the unknown BSON type 0x{kind:02x}")


def elements(raw: bytes, document: int = 0) -> Iterator[tuple[int, bytes, int]]:
    """BSON type, name and the value's offset of each element of the document that begins at `document`."""
    end = document + int32(raw, document) - 1
    position = document + 4
    while position < end:
        kind = raw[position]
        value = _after_name(raw, position + 1)
        yield kind, raw[position + 1 : value - 1], value
        position = value + value_length(kind, raw, value)


def find_element(raw: bytes, document: int, name: bytes) -> tuple[int, int] | None:
    """BSON type and the value's offset of the first element of that name; None where there is none."""
    for kind, found, value in elements(raw, document):
        if found == name:
            return kind, value
    return None


def key_of(raw: bytes, document: int = 0) -> bytes:
    """The record key of the document that begins at `document`; empty where it has no ``_id``."""
    kind, value = raw[document + 4], document + 9
    if raw[document + 5 : value] != b"_id\0" or not kind:  # a server puts it first
        found = find_element(raw, document, b"_id")
        if found is None:
            return b""
        kind, value = found
    return bytes((kind,)) + raw[value : value + value_length(kind, raw, value)]


def bound(key: bytes) -> bytes:
    """The BSON document ``{_id: …}`` of a record key, as `min` and `max` of a find take it."""
    return _document(key[:1] + b"_id\0" + key[1:])


def below(key: bytes) -> bytes:
    """The BSON document ``{_id: {$lt: …}}`` of a record key."""
    return _document(b"\x03_id\0" + _document(key[:1] + b"$lt\0" + key[1:]))


def between(lower: bytes | None, upper: bytes | None) -> bytes:
    """The filter of a find for records with lower <= record key < upper, whatever their types (which ``$gte`` outside
    of an expression does not compare); None is no bound."""
    found = []
    for number, (operator, key) in enumerate(((b"$gte", lower), (b"$lt", upper))):
        if key is not None:
            literal = _document(key[:1] + b"$literal\0" + key[1:])
            values = _document(b"\x020\0" + _INT32.pack(5) + b"$_id\0" + b"\x031\0" + literal)
            found.append(b"\x03%d\0" % number + _document(b"\x04" + operator + b"\0" + values))
    if not found:
        return _document(b"")
    return _document(b"\x03$expr\0" + _document(b"\x04$and\0" + _document(b"".join(found))))


def any_of(keys: Sequence[bytes]) -> bytes:
    """The BSON document ``{_id: {$in: [...]}}``, which finds the records with these keys."""
    listed = b"".join(key[:1] + b"%d\0" % number + key[1:] for number, key in enumerate(keys))
    return _document(b"\x03_id\0" + _document(b"\x04$in\0" + _document(listed)))


def _document(elements: bytes) -> bytes:
    return _INT32.pack(5 + len(elements)) + elements + b"\0"


def _after_name(raw: bytes, offset: int) -> int:
    return raw.index(0, offset) + 1
