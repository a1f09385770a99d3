"""The order of record keys in an ``_id`` index with simple collation, as bytes that compare the same way.

MongoDB compares by type bracket first, then numbers by value whatever their type, binary by length, subtype and
bytes, the rest as one would think. The type brackets:
https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/. An encoding begins with a code for the
bracket; the codes of ObjectId, boolean and MaxKey are their BSON type bytes, so that these keys encode themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from struct import unpack_from

from drtool.sources.mongodb.keys import MAX_KEY, elements, int32

#: After every encoding.
HIGHEST = b"\xff"
_OBJECT_ID, _BOOLEAN = b"\x07", b"\x08"
_ARRAY, _BINARY = 0x04, 0x05
_NOT_A_NUMBER, _NEGATIVE, _ZERO, _POSITIVE = b"\0", b"\1", b"\2", b"\3"
_END = b"\0"
_INFINITY = b"\xff"
_COMPLEMENT = bytes(255 - byte for byte in range(256))
#: Powers of ten lie between -6176 (Decimal128) and 6145.
_EXPONENT_BIAS = 1 << 14
_DECIMAL_BIAS = 6176
_DECIMAL_LARGEST = 10**34 - 1


def sort_key(key: bytes) -> bytes | None:
    """Bytes that order record keys as the index does; None for types whose order is not implemented.

    Keys that the index holds to be equal (1 and 1.0, say) give the same bytes.
    """
    if key[:1] == _OBJECT_ID:
        return key
    # An array is no _id that a server takes; one that holds it all the same has its members in the index.
    return _encoded(key[0], key, 1) if key and key[0] != _ARRAY else None


def sort_keys(keys: Sequence[bytes]) -> list[bytes] | None:
    """`sort_key` of each; None where one has none. Quick where all are binary and equally long, as UUIDs are."""
    heads = {key[:5] for key in keys}
    if len(heads) == 1 and keys[0][:1] == bytes((_BINARY,)) and (length := int32(keys[0], 1)) >= 0:
        code = _BRACKETS[_BINARY][0] + length.to_bytes(4)
        return [code + key[5:] for key in keys]
    found = [encoded for key in keys if (encoded := sort_key(key)) is not None]
    return found if len(found) == len(keys) else None


def _encoded(kind: int, raw: bytes, at: int) -> bytes | None:
    """The code of the bracket and the value of type `kind` that begins at `at`."""
    bracket = _BRACKETS.get(kind)
    if bracket is None:
        return None
    code, encode = bracket
    value = encode(raw, at)
    return None if value is None else code + value


def _nothing(_raw: bytes, _at: int) -> bytes:
    return b""


def _as_it_is(length: int) -> Callable[[bytes, int], bytes]:
    return lambda raw, at: raw[at : at + length]


def _text(raw: bytes, at: int) -> bytes:
    return _terminated(raw[at + 4 : at + 4 + int32(raw, at) - 1])


def _terminated(text: bytes) -> bytes:
    """So that a text comes before its continuations, and neither runs into what follows."""
    return text.replace(b"\0", b"\0\xff") + _END


def _binary(raw: bytes, at: int) -> bytes | None:
    length = int32(raw, at)
    if length < 0:
        return None  # it is damaged
    return length.to_bytes(4) + raw[at + 4 : at + 5 + length]


def _date(raw: bytes, at: int) -> bytes:
    milliseconds: int = unpack_from("<q", raw, at)[0]
    return (milliseconds + (1 << 63)).to_bytes(8)


def _timestamp(raw: bytes, at: int) -> bytes:
    return raw[at : at + 8][::-1]


def _int32(raw: bytes, at: int) -> bytes:
    return _integer(int32(raw, at))


def _int64(raw: bytes, at: int) -> bytes:
    return _integer(unpack_from("<q", raw, at)[0])


def _double(raw: bytes, at: int) -> bytes:
    value: float = unpack_from("<d", raw, at)[0]
    if math.isnan(value):
        return _NOT_A_NUMBER
    if math.isinf(value):
        return _signed(_INFINITY, negative=value < 0)
    numerator, denominator = value.as_integer_ratio()
    places = denominator.bit_length() - 1  # the denominator is a power of two: n / 2**p is n * 5**p / 10**p
    return _integer(numerator * 5**places, -places)


def _decimal128(raw: bytes, at: int) -> bytes:
    """IEEE 754-2008, binary integer decimal. Coefficients that are too large mean zero."""
    low, high = unpack_from("<QQ", raw, at)
    negative = bool(high >> 63)
    if high >> 58 & 0x1F == 0x1F:
        return _NOT_A_NUMBER
    if high >> 58 & 0x1F == 0x1E:
        return _signed(_INFINITY, negative=negative)
    coefficient = (high & ((1 << 49) - 1)) << 64 | low
    if high >> 61 & 3 == 3 or coefficient > _DECIMAL_LARGEST:
        return _ZERO
    return _integer(-coefficient if negative else coefficient, (high >> 49 & 0x3FFF) - _DECIMAL_BIAS)


def _integer(value: int, exponent: int = 0) -> bytes:
    """`value` times ten to the power of `exponent`, exactly: where its first digit stands, then its digits."""
    if value == 0:
        return _ZERO
    digits = str(abs(value))
    first = len(digits) + exponent + _EXPONENT_BIAS
    return _signed(first.to_bytes(2) + digits.rstrip("0").encode() + _END, negative=value < 0)


def _signed(magnitude: bytes, *, negative: bool) -> bytes:
    return _NEGATIVE + magnitude.translate(_COMPLEMENT) if negative else _POSITIVE + magnitude


def _document(raw: bytes, at: int) -> bytes | None:
    """By bracket, name and value of the first element, then of the second, and so on."""
    parts = []
    for kind, name, value in elements(raw, at):
        encoded = _encoded(kind, raw, value)
        if encoded is None:
            return None
        parts += [_BRACKETS[kind][0], _terminated(name), encoded]
    return b"".join(parts) + _END


def _array(raw: bytes, at: int) -> bytes | None:
    parts = []
    for kind, _, value in elements(raw, at):
        encoded = _encoded(kind, raw, value)
        if encoded is None:
            return None
        parts.append(encoded)
    return b"".join(parts) + _END


_NUMBER, _STRING = b"\4", b"\5"
_BRACKETS: dict[int, tuple[bytes, Callable[[bytes, int], bytes | None]]] = {
    0xFF: (b"\1", _nothing),  # MinKey
    0x06: (b"\2", _nothing),  # undefined
    0x0A: (b"\3", _nothing),  # null
    0x01: (_NUMBER, _double),
    0x10: (_NUMBER, _int32),
    0x12: (_NUMBER, _int64),
    0x13: (_NUMBER, _decimal128),
    0x02: (_STRING, _text),
    0x0E: (_STRING, _text),  # symbol
    0x03: (b"\6\1", _document),
    _ARRAY: (b"\6\2", _array),
    _BINARY: (b"\6\3", _binary),
    0x07: (_OBJECT_ID, _as_it_is(12)),
    0x08: (_BOOLEAN, _as_it_is(1)),
    0x09: (b"\x09", _date),
    0x11: (b"\x0a", _timestamp),
    0x7F: (MAX_KEY, _nothing),
}
