"""Values of one type read as another, so that they can be compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bson.errors import InvalidId
from bson.objectid import ObjectId


def _string(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _int(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("has a fraction")
    return int(value)


def _float(value: Any) -> float:
    return float(value)


def _objectid(value: Any) -> ObjectId:
    return value if isinstance(value, ObjectId) else ObjectId(value)


def _uuid(value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    return UUID(bytes=value) if isinstance(value, bytes) else UUID(str(value))


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(str(value))


_AS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "int": _int,
    "float": _float,
    "objectid": _objectid,
    "uuid": _uuid,
    "datetime": _datetime,
}
_FAILURES = (ValueError, TypeError, OverflowError, InvalidId, OSError)


def read_as(value: Any, type_: str | None) -> Any:
    """`value` as one of a type (``drtool.config.relations.Reading``), or as it is. ``ValueError`` where it is none."""
    if type_ is None:
        return value
    try:
        return _AS[type_](value)
    except _FAILURES as error:
        raise ValueError(f"is no {type_}") from error


def normal(value: Any) -> bytes:
    """Bytes that are the same for two values exactly if these are equal: numbers by what they are worth, whatever their
    type; moments by what they are in UTC; all else by type and content."""
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, ObjectId):
        return b"o" + value.binary
    if isinstance(value, bool):
        return b"b1" if value else b"b0"
    if isinstance(value, int):
        return b"i%d" % value
    if isinstance(value, float):
        is_whole = math.isfinite(value) and value.is_integer()
        return b"i%d" % int(value) if is_whole else b"f" + value.hex().encode()
    if isinstance(value, bytes):
        return b"x" + value
    if isinstance(value, UUID):
        return b"u" + value.bytes
    if isinstance(value, datetime):
        return b"t" + _in_utc(value).isoformat().encode()
    return f"{type(value).__name__} {value}".encode("utf-8", "surrogatepass")


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_LONGEST = 80


def shown(value: Any) -> str:
    """A value for people, on one line and not too long."""
    text = value.hex() if isinstance(value, bytes) else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
