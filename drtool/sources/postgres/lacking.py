"""What the account of a source may not do that a backup or a restore does, and which grants give it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from drtool.sources.base import Lack
from drtool.sources.postgres import catalogue, names, roles
from drtool.sources.postgres.connection import connect, translated

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

_ATTRIBUTES = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user"
_BACKUP = """\
CREATE ROLE drtool_backup LOGIN BYPASSRLS;
GRANT pg_read_all_data TO drtool_backup;
-- set its password with: \\password drtool_backup
"""
_RESTORE = """\
CREATE ROLE drtool_restore LOGIN SUPERUSER;
-- set its password with: \\password drtool_restore
"""


def find_lacks(uri: str, database: str, selection: names.Selection) -> list[Lack]:
    """What of a database the account may not read, and what row-level security would hide from it."""
    session = connect(uri, database)
    try:
        with translated(uri, f"asking what the account may read in {database}"):
            session.execute("SET lock_timeout = '60s'")  # the sizes of tables wait for who holds one exclusively
            relations = [each for each in catalogue.list_relations(session) if each.kind in ("r", "S")]
            found = session.execute(
                "SELECT oid, has_table_privilege(oid, 'SELECT') AND has_schema_privilege(relnamespace, 'USAGE'),"
                " row_security_active(oid) FROM pg_catalog.pg_class WHERE oid = ANY(%s)",
                [[each.oid for each in relations]],
            ).fetchall()
            readable = {oid: may for oid, may, _ in found}
            active = {oid: hides for oid, _, hides in found}
    finally:
        session.close()
    # whatever is excluded: pg_dump locks every table that it describes, and reads every sequence
    lacking = [
        name
        for each in relations
        for name in [names.name(database, each.schema, each.name)]
        if (not readable[each.oid]) or (active[each.oid] and selection.takes(name))
    ]
    return [
        Lack(
            f"SELECT on {name} (and BYPASSRLS where it has row-level security)", f"{database} cannot be backed up", True
        )
        for name in lacking
    ]


def find_restore_lacks(uri: str) -> list[Lack]:
    """What a restore needs: owners and event triggers are a superuser's to give."""
    session = connect(uri)
    try:
        with translated(uri, "asking what the account may do"):
            [(is_super, creates, _)] = session.execute(_ATTRIBUTES).fetchall()
    finally:
        session.close()
    if is_super:
        return []
    lost = "objects of roles that the account is no member of cannot be given to them: the restore ends there"
    lacks = [Lack("SUPERUSER", lost)]
    if not creates:
        lacks.append(Lack("CREATEDB", "no database can be made", True))
    return lacks


def about_passwords(session: Session) -> list[str]:
    """A warning where roles are going to come back without their passwords."""
    if roles.may_see_passwords(session):
        return []
    return [
        "The passwords of roles are not in the backup: the account may not read them. Grant it SELECT on"
        " pg_catalog.pg_authid, or say `roles: none`."
    ]


def commands() -> Mapping[str, str]:
    """See ``Source.roles``."""
    return {"backup": _BACKUP, "restore": _RESTORE}
