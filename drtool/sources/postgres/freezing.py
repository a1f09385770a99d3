"""Fixing one instant for several databases of a server.

A snapshot belongs to one database, but the transaction numbers in it to the whole server: where pg_current_snapshot()
says the same in two databases, both see the effects of the same transactions. So snapshots are taken right after each
other, again and again, until they agree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from drtool.errors import InstantMovedError, SourceError
from drtool.sources.extras import require
from drtool.sources.postgres import catalogue, names
from drtool.sources.postgres.catalogue import Relation
from drtool.sources.postgres.connection import connect, translated
from drtool.sources.postgres.uri import shown

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

_ATTEMPTS = 200
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_FIX = "SELECT pg_export_snapshot(), pg_current_snapshot()::text, clock_timestamp()"
#: How long to wait for whoever holds a table exclusively.
_LOCK_SECONDS = 60
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class FrozenDatabase:
    """A database at an instant: `session` holds the transaction whose `snapshot` others take over, and every table
    against being dropped, truncated or rewritten. ``sequences`` are (schema, name, last value, is it used up)."""

    name: str
    session: Session
    snapshot: str
    at: datetime
    encoding: str
    relations: tuple[Relation, ...]
    sequences: tuple[tuple[str, str, int, bool], ...]


@dataclass(frozen=True, slots=True)
class Frozen:
    """All of them. ``common`` says that they are of one instant, ``visible`` what is visible there, in the server's
    words."""

    databases: tuple[FrozenDatabase, ...]
    visible: tuple[str, ...]
    common: bool

    @property
    def at(self) -> datetime:
        """When the last one was fixed."""
        return max(each.at for each in self.databases)

    @property
    def distance(self) -> float:
        """Seconds from the first to the last."""
        return (self.at - min(each.at for each in self.databases)).total_seconds()


def freeze(uri: str, databases: Sequence[str], selection: names.Selection) -> Frozen:
    """Fix the instant of these databases, of which there is at least one. Raises ``InstantMovedError`` where a table
    was replaced at that very moment."""
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(connect(uri, database)) for database in databases]
        with translated(uri, "fixing an instant"):
            fixed = _fix(sessions)
        found = []
        for database, session, (snapshot, _, at) in zip(databases, sessions, fixed, strict=True):
            with _waiting(uri, database), translated(uri, f"listing what {database} holds"):
                session.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")  # the sizes of tables wait, too
                relations = catalogue.list_relations(session)
            _lock(uri, database, session, relations, selection)
            with translated(uri, f"reading sequences of {database}"):
                sequences = _sequences(session, relations)
            encoding = session.info.parameter_status("server_encoding") or "UTF8"
            found.append(FrozenDatabase(database, session, snapshot, at, encoding, tuple(relations), tuple(sequences)))
        stack.pop_all()
    visible = tuple(each[1] for each in fixed)
    return Frozen(tuple(found), visible, len(set(visible)) == 1)


def join(uri: str, frozen: FrozenDatabase) -> Session:
    """Another session that sees what the frozen one sees; its text is in the database's own encoding."""
    session = connect(uri, frozen.name)
    try:
        with translated(uri, f"reading {frozen.name} at its instant"):
            session.execute(_BEGIN)
            session.execute(f"SET TRANSACTION SNAPSHOT '{frozen.snapshot}'")
            session.execute("SELECT set_config('client_encoding', %s, false)", [frozen.encoding])
            session.execute("SET work_mem = '64MB'")
    except BaseException:
        session.close()
        raise
    return session


def _fix(sessions: Sequence[Session]) -> list[tuple[str, str, datetime]]:
    fixed: list[tuple[str, str, datetime]] = []
    for _ in range(_ATTEMPTS if len(sessions) > 1 else 1):
        for session in sessions:
            session.execute("ROLLBACK" if session.info.transaction_status else "SELECT")
            session.execute(_BEGIN)
        fixed = []
        for session in sessions:
            [row] = session.execute(_FIX).fetchall()
            fixed.append((row[0], row[1], row[2]))
        if len({visible for _, visible, _ in fixed}) == 1:
            break
    return fixed


def _lock(uri: str, database: str, session: Session, relations: Sequence[Relation], selection: names.Selection) -> None:
    """Nobody may take away a table that is going to be read, as pg_dump sees to it; and nobody did since the instant:
    a table that was truncated looks empty to every snapshot."""
    tables = [each for each in relations if each.kind == "r"]
    wanted = [each for each in tables if selection.takes(names.name(database, each.schema, each.name))]
    errors = require("psycopg", "postgres").errors
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        listed = ", ".join(f"ONLY {names.quoted(each.schema)}.{names.quoted(each.name)}" for each in some)
        try:
            with _waiting(uri, database), translated(uri, f"holding the tables of {database}"):
                session.execute(f"LOCK TABLE {listed} IN ACCESS SHARE MODE".encode())
        except SourceError as error:
            if isinstance(error.__cause__, errors.UndefinedTable):
                raise InstantMovedError(f"{database}: a table was dropped just then: {error.message}") from error
            raise
    with translated(uri, f"holding the tables of {database}"):
        now = session.execute(
            "SELECT to_regclass(place)::oid, pg_relation_filenode(to_regclass(place)) FROM unnest(%s::text[])"
            " WITH ORDINALITY AS wanted(place, number) ORDER BY number",
            [[f"{names.quoted(each.schema)}.{names.quoted(each.name)}" for each in wanted]],
        ).fetchall()
    for each, (oid, filenode) in zip(wanted, now, strict=True):
        name = names.name(database, each.schema, each.name)
        if oid != each.oid:
            raise InstantMovedError(f"{name}: another table got its name just then")
        if filenode != each.filenode:
            raise InstantMovedError(f"{name}: it was truncated or rewritten just then")


@contextlib.contextmanager
def _waiting(uri: str, database: str) -> Iterator[None]:
    """Says what it is that somebody else held for too long."""
    errors = require("psycopg", "postgres").errors
    try:
        yield
    except SourceError as error:
        if not isinstance(error.__cause__, errors.LockNotAvailable):
            raise
        raise SourceError(
            f"{shown(uri)}: another session held a table of {database} exclusively for {_LOCK_SECONDS} s",
            hint="Run again when ALTER TABLE, VACUUM FULL or the like has ended (see pg_stat_activity).",
        ) from error


def _sequences(session: Session, relations: Sequence[Relation]) -> list[tuple[str, str, int, bool]]:
    """Where each sequence stands: what no transaction protects, so that is read at once."""
    sequences = [each for each in relations if each.kind == "S"]
    found: list[tuple[str, str, int, bool]] = []
    for start in range(0, len(sequences), _AT_ONCE):
        some = sequences[start : start + _AT_ONCE]
        query = " UNION ALL ".join(
            f"SELECT {number}, last_value, is_called FROM {names.quoted(each.schema)}.{names.quoted(each.name)}"  # noqa: S608
            for number, each in enumerate(some)
        )
        for number, last, called in sorted(session.execute(query.encode()).fetchall()):
            found.append((some[number].schema, some[number].name, last, called))
    return found
