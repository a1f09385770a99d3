"""What comes after all rows: constraints and indexes of several tables at once, then the rest in pg_dump's order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from drtool.errors import IncompleteRestoreError, SourceError
from drtool.sources.postgres.connection import connect, translated
from drtool.sources.postgres.dumping import Entry, entries

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

_AT_ONCE = 2
_IN_ONE_TRANSACTION = 100
_ATTEMPTS = 5
_DEADLOCK = "40P01"
_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^\s".(]+)'
_TABLE = re.compile(rf"(?:ALTER TABLE ONLY|ALTER TABLE| ON ONLY| ON) ({_IDENTIFIER}(?:\.{_IDENTIFIER})?)")
_BY_TABLE = ("CONSTRAINT", "INDEX")
#: What a whole database has and a part of it may not fulfil.
_OF_THE_WHOLE = ("FK CONSTRAINT",)
_SETTINGS = "SET maintenance_work_mem = '256MB'; SET client_min_messages = error"


def finish(uri: str, database: str, post: str, *, whole: bool, progress: Callable[[str], None]) -> None:
    """Run pg_dump's post-data SQL. ``IncompleteRestoreError`` names what failed."""
    wanted = [entry for entry in entries(post) if whole or entry.type not in _OF_THE_WHOLE]
    groups = _by_table([entry for entry in wanted if entry.type in _BY_TABLE])
    if groups:
        progress(f"{database}: building indexes and constraints of {len(groups)} tables")
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="index") as pool:
        for done in [pool.submit(_run, uri, database, group) for group in groups]:
            done.result()
    _run(uri, database, [entry for entry in wanted if entry.type not in _BY_TABLE])


def _by_table(wanted: Sequence[Entry]) -> list[list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in wanted:
        found = _TABLE.search(entry.sql)
        groups.setdefault(found[1] if found is not None else "", []).append(entry)
    return list(groups.values())


def _run(uri: str, database: str, wanted: Sequence[Entry]) -> None:
    if not wanted:
        return
    session = connect(uri, database)
    try:
        with translated(uri, f"finishing {database}"):
            session.execute(_SETTINGS)
        for entry in wanted:
            _run_one(uri, session, database, entry)
    finally:
        session.close()


def _run_one(uri: str, session: Session, database: str, entry: Entry) -> None:
    shown = f"{entry.type} {entry.name}" + (f" in {entry.schema}" if entry.schema != "-" else "")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with translated(uri, f"making {shown}"):
                execute_all(session, entry.sql)
            return
        except SourceError as error:
            state = getattr(error.__cause__, "sqlstate", None)
            if state == _DEADLOCK and attempt < _ATTEMPTS:  # parts of a partitioned table wait for each other
                continue
            raise IncompleteRestoreError(
                f"{database}: {shown} cannot be made: {error.message}",
                hint=error.hint or "The rows are there; what is missing is named.",
            ) from error


def execute_entries(session: Session, sql: str) -> None:
    """pg_dump's SQL, in transactions of a few entries: the locks of thousands of tables fit into none. Raises psycopg's
    errors."""
    several = [entry.sql for entry in entries(sql)]
    for start in range(0, len(several), _IN_ONE_TRANSACTION):
        execute_all(session, "".join(several[start : start + _IN_ONE_TRANSACTION]))


def execute_all(session: Session, sql: str) -> None:
    """Several statements in one go, and in one transaction. Raises psycopg's errors."""
    session.execute(sql.encode("utf-8", "surrogateescape"))
