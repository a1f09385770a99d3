"""Reading a table's rows in key order, all of them or a range, at a frozen instant."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drtool.sources.cutting import Chunk, CutRule, Record, cut_part
from drtool.sources.postgres import freezing, records
from drtool.sources.postgres.catalogue import Column, Relation
from drtool.sources.postgres.connection import encoded, translated
from drtool.sources.postgres.copying import Batch, copy_out, cut_batches, each_record
from drtool.sources.postgres.freezing import FrozenDatabase
from drtool.sources.postgres.names import quoted
from drtool.sources.postgres.values import key_literals
from drtool.sources.reading import WHOLE, KeyRange

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

#: How much is asked for at once of what follows a part.
_BEYOND_BYTES = 1024 * 1024
_SAMPLES_PER_PART = 32


class Sessions:
    """Sessions at the instant of a frozen database, one for each that reads at a time. `cancel` ends all reading."""

    def __init__(self, uri: str, frozen: FrozenDatabase) -> None:
        self._uri, self._frozen = uri, frozen
        self._lock = threading.Lock()
        self._idle: list[Session] = []
        self.cancelled = threading.Event()

    @contextlib.contextmanager
    def one(self) -> Iterator[Session]:
        """A session for the time of the block; one that failed or was given up is not used again."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        session = session or freezing.join(self._uri, self._frozen)
        try:
            yield session
        except BaseException:
            session.close()
            raise
        with self._lock:
            self._idle.append(session)

    def close(self) -> None:
        """All of them. Safe to call twice."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()
        self._frozen.session.close()


class TableReader:
    """Reads one table. `shown` is its stream's name."""

    def __init__(self, uri: str, sessions: Sessions, relation: Relation, shown: str) -> None:
        self._uri, self._sessions, self._relation, self._shown = uri, sessions, relation, shown
        self._kind = relation.key | (0 if relation.plain else records.TEXT)

    def chunks(self, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """See ``View.chunks``."""
        lower, upper = _split(part.lower), _split(part.upper)
        beyond: Iterator[Record] = iter(()) if upper is None or part.strict else self._beyond(*upper)
        if (lower is not None and lower[1]) or (upper is not None and upper[1]):
            yield from cut_part(self._within(lower, upper), beyond, rule)
            return
        rows = self._rows(None if lower is None else lower[0], None if upper is None else upper[0])
        yield from cut_batches(rows, beyond, self._kind, rule)

    def split(self, parts: int) -> Sequence[KeyRange]:
        """At most `parts` ranges of about the same number of rows, from a sample."""
        if parts <= 1:
            return [WHOLE]
        sample = self._sample(parts * _SAMPLES_PER_PART)
        bounds: list[bytes] = []
        for number in range(1, parts):
            at = number * len(sample) // parts
            if 0 < at < len(sample) and sample[at] not in bounds:
                bounds.append(sample[at])
        lowers: list[bytes | None] = [None, *bounds]
        uppers: list[bytes | None] = [*bounds, None]
        return [KeyRange(lower, upper) for lower, upper in zip(lowers, uppers, strict=True)]

    def average(self) -> float:
        """About how long a row is, in bytes, from the first few; 0 where there is none."""
        table = self._from()
        query = f"SELECT coalesce(avg(octet_length(r::text)), 0)::float8 FROM (SELECT t.* {table} t LIMIT 50) r"  # noqa: S608
        with self._sessions.one() as session, translated(self._uri, f"measuring {self._shown}"):
            [(average,)] = session.execute(encoded(session, query)).fetchall()
        return float(average)

    def _within(self, lower: tuple[bytes, int] | None, upper: tuple[bytes, int] | None) -> Iterator[Record]:
        """The records of a part one of whose bounds is within a long row."""
        below = None if upper is None else upper[0]
        rows = self._rows(None if lower is None else lower[0], below, upto=bool(upper and upper[1]))
        for key, data in each_record(rows, self._kind):
            row = records.key_and_part(key)
            if lower is not None and row[0] == lower[0] and row[1] < lower[1]:
                continue
            if upper is not None and row[0] == upper[0] and row[1] >= upper[1]:
                return
            yield key, data

    def _beyond(self, key: bytes, number: int) -> Iterator[Record]:
        """The records from one on, a few at a time: most often half a chunk is all that is wanted."""
        relation = self._relation
        average = relation.bytes / relation.rows if relation.rows else 1000.0
        limit = max(4, int(_BEYOND_BYTES / max(1.0, average)))
        after = False
        while True:
            last = b""
            count = 0
            for batch in self._rows(key, None, after=after, limit=limit):
                count += len(batch)
                for record in each_record([batch], self._kind):
                    last, part = records.key_and_part(record[0])
                    if not after and last == key and part < number:
                        continue
                    yield record
            if count < limit:
                return
            key, after = last, True

    def _rows(
        self,
        lower: bytes | None,
        upper: bytes | None,
        *,
        after: bool = False,
        upto: bool = False,
        limit: int | None = None,
    ) -> Iterator[Batch]:
        relation = self._relation
        columns = relation.columns[: relation.key]
        with self._sessions.one() as session, translated(self._uri, f"reading {self._shown}"):
            conditions = [relation.condition.strip().removeprefix("WHERE")] if relation.condition else []
            if lower is not None:
                literals = key_literals(session, columns, lower, text=not relation.plain)
                conditions.append(f"({_keys(columns)}) {'>' if after else '>='} ({literals})")
            if upper is not None:
                literals = key_literals(session, columns, upper, text=not relation.plain)
                conditions.append(f"({_keys(columns)}) {'<=' if upto else '<'} ({literals})")
            query = f"SELECT {', '.join(quoted(c.name) for c in relation.columns)} {self._from()}"
            if conditions:
                query += " WHERE " + " AND ".join(f"({condition})" for condition in conditions)
            if columns:
                query += f" ORDER BY {_keys(columns)}"
            if limit is not None:
                query += f" LIMIT {limit}"
            form = "binary" if relation.plain else "text"
            yield from copy_out(
                session,
                f"COPY ({query}) TO STDOUT (FORMAT {form})",
                text=not relation.plain,
                cancelled=self._sessions.cancelled,
            )

    def _sample(self, size: int) -> list[bytes]:
        """Record keys of rows from pages chosen evenly, in order. The other columns are read as null."""
        relation = self._relation
        columns = relation.columns[: relation.key]
        pages = max(1.0, relation.bytes / 8192)
        percent = min(100.0, 100 * size / pages)
        query = (
            f"SELECT {', '.join(quoted(column.name) for column in columns)} {self._from()}"
            f" TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0) ORDER BY {_keys(columns)}"
        )
        form = "binary" if relation.plain else "text"
        with self._sessions.one() as session, translated(self._uri, f"sampling {self._shown}"):
            batches = copy_out(
                session,
                f"COPY ({query}) TO STDOUT (FORMAT {form})",
                text=not relation.plain,
                cancelled=self._sessions.cancelled,
            )
            return [records.key_of(self._kind, row) for batch in batches for row in batch]

    def _from(self) -> str:
        return f"FROM ONLY {quoted(self._relation.schema)}.{quoted(self._relation.name)}"


def _split(key: bytes | None) -> tuple[bytes, int] | None:
    return None if key is None else records.key_and_part(key)


def _keys(columns: Sequence[Column]) -> str:
    """The key columns as the order of rows takes them: text by its bytes, so that no locale has a say."""
    return ", ".join(quoted(column.name) + ("" if column.bytewise else ' COLLATE "C"') for column in columns)
