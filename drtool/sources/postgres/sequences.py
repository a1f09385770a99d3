"""Where sequences stand, as records: schema, name, last value and ``t`` or ``f`` (was it given away?), each ended by a
zero byte, in order of schema and name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from drtool.errors import SourceError
from drtool.sources.cutting import Record
from drtool.sources.postgres import records
from drtool.sources.postgres.names import quoted

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

ABOUT_BYTES = 40
_SET = "SELECT setval(%s::regclass, %s, %s)"

Standing = tuple[str, str, int, bool]
"""Schema, name, the last value, and whether it was given away."""


def each_record(standings: Iterable[Standing]) -> Iterator[Record]:
    """The records, in order."""
    rows = sorted(
        b"".join(part.encode("utf-8", "surrogateescape") + b"\0" for part in (schema, name, str(last), "ft"[called]))
        for schema, name, last, called in standings
    )
    for row in rows:
        yield records.key_of(records.SEQUENCE, row), records.head(records.SEQUENCE, len(row)) + row


def standings(chunks: Iterable[bytes]) -> Iterator[Standing]:
    """What the records say."""
    for _, row in records.rows(iter(chunks)):
        parts = bytes(row).split(b"\0")
        if len(parts) != 5:
            raise SourceError("a chunk holds a sequence that is none")
        schema, name = (part.decode("utf-8", "surrogateescape") for part in parts[:2])
        yield schema, name, int(parts[2]), parts[3] == b"t"


def any_of(session: Session) -> bool:
    """Has the session's database a sequence of a user's? Raises psycopg's errors."""
    return bool(session.execute("SELECT FROM pg_catalog.pg_sequences LIMIT 1").fetchall())


def set_value(session: Session, standing: Standing) -> None:
    """Put a sequence where it stood. Raises psycopg's errors."""
    schema, name, last, called = standing
    session.execute(_SET, [f"{quoted(schema)}.{quoted(name)}", last, called])
