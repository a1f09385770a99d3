"""As much of Protocol Buffers' wire format as a manifest needs (https://protobuf.dev/programming-guides/encoding/)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Value = int | bytes
"""A number, or the bytes of whatever has a length: a message, a string, bytes."""

Message = Mapping[int, list[Value]]
"""The values of each field by number, in order."""

_FIXED = {1: 8, 5: 4}
_VARINT, _LENGTH = 0, 2


def parse(data: bytes) -> Message:
    """The fields of a message. ``ValueError`` where it is none."""
    fields: dict[int, list[Value]] = {}
    for number, value in _fields(data):
        fields.setdefault(number, []).append(value)
    return fields


def number_of(message: Message, field: int) -> int:
    """The number in a field; 0 where it is absent, as protobuf has it."""
    value = message.get(field, [0])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {field} is no number")  # noqa: TRY004 - bad data, not a wrong call
    return value


def bytes_of(message: Message, field: int) -> bytes:
    """The bytes in a field; empty where it is absent."""
    value = message.get(field, [b""])[-1]
    if not isinstance(value, bytes):
        raise ValueError(f"field {field} holds no bytes")  # noqa: TRY004 - bad data, not a wrong call
    return value


def text_of(message: Message, field: int) -> str:
    """The text in a field; empty where it is absent."""
    return bytes_of(message, field).decode()


def messages_of(message: Message, field: int) -> Iterator[Message]:
    """The messages of a repeated field."""
    for value in message.get(field, ()):
        if not isinstance(value, bytes):
            raise ValueError(f"field {field} holds no message")  # noqa: TRY004 - bad data, not a wrong call
        yield parse(value)


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        value: Value
        if kind == _VARINT:
            value, at = _varint(data, at)
        elif kind == _LENGTH or kind in _FIXED:
            length, at = _varint(data, at) if kind == _LENGTH else (_FIXED[kind], at)
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"there is no wire type {kind}")
        if at > len(data):
            raise ValueError("the message ends in the middle of a field")
        yield number, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("the message ends in the middle of a number")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
