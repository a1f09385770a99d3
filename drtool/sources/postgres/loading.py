"""Rows into a table by COPY, as they lie in chunks."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

from drtool.errors import IncompleteRestoreError
from drtool.sources.extras import require
from drtool.sources.postgres import records
from drtool.sources.postgres.connection import encoded
from drtool.sources.postgres.definitions import TableDefinition
from drtool.sources.postgres.names import quoted
from drtool.sources.restoring import Loaded

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"


class Ledger:
    """Which chunks of keyed streams are in their tables already: their rows are there once only, so a chunk that comes
    again is passed over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, set[bytes]] = {}
        self._parts: dict[tuple[str, bytes], dict[int, bytes]] = {}

    def claim(self, stream: str, chunk: bytes) -> bytes | None:
        """A mark for a chunk that is to be written; None where that was done."""
        mark = blake2b(chunk, digest_size=12).digest()
        with self._lock:
            return None if mark in self._known.get(stream, ()) else mark

    def keep(self, stream: str, marks: Iterable[bytes]) -> None:
        """These are in the table, and committed."""
        with self._lock:
            self._known.setdefault(stream, set()).update(marks)

    def row_of(self, stream: str, part: tuple[bytes, int, int, bytes]) -> bytes | None:
        """Take a part of a long row, whichever thread it comes to; the row once all of them are there."""
        key, number, count, piece = part
        with self._lock:
            pieces = self._parts.setdefault((stream, key), {})
            pieces[number] = piece
            if len(pieces) < count:
                return None
            del self._parts[stream, key]
        return b"".join(pieces[number] for number in range(count))

    def incomplete(self) -> list[str]:
        """Streams with rows of which parts are missing."""
        with self._lock:
            return sorted({stream for stream, _ in self._parts})

    def begun(self, stream: str) -> bool:
        """Was anything of it written?"""
        with self._lock:
            return stream in self._known


def load(session: Session, name: str, definition: TableDefinition, chunks: Iterable[bytes], ledger: Ledger) -> Loaded:
    """Write rows in one transaction. A stream without a key begins anew each time. Raises psycopg's errors, and
    ``IncompleteRestoreError`` where the server did not take every row."""
    table = f"{quoted(definition.schema)}.{quoted(definition.name)}"
    session.execute("SELECT set_config('client_encoding', %s, false)", [definition.encoding])
    if not definition.key and ledger.begun(name) and not definition.condition:
        session.execute(encoded(session, f"TRUNCATE ONLY {table}"))
    feed = _Feed(definition, chunks, name, ledger)
    listed = ", ".join(quoted(column) for column, _, _ in definition.columns)
    columns = f" ({listed})" if listed else ""
    form = "text" if definition.text else "binary"
    query = encoded(session, f"COPY {table}{columns} FROM STDIN (FORMAT {form})")
    psycopg = require("psycopg", "postgres")
    with session.cursor() as cursor:
        try:
            with cursor.copy(query) as copy:
                for piece in feed.pieces():
                    copy.write(piece)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            where = error.diag.context or "a row"
            raise IncompleteRestoreError(f"{name}: {where}: {error.diag.message_primary}") from error
        if cursor.rowcount != feed.rows:
            raise IncompleteRestoreError(f"{name}: the server took {cursor.rowcount} of {feed.rows} rows")
    ledger.keep(name, feed.marks)
    return Loaded(feed.records, feed.bytes)


class _Feed:
    """What COPY is given of some chunks: rows without their headers. Counts what passes: ``rows`` that were sent,
    ``records`` and ``bytes`` of all chunks, those that are in the table already included."""

    def __init__(self, definition: TableDefinition, chunks: Iterable[bytes], name: str, ledger: Ledger) -> None:
        self._definition, self._chunks, self._name, self._ledger = definition, chunks, name, ledger
        self.rows = self.records = self.bytes = 0
        self.marks: list[bytes] = []

    def pieces(self) -> Iterator[bytes]:
        """In the form of the stream."""
        if not self._definition.text:
            yield _BEGIN
        for chunk in self._chunks:
            self.bytes += len(chunk)
            mark = self._ledger.claim(self._name, chunk) if self._definition.key else b""
            if mark is None:
                self.records += sum(1 for _ in records.each(chunk))
                continue
            yield self._without_headers(chunk)
            self.marks.append(mark)
        if not self._definition.text:
            yield _END

    def _without_headers(self, chunk: bytes) -> bytes:
        view, rows = memoryview(chunk), list[bytes | memoryview]()
        count = 0
        for kind, start, end in records.each(chunk):
            count += 1
            if kind & records.PART:
                row = self._ledger.row_of(self._name, records.part_of(chunk, start, end))
                if row is not None:
                    rows.append(row)
            else:
                rows.append(view[start:end])
        self.records += count
        self.rows += len(rows)
        return b"".join(rows)
