"""Rows as ``COPY … TO STDOUT`` sends them, cut into chunks.

The one loop that touches every row of a database. It takes the messages of libpq as they come, one for each row,
without psycopg's coroutine for each, and repeats the rule of ``drtool.sources.cutting`` in line: a row in the first
MIN_BYTES of a chunk costs its header. A property test holds both to the same result.
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from drtool.errors import InterruptedRunError
from drtool.sources.cutting import MAX_BYTES, MIN_BYTES, Chunk, CutRule, Cutter, Record
from drtool.sources.extras import require
from drtool.sources.postgres import records
from drtool.sources.postgres.connection import encoded

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from drtool.sources.postgres.connection import Session

Row = bytes | memoryview
Batch = list[Row]
#: What a batch holds at the least, if there is as much.
_BATCH_BYTES = 256 * 1024
_WAIT_MS = 500
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER_BYTES = len(_SIGNATURE) + 8
_TRAILER = b"\xff\xff"
_pack = Struct(">I").pack


def copy_out(session: Session, query: str, *, text: bool, cancelled: threading.Event) -> Iterator[Batch]:
    """The rows of a COPY statement, in batches. Raises psycopg's errors."""
    connection = session.pgconn
    waiting = select.poll()
    waiting.register(connection.socket, select.POLLIN)

    def wait() -> None:
        while not waiting.poll(_WAIT_MS):
            _stop_if(cancelled, session)
        connection.consume_input()

    connection.send_query(encoded(session, query))
    _expect_copy(session, wait)
    batch: Batch = []
    size, first, get = 0, not text, connection.get_copy_data
    try:
        while True:
            count, row = get(1)
            if count > 0:
                if first:  # the file's header comes with the first row, or with the trailer
                    first, row = False, memoryview(bytes(row))[_HEADER_BYTES:]
                    count -= _HEADER_BYTES
                if text or count != len(_TRAILER) or bytes(row) != _TRAILER:
                    batch.append(row)
                    size += count
                if size >= _BATCH_BYTES:
                    _stop_if(cancelled, session)
                    yield batch
                    batch, size = [], 0
            elif count == 0:
                wait()
            else:
                break
        if batch:
            yield batch
        _finish(session, wait)
    except GeneratorExit:
        _abandon(connection)
        raise


def _stop_if(cancelled: threading.Event, session: Session) -> None:
    if cancelled.is_set():
        _abandon(session.pgconn)
        raise InterruptedRunError("reading was given up")


def _abandon(connection: PGconn) -> None:
    """Nobody wants the rest: the server is told, and the connection is of no more use."""
    connection.get_cancel().cancel()
    connection.finish()


def _expect_copy(session: Session, wait: Callable[[], None]) -> None:
    psycopg = require("psycopg", "postgres")
    connection = session.pgconn
    while connection.is_busy():
        wait()
    result = connection.get_result()
    if result is None or result.status != psycopg.pq.ExecStatus.COPY_OUT:
        _drain(connection)
        raise psycopg.errors.error_from_result(result, encoding=session.info.encoding)


def _finish(session: Session, wait: Callable[[], None]) -> None:
    """The statement's own outcome: the server may have failed in the middle."""
    psycopg = require("psycopg", "postgres")
    connection = session.pgconn
    while connection.is_busy():
        wait()
    result = connection.get_result()
    _drain(connection)
    if result is None or result.status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result, encoding=session.info.encoding)


def _drain(connection: PGconn) -> None:
    while connection.get_result() is not None:
        pass


def each_record(batches: Iterable[Batch], kind: int) -> Iterator[Record]:
    """The rows as records with their keys, one by one."""
    for batch in batches:
        for row in batch:
            if len(row) > records.MOST:
                yield from records.parts(kind, memoryview(row))
            else:
                yield records.key_of(kind, row), records.head(kind, len(row)) + bytes(row)


def cut_batches(own: Iterable[Batch], beyond: Iterable[Record], kind: int, rule: CutRule) -> Iterator[Chunk]:
    """``drtool.sources.cutting.cut_part`` over batches: the same chunks, faster.

    `own` holds the part's rows from a true cut on, `beyond` (read lazily) all records that follow.
    """
    rest = _Rest()
    for batch in own:
        yield from _cut_batch(batch, kind, rule, rest)
    if rest.records:
        yield from _go_on(rest, beyond, rule)


class _Rest:
    """What follows the last cut: whole records, of which the first and the last keys are known when asked for."""

    __slots__ = ("first", "last", "pieces", "records", "size")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """At a cut."""
        self.pieces: list[Row] = []
        self.size = self.records = 0
        self.first = self.last = b""

    def add(self, key: bytes, data: Row) -> None:
        """The next record."""
        if not self.records:
            self.first = key
        self.last = key
        self.pieces.append(data)
        self.size += len(data)
        self.records += 1

    def take(self, beyond: int = 0) -> Chunk:
        """All of it as a chunk."""
        chunk = Chunk(b"".join(self.pieces), self.records, self.first, self.last, beyond)
        self.begin()
        return chunk


def _cut_batch(batch: Batch, kind: int, rule: CutRule, rest: _Rest) -> Iterator[Chunk]:
    """The chunks that end in a batch; what follows the last cut goes to `rest`."""
    base, threshold, seed, most = kind << 24, rule.threshold, rule.seed, records.MOST
    pieces, size, count = rest.pieces, rest.size, rest.records
    key_of, pack, add = records.key_of, _pack, pieces.append
    row: Row = b""
    for row in batch:
        length = len(row)
        if length > most:
            rest.size, rest.records = size, count
            yield from _cut_long(row, kind, rule, rest)
            pieces, size, count = rest.pieces, rest.size, rest.records
            add = pieces.append
            continue
        if not count:
            rest.first = key_of(kind, row)
        add(pack(base | length))
        add(row)
        size += length + 4
        count += 1
        if size < MIN_BYTES:
            continue
        key = key_of(kind, row)
        if size >= MAX_BYTES or xxh3_64_intdigest(key, seed) < threshold:
            rest.size, rest.records, rest.last = size, count, key
            yield rest.take()
            pieces, size, count = rest.pieces, 0, 0
            add = pieces.append
    if count and len(row) <= most:
        rest.last = key_of(kind, row)
    rest.size, rest.records = size, count


def _cut_long(row: Row, kind: int, rule: CutRule, rest: _Rest) -> Iterator[Chunk]:
    cutter = Cutter(rule)
    for key, data in records.parts(kind, memoryview(row)):
        cutter.size = rest.size
        rest.add(key, data)
        if cutter.cuts_after(key, len(data)):
            yield rest.take()


def _go_on(rest: _Rest, beyond: Iterable[Record], rule: CutRule) -> Iterator[Chunk]:
    """The chunks from the last cut of a part until its cuts join those of the next part."""
    mine, theirs = Cutter(rule), Cutter(rule)
    mine.size = rest.size
    past = 0
    for key, data in beyond:
        rest.add(key, data)
        past += 1
        i_cut = mine.cuts_after(key, len(data))
        they_cut = theirs.cuts_after(key, len(data))
        if i_cut:
            yield rest.take(past)
            past = 0
            if they_cut:
                return
    if rest.records:
        yield rest.take(past)
