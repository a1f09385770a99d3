"""Large objects as records: first one line of JSON with number, owner, privileges and comment, then their bytes.

A record holds, after its header, number (u32) and part number (u32), both big-endian. Part 0 is the JSON, the others
are up to 1 MiB of the bytes each, in order. The record key is the first eight bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Any

from drtool.errors import SourceError
from drtool.sources.cutting import Record
from drtool.sources.postgres import records
from drtool.sources.postgres.names import literal, quoted

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

ABOUT_BYTES = 100_000
PIECE = 1024 * 1024
_head = Struct(">II")
_COUNT = "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata"
_LIST = """
SELECT m.oid, pg_get_userbyid(m.lomowner),
       coalesce((SELECT json_agg(json_build_array(coalesce(pg_get_userbyid(nullif(a.grantee, 0)), ''), a.privilege_type,
                 a.is_grantable) ORDER BY a.grantee::regrole::text, a.privilege_type)
                 FROM aclexplode(m.lomacl) a)::text, 'null'),
       obj_description(m.oid, 'pg_largeobject')
FROM pg_catalog.pg_largeobject_metadata m WHERE m.oid > %s ORDER BY m.oid LIMIT 1000
"""


def count(session: Session) -> int:
    """How many there are. Raises psycopg's errors, like all here."""
    [(found,)] = session.execute(_COUNT).fetchall()
    return int(found)


def each_record(session: Session) -> Iterator[Record]:
    """The records of all, by number."""
    last = 0
    while rows := session.execute(_LIST, [last]).fetchall():
        for oid, owner, grants, comment in rows:
            about = {"owner": owner, "grants": json.loads(grants), "comment": comment}
            yield _record(oid, 0, json.dumps(about, sort_keys=True, separators=(",", ":")).encode("ascii"))
            yield from _pieces(session, oid)
            last = oid


def _pieces(session: Session, oid: int) -> Iterator[Record]:
    part = 0
    while True:
        cursor = session.execute("SELECT lo_get(%s, %s, %s)", [oid, part * PIECE, PIECE], binary=True)
        [(piece,)] = cursor.fetchall()
        if not piece:
            return
        part += 1
        yield _record(oid, part, bytes(piece))
        if len(piece) < PIECE:
            return


def _record(oid: int, part: int, body: bytes) -> Record:
    row = _head.pack(oid, part) + body
    return row[:8], records.head(records.LARGE_OBJECT, len(row)) + row


def pieces(chunks: Iterable[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Number, part, and what the record holds."""
    for _, row in records.rows(iter(chunks)):
        if len(row) < _head.size:
            raise SourceError("a chunk holds a large object that is none")
        oid, part = _head.unpack_from(row)
        yield oid, part, bytes(row[_head.size :])


def write(session: Session, oid: int, part: int, body: bytes) -> None:
    """One record into a database; again, it changes nothing."""
    if part:
        session.execute("SELECT lo_put(%s, %s, %s)", [oid, (part - 1) * PIECE, body])
        return
    about: dict[str, Any] = json.loads(body)
    session.execute(
        "SELECT lo_create(%s::oid) WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata WHERE oid = %s)",
        [oid, oid],
    )
    for statement in statements(oid, about):
        session.execute(statement.encode())


def as_sql(oid: int, part: int, body: bytes) -> str:
    """One record as SQL, for a database that has no such object."""
    if part:
        return f"SELECT lo_put({oid}, {(part - 1) * PIECE}, '\\x{body.hex()}');\n"
    return f"SELECT lo_create({oid});\n" + "".join(f"{each};\n" for each in statements(oid, json.loads(body)))


def statements(oid: int, about: dict[str, Any]) -> Iterator[str]:
    """What makes a large object somebody's: owner, privileges, comment."""
    yield f"ALTER LARGE OBJECT {oid} OWNER TO {quoted(about['owner'])}"
    if about["grants"] is not None:
        yield f"REVOKE ALL ON LARGE OBJECT {oid} FROM PUBLIC, {quoted(about['owner'])}"
        for grantee, privilege, grantable in about["grants"]:
            to = quoted(grantee) if grantee else "PUBLIC"
            yield f"GRANT {privilege} ON LARGE OBJECT {oid} TO {to}" + (" WITH GRANT OPTION" if grantable else "")
    if about["comment"] is not None:
        yield f"COMMENT ON LARGE OBJECT {oid} IS {literal(about['comment'])}"
