"""Roles of a server: their attributes, memberships and settings, and passwords where the account may see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drtool.sources.postgres.names import literal, quoted

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

#: The owner of drtool's sandboxes, which belongs to no backup.
SANDBOX_OWNER = "drtool_sandbox"
_ATTRIBUTES = {
    "rolsuper": "SUPERUSER",
    "rolinherit": "INHERIT",
    "rolcreaterole": "CREATEROLE",
    "rolcreatedb": "CREATEDB",
    "rolcanlogin": "LOGIN",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}
_MAY_SEE_PASSWORDS = "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')"
_LIST = """
SELECT r.rolname AS name, {attributes}, r.rolconnlimit AS connections, r.rolvaliduntil::text AS valid_until,
       {password} AS password, shobj_description(r.oid, 'pg_authid') AS comment,
       coalesce((SELECT array_agg(s ORDER BY s) FROM pg_catalog.pg_db_role_setting c, unnest(c.setconfig) s
                 WHERE c.setrole = r.oid AND c.setdatabase = 0), '{{}}') AS settings,
       coalesce((SELECT json_agg(json_build_array(g.rolname, m.admin_option, {options}) ORDER BY g.rolname)
                 FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
                 WHERE m.member = r.oid), '[]') AS member_of
FROM pg_catalog.{table} r WHERE r.rolname !~ '^pg_' AND r.rolname <> %s ORDER BY r.rolname
"""


def list_roles(session: Session) -> list[dict[str, Any]]:
    """All but PostgreSQL's own, by name; ``password`` is the verifier that the server keeps, or None. Raises psycopg's
    errors."""
    may = may_see_passwords(session)
    since_16 = session.info.server_version >= 160000
    query = _LIST.format(
        attributes=", ".join(f"r.{name}" for name in _ATTRIBUTES),
        password="r.rolpassword" if may else "NULL",
        options="m.inherit_option, m.set_option" if since_16 else "NULL, NULL",
        table="pg_authid" if may else "pg_roles",
    )
    cursor = session.execute(query, [SANDBOX_OWNER])
    assert cursor.description is not None
    columns = [column.name for column in cursor.description]
    return [_as_document(dict(zip(columns, row, strict=True))) for row in cursor.fetchall()]


def may_see_passwords(session: Session) -> bool:
    """May the account read what the server keeps of passwords?"""
    [(may,)] = session.execute(_MAY_SEE_PASSWORDS).fetchall()
    return bool(may)


def _as_document(row: Mapping[str, Any]) -> dict[str, Any]:
    attributes = sorted(word for name, word in _ATTRIBUTES.items() if row[name])
    member_of = sorted([list(each) for each in row["member_of"]], key=repr)
    return {
        "name": row["name"],
        "attributes": attributes,
        "connections": row["connections"],
        "valid_until": row["valid_until"],
        "password": row["password"],
        "comment": row["comment"],
        "settings": list(row["settings"]),
        "member_of": member_of,
    }


def existing(session: Session) -> set[str]:
    """The names of all roles there are."""
    return {name for (name,) in session.execute("SELECT rolname FROM pg_catalog.pg_roles")}


def create_statements(roles: Sequence[Mapping[str, Any]], there: set[str]) -> Iterator[str]:
    """SQL that makes those roles that are not `there`, then their memberships and settings."""
    missing = [role for role in roles if role["name"] not in there]
    for role in missing:
        yield _create(role)
        if role["comment"] is not None:
            yield f"COMMENT ON ROLE {quoted(role['name'])} IS {literal(role['comment'])}"
        for setting in role["settings"]:
            yield f"ALTER ROLE {quoted(role['name'])} {set_clause(setting)}"
    for role in missing:
        for group, admin, inherit, set_ in role["member_of"]:
            options = [f"ADMIN {_true(admin)}"]
            if inherit is not None:
                options += [f"INHERIT {_true(inherit)}", f"SET {_true(set_)}"]
                yield f"GRANT {quoted(group)} TO {quoted(role['name'])} WITH {', '.join(options)}"
            else:
                yield f"GRANT {quoted(group)} TO {quoted(role['name'])}" + (" WITH ADMIN OPTION" if admin else "")


def set_clause(setting: str) -> str:
    """``name=value``, as the catalogue keeps it, for ALTER ROLE or DATABASE. A list stays one (pg_dump's
    variable_is_guc_list_quote)."""
    name, _, value = setting.partition("=")
    lists = ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
    if name.lower() in lists or name.lower() in ("shared_preload_libraries", "unix_socket_directories"):
        shown = value or "''"
    else:
        shown = literal(value)
    return f"SET {'.'.join(quoted(part) for part in name.split('.'))} TO {shown}"


def _create(role: Mapping[str, Any]) -> str:
    words = [word if word in role["attributes"] else f"NO{word}" for word in _ATTRIBUTES.values()]
    words.append(f"CONNECTION LIMIT {role['connections']}")
    if role["password"] is not None:
        words.append(f"PASSWORD {literal(role['password'])}")
    if role["valid_until"] is not None:
        words.append(f"VALID UNTIL {literal(role['valid_until'])}")
    return f"CREATE ROLE {quoted(role['name'])} {' '.join(words)}"


def _true(value: bool) -> str:
    return "TRUE" if value else "FALSE"
