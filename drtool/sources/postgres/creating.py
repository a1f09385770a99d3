"""Making a database like the one that was backed up, and the marker of a restore that is not finished."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drtool.sources.postgres.definitions import DatabaseDefinition
from drtool.sources.postgres.describing import MARKER, locale_clause
from drtool.sources.postgres.names import literal, quoted
from drtool.sources.postgres.roles import set_clause

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

_COMMENT = """
SELECT shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database WHERE datname = %s
"""
#: Whatever somebody made in it, but for what extensions brought.
_HOLDS = """
WITH brought AS (SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e')
SELECT (SELECT count(*) FROM pg_catalog.pg_class c WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
          AND ('pg_catalog.pg_class'::regclass, oid) NOT IN (SELECT * FROM brought)),
       (SELECT count(*) FROM pg_catalog.pg_proc WHERE oid >= 16384
          AND ('pg_catalog.pg_proc'::regclass, oid) NOT IN (SELECT * FROM brought)) +
       (SELECT count(*) FROM pg_catalog.pg_type WHERE oid >= 16384 AND typrelid = 0 AND typcategory <> 'A'
          AND ('pg_catalog.pg_type'::regclass, oid) NOT IN (SELECT * FROM brought)) +
       (SELECT count(*) FROM pg_catalog.pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_(toast_)?temp_'
          AND ('pg_catalog.pg_namespace'::regclass, oid) NOT IN (SELECT * FROM brought)) +
       (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata)
"""
_TEXT = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_catalog.pg_database WHERE datname = %s
"""


def exists(session: Session, database: str) -> bool:
    """Is there a database of this name? Raises psycopg's errors, like all here."""
    return bool(session.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [database]).fetchall())


def marker_of(session: Session, database: str) -> str:
    """The marker of a restore into it that did not finish; empty where there is none."""
    rows = session.execute(_COMMENT, [database]).fetchall()
    comment = rows[0][0] if rows else None
    return comment.removeprefix(MARKER) if comment is not None and comment.startswith(MARKER) else ""


def holds(session: Session) -> tuple[int, int]:
    """How many relations the session's database has, and how many other things of users'."""
    [(relations, others)] = session.execute(_HOLDS).fetchall()
    return relations, others


def text_of(session: Session, database: str) -> tuple[str, str, str]:
    """Encoding, collation and character classes of a database."""
    [(encoding, collate, ctype)] = session.execute(_TEXT, [database]).fetchall()
    return encoding, collate, ctype


def create(session: Session, database: str, definition: DatabaseDefinition, marker: str) -> None:
    """A new, empty database, and the marker."""
    session.execute(create_statement(database, definition).encode())
    leave_marker(session, database, marker)


def create_statement(database: str, definition: DatabaseDefinition) -> str:
    """An empty database with the encoding and locale of the old one."""
    return f"CREATE DATABASE {quoted(database)} TEMPLATE template0 {locale_clause(definition.properties)}"


def leave_marker(session: Session, database: str, marker: str) -> None:
    """Say that a restore is at work in it."""
    session.execute(f"COMMENT ON DATABASE {quoted(database)} IS {literal(MARKER + marker)}".encode())


def drop(session: Session, database: str) -> None:
    """Away with it, whoever is connected."""
    session.execute(f"DROP DATABASE IF EXISTS {quoted(database)} WITH (FORCE)".encode())


def last_statements(database: str, definition: DatabaseDefinition) -> Iterator[str]:
    """What makes the database itself as it was: settings, privileges, owner, and its own comment for the marker."""
    name, properties = quoted(database), definition.properties
    for role, setting in definition.settings:
        of = f"ALTER ROLE {quoted(role)} IN DATABASE {name}" if role else f"ALTER DATABASE {name}"
        yield f"{of} {set_clause(setting)}"
    yield f"ALTER DATABASE {name} OWNER TO {quoted(properties['owner'])}"
    yield f"REVOKE ALL ON DATABASE {name} FROM PUBLIC, {quoted(properties['owner'])}"
    for grantee, privilege, grantable in properties["grants"]:
        to = quoted(grantee) if grantee else "PUBLIC"
        yield f"GRANT {privilege} ON DATABASE {name} TO {to}" + (" WITH GRANT OPTION" if grantable else "")
    if properties["connection_limit"] != -1 or properties["is_template"]:
        template = "true" if properties["is_template"] else "false"
        yield f"ALTER DATABASE {name} CONNECTION LIMIT {properties['connection_limit']} IS_TEMPLATE {template}"
    comment = properties["comment"]
    yield f"COMMENT ON DATABASE {name} IS {'NULL' if comment is None else literal(comment)}"
