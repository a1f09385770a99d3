"""Values of columns: of a key as SQL literals, of a field for relations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from struct import Struct
from typing import TYPE_CHECKING, Any
from uuid import UUID

from drtool.errors import UsageError
from drtool.sources.base import MISSING
from drtool.sources.extras import require
from drtool.sources.postgres import records
from drtool.sources.postgres.catalogue import Column
from drtool.sources.postgres.connection import codec
from drtool.sources.postgres.definitions import TableDefinition

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

_width = Struct(">i").unpack_from
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def key_literals(session: Session, columns: Sequence[Column], key: bytes, *, text: bool) -> str:
    """The key of a row as literals, each with its type, separated by commas. Raises psycopg's errors."""
    psycopg = require("psycopg", "postgres")
    if text:
        values: list[bytes | None] = [unescaped(field) for field in key.split(b"\t")]
    else:
        values = fields(key, len(columns))
    select = ", ".join(f"pg_catalog.quote_literal(${number + 1}::text)" for number in range(len(columns)))
    result = session.pgconn.exec_params(
        f"SELECT {select}".encode(),
        values,
        [25 if text else column.oid for column in columns],
        [0 if text else 1] * len(columns),
    )
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        raise psycopg.errors.error_from_result(result, encoding=session.info.encoding)
    found = [result.get_value(0, number) or b"" for number in range(len(columns))]
    told = [value.decode(codec(session), "surrogateescape") for value in found]
    return ", ".join(f"{value}::{column.type}" for value, column in zip(told, columns, strict=True))


def fields(data: bytes | memoryview, count: int, at: int = 0) -> list[bytes | None]:
    """`count` columns of a binary row from a place on; None is null."""
    found: list[bytes | None] = []
    for _ in range(count):
        (length,) = _width(data, at)
        at += 4
        found.append(None if length < 0 else bytes(data[at : at + length]))
        at += max(0, length)
    return found


def unescaped(field: bytes) -> bytes | None:
    """A field of COPY's text format."""
    if field == b"\\N":
        return None
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), field) if b"\\" in field else field


def values(stream: str, definition: TableDefinition, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
    """See ``Source.values``: a column, and within JSON what follows its name (``meta.author.id``)."""
    names = [name for name, _, _ in definition.columns]
    column = max((name for name in names if path == name or path.startswith(name + ".")), key=len, default=None)
    if column is None:
        raise UsageError(f"{stream} has no column {path.partition('.')[0]}; it has {', '.join(names)}")
    number = names.index(column)
    kind = definition.columns[number][2]
    inner = path[len(column) + 1 :].split(".") if path != column else []
    if inner and kind not in ("json", "jsonb"):
        raise UsageError(f"{stream}: {column} is {definition.columns[number][1]}, which has no fields: {path}")
    decode = _decoder(kind, encoding_of(definition.encoding), text=definition.text)
    for row_kind, row in records.rows(iter(chunks)):
        if row_kind & records.TEXT:
            raw = unescaped(bytes(row).removesuffix(b"\n").split(b"\t")[number])
        else:
            raw = fields(row, number + 1, 2)[number]
        value = None if raw is None else decode(raw)
        yield _walk(value, inner) if inner else value


def _walk(value: Any, path: Sequence[str]) -> Any:
    if not path:
        return value
    if isinstance(value, dict):
        return _walk(value[path[0]], path[1:]) if path[0] in value else MISSING
    if isinstance(value, list):
        found = [_walk(each, path) for each in value]
        return [each for each in found if each is not MISSING] or MISSING
    return MISSING


def encoding_of(name: str) -> str:
    """Python's name of an encoding of PostgreSQL's."""
    if name in ("UTF8", "SQL_ASCII"):
        return "utf-8"
    found: str = require("psycopg._encodings", "postgres").pg2pyenc(name.encode())
    return found


def _decoder(kind: str, encoding: str, *, text: bool) -> Callable[[bytes], Any]:
    def as_text(raw: bytes) -> str:
        return raw.decode(encoding, "surrogateescape")

    if text:
        return lambda raw: _from_text(kind, as_text(raw))
    if kind == "jsonb":
        return lambda raw: json.loads(as_text(raw[1:]))  # the first byte is the form's version
    if kind == "json":
        return lambda raw: json.loads(as_text(raw))
    found = _FROM_BINARY.get(kind)
    if found is not None:
        return found
    array = _FROM_BINARY.get(kind.removeprefix("_")) if kind.startswith("_") else None
    if array is not None or kind in ("_text", "_varchar"):
        element = array or as_text
        return lambda raw: _array(raw, element)
    return as_text


def _array(raw: bytes, element: Callable[[bytes], Any]) -> list[Any]:
    """The elements of an array, of however many dimensions, in order."""
    dimensions = int.from_bytes(raw[:4])
    count = 1 if dimensions else 0
    for number in range(dimensions):
        count *= int.from_bytes(raw[12 + 8 * number : 16 + 8 * number])
    found = fields(raw, count, 12 + 8 * dimensions)
    return [None if each is None else element(each) for each in found]


def _from_text(kind: str, told: str) -> Any:
    found = _FROM_TEXT.get(kind)
    return told if found is None else found(told)


def _signed(raw: bytes) -> int:
    return int.from_bytes(raw, signed=True)


def _float(raw: bytes) -> float:
    value: float = Struct(">d" if len(raw) == 8 else ">f").unpack(raw)[0]
    return value


def _moment(raw: bytes) -> datetime | str:
    """A timestamp; with a zone it is UTC. What lies outside of Python's years is its count of microseconds."""
    try:
        return _EPOCH + timedelta(microseconds=_signed(raw))
    except OverflowError:
        return str(_signed(raw))


def _day(raw: bytes) -> datetime | str:
    try:
        return datetime.combine(date(2000, 1, 1) + timedelta(days=_signed(raw)), datetime.min.time(), UTC)
    except OverflowError:
        return str(_signed(raw))


def _numeric(raw: bytes) -> int | float | str:
    """Base-10000 digits with a weight (utils/adt/numeric.c, numeric_send): an int where it is a whole number."""
    count, weight, sign, _ = Struct(">HhHH").unpack_from(raw)
    if sign not in (0, 0x4000):
        return {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}[sign]
    whole: int = 0
    for digit in Struct(f">{count}H").unpack_from(raw, 8):
        whole = whole * 10000 + digit
    shift: int = 4 * (weight + 1 - count)
    signed = -whole if sign else whole
    if shift >= 0:
        return int(signed * 10**shift)
    scale = int(10**-shift)
    return signed // scale if signed % scale == 0 else signed / scale


_FROM_BINARY: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("int2", "int4", "int8"), _signed),
    "oid": int.from_bytes,
    **dict.fromkeys(("float4", "float8"), _float),
    "numeric": _numeric,
    "bool": lambda raw: raw != b"\0",
    "uuid": lambda raw: UUID(bytes=bytes(raw)),
    "bytea": bytes,
    **dict.fromkeys(("timestamp", "timestamptz"), _moment),
    "date": _day,
}
_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), int),
    **dict.fromkeys(("float4", "float8"), float),
    "bool": lambda told: told == "t",
    "uuid": UUID,
    "bytea": lambda told: bytes.fromhex(told.removeprefix("\\x")),
    **dict.fromkeys(("json", "jsonb"), json.loads),
    **dict.fromkeys(("timestamp", "timestamptz"), lambda told: _moment_of(told)),
}


def _moment_of(told: str) -> datetime | str:
    try:
        found = datetime.fromisoformat(told)
    except ValueError:
        return told
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
