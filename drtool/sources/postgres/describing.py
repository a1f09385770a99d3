"""A database's own properties, and what it needs of the server: for its definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from drtool.sources.postgres.definitions import DatabaseDefinition
from drtool.sources.postgres.dumping import entries
from drtool.sources.postgres.names import literal

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

_PROPERTIES = """
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
       {provider}, pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS connection_limit,
       d.datistemplate AS is_template, shobj_description(d.oid, 'pg_database') AS comment
FROM pg_catalog.pg_database d WHERE d.datname = current_database()
"""
_PROVIDERS = {
    13: "'c' AS provider, NULL AS locale, NULL AS rules",
    15: "d.datlocprovider::text AS provider, d.daticulocale AS locale, NULL AS rules",
    16: "d.datlocprovider::text AS provider, d.daticulocale AS locale, d.daticurules AS rules",
    17: "d.datlocprovider::text AS provider, d.datlocale AS locale, d.daticurules AS rules",
}
_SETTINGS = """
SELECT coalesce(r.rolname, ''), setting
FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS setting
WHERE d.datname = current_database() ORDER BY 1, 2
"""
_GRANTS = """
SELECT coalesce(pg_get_userbyid(nullif(a.grantee, 0)), ''), a.privilege_type, a.is_grantable
FROM pg_catalog.pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
WHERE d.datname = current_database() ORDER BY 1, 2, 3
"""
_EXTENSIONS = "SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY extname"
_NEEDS = """
SELECT DISTINCT r.rolname FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass
  AND (s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
       OR s.classid = 'pg_catalog.pg_database'::regclass
          AND s.objid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
"""
#: Of drtool's own, while it restores.
MARKER = "drtool restore "


def describe_database(
    session: Session, sql: tuple[str, str], tables: tuple[str, ...], dumped_by: int
) -> DatabaseDefinition:
    """The definition of the database of a session, with pg_dump's SQL. Raises psycopg's errors."""
    properties = _properties(session)
    settings = tuple((role, setting) for role, setting in session.execute(_SETTINGS).fetchall())
    needs = {name for (name,) in session.execute(_NEEDS)} | {properties["owner"]}
    needs |= {entry.owner for part in sql for entry in entries(part) if entry.owner not in ("", "-")}
    needs |= {role for role, _ in settings if role}
    pre, post = (_without_random(part) for part in sql)
    extensions: dict[str, str] = dict(session.execute(_EXTENSIONS).fetchall())
    return DatabaseDefinition(properties, extensions, tuple(sorted(needs)), pre, post, tables, dumped_by, settings)


def _properties(session: Session) -> dict[str, Any]:
    version = max(each for each in _PROVIDERS if each <= session.info.server_version // 10000)
    cursor = session.execute(_PROPERTIES.format(provider=_PROVIDERS[version]))
    [row] = cursor.fetchall()
    assert cursor.description is not None
    found: dict[str, Any] = dict(zip((column.name for column in cursor.description), row, strict=True))
    if str(found["comment"] or "").startswith(MARKER):
        found["comment"] = None
    found["server"] = session.info.server_version // 10000
    found["grants"] = [list(grant) for grant in session.execute(_GRANTS).fetchall()]
    return found


def _without_random(sql: str) -> str:
    """pg_dump's SQL from its first entry on: what stands before says when and by which pg_dump it was written."""
    return "".join(f"{entry.heading}{entry.sql}\n" for entry in entries(sql))


def locale_clause(properties: Mapping[str, Any]) -> str:
    """The part of CREATE DATABASE that is about text, in the words of the version that it is for."""
    parts = [f"ENCODING {literal(properties['encoding'])}"]
    parts += [f"LC_COLLATE {literal(properties['collate'])}", f"LC_CTYPE {literal(properties['ctype'])}"]
    provider = {"i": "icu", "b": "builtin"}.get(properties["provider"])
    if provider is not None:
        parts += [f"LOCALE_PROVIDER {provider}", f"{provider}_LOCALE {literal(properties['locale'])}"]
    if properties["rules"]:
        parts.append(f"ICU_RULES {literal(properties['rules'])}")
    return " ".join(parts)
