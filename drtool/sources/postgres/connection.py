"""Connections to one database of a server, and its errors in drtool's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from drtool.errors import AuthenticationError, SourceError, StorageFullError, UnreachableError
from drtool.sources.extras import require
from drtool.sources.postgres.uri import redacted, shown

if TYPE_CHECKING:
    from psycopg import Connection, Error

    Session = Connection[tuple[Any, ...]]

#: The oldest server whose snapshots can be held against each other (pg_current_snapshot).
OLDEST = 13
_CONNECT_SECONDS = 15
_LONGEST = 300
#: What a session of drtool relies on: names in full, values in forms that do not depend on the server's settings, rows
#: of a table from its beginning, and no row hidden without an error.
_SETTINGS = {
    "search_path": "",
    "row_security": "off",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    "standard_conforming_strings": "on",
    "synchronize_seqscans": "off",
    "check_function_bodies": "off",
    "client_min_messages": "warning",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
_UNREACHABLE = "Is the server up, and the address right? Connections may be limited by a firewall or pg_hba.conf."
_CREDENTIALS = "Check user and password in the source's uri, and the server's pg_hba.conf."
PRIVILEGE = "drtool doctor says what the account lacks, drtool doctor --print-roles backup which grants give it."


def connect(uri: str, database: str | None = None) -> Session:
    """A session with `database`, None for the one that the address names. Raises ``UnreachableError`` or
    ``AuthenticationError``."""
    psycopg = require("psycopg", "postgres")
    options = parameters(uri, database)
    with translated(uri, "connecting"):
        session: Session = psycopg.connect(**options, autocommit=True, prepare_threshold=None)
    try:
        with translated(uri, "connecting"):
            _set_up(session)
    except BaseException:
        session.close()
        raise
    return session


def parameters(uri: str, database: str | None = None) -> dict[str, Any]:
    """The address taken apart, in libpq's words. ``SourceError`` where it is none."""
    psycopg = require("psycopg", "postgres")
    try:
        options: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(uri)
    except psycopg.ProgrammingError as error:
        raise SourceError(f"{shown(uri)} is no address of a PostgreSQL server: {redacted(str(error), uri)}") from None
    options.setdefault("connect_timeout", _CONNECT_SECONDS)
    options.setdefault("application_name", "drtool")
    if database is not None:
        options["dbname"] = database
    elif "dbname" not in options:
        options["dbname"] = "postgres"
    return options


def codec(session: Session) -> str:
    """Python's name of the encoding that a session's text is in."""
    found = session.info.parameter_status("client_encoding")
    return "utf-8" if found == "SQL_ASCII" else session.info.encoding


def encoded(session: Session, statement: str) -> bytes:
    """A statement in the encoding of a session's text."""
    return statement.encode(codec(session), "surrogateescape")


def _set_up(session: Session) -> None:
    encoding = "UTF8" if session.info.parameter_status("server_encoding") != "SQL_ASCII" else "SQL_ASCII"
    if encoding == "SQL_ASCII":
        _take_text_as_it_is(session)
    session.execute(
        "SELECT set_config(name, wanted.value, false) FROM unnest(%s::text[], %s::text[]) AS wanted(option, value)"
        " JOIN pg_catalog.pg_settings ON name = option",
        [[*_SETTINGS, "client_encoding"], [*_SETTINGS.values(), encoding]],
    )


def _take_text_as_it_is(session: Session) -> None:
    """Where the server knows no encoding, psycopg gives bytes for text: UTF-8 it is, and what is not stays."""
    psycopg = require("psycopg", "postgres")

    class AsItIs(psycopg.adapt.Loader):  # type: ignore[misc, name-defined]
        def load(self, data: bytes | bytearray | memoryview) -> str:
            return bytes(data).decode("utf-8", "surrogateescape")

    for name in ("text", "name", "varchar", "bpchar", "char"):
        session.adapters.register_loader(name if name != "char" else '"char"', AsItIs)


def major(session: Session) -> int:
    """The server's major version."""
    return session.info.server_version // 10000


def version_of(session: Session) -> str:
    """The server's version (``18.4``)."""
    number = session.info.server_version
    return f"{number // 10000}.{number % 10000}"


@contextlib.contextmanager
def translated(uri: str, doing: str) -> Iterator[None]:
    """psycopg's errors inside become drtool's, with what was being done."""
    psycopg = require("psycopg", "postgres")
    try:
        yield
    except psycopg.Error as error:
        raise _as_ours(error, uri, doing) from error


def _as_ours(error: Error, uri: str, doing: str) -> Exception:
    text = redacted(str(error), uri)[:_LONGEST]
    state = error.sqlstate or ""
    about = f"{shown(uri)}: {doing}: {text}"
    if state.startswith("28") or (not state and "password" in text):
        return AuthenticationError(about, hint=_CREDENTIALS)
    if state == "42501":
        return AuthenticationError(about, hint=PRIVILEGE)
    if state in ("53100", "53200"):
        return (
            StorageFullError(about, hint="Make room on the server, then run again.")
            if state == "53100"
            else (SourceError(about, hint="The server is short of memory."))
        )
    psycopg = require("psycopg", "postgres")
    if isinstance(error, psycopg.OperationalError) and (not state or state[:2] in ("08", "57")):
        return UnreachableError(about, hint=_UNREACHABLE)
    return SourceError(about)
