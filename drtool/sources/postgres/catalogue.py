"""What a database holds, as its catalogue says at a snapshot: tables with their columns and keys, sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drtool.sources.postgres.types import Types

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

_USERS_OWN = (
    "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
    " AND n.nspname !~ '^pg_(toast_)?temp_' AND c.relpersistence <> 't'"
)
#: What an extension made comes back with it, but for the rows that it says are the user's (pg_extension_config_dump).
_RELATIONS = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relispopulated, c.relfilenode,
       greatest(c.reltuples, 0)::float8, pg_table_size(c.oid), coalesce(config.condition, '')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN (SELECT unnest(extconfig) AS oid, unnest(extcondition) AS condition FROM pg_catalog.pg_extension) config
       ON config.oid = c.oid
WHERE c.relkind IN ('r', 'm', 'S') AND {_USERS_OWN}
  AND (config.oid IS NOT NULL OR NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
ORDER BY n.nspname, c.relname
"""  # noqa: S608 - nothing in it comes from outside
_COLUMNS = """
SELECT attrelid, attnum, attname, atttypid, format_type(atttypid, atttypmod), attcollation
FROM pg_catalog.pg_attribute
WHERE attrelid = ANY(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attrelid, attnum
"""
#: Unique, whole and without null: the primary key, else the one with the fewest columns.
_KEYS = """
SELECT DISTINCT ON (i.indrelid) i.indrelid, (i.indkey::int2[])[0:i.indnkeyatts - 1]
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey::int2[]) AND NOT a.attnotnull)
ORDER BY i.indrelid, i.indisprimary DESC, i.indnkeyatts, c.relname
"""
_BYTEWISE = """
SELECT c.oid FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
WHERE n.nspname = 'pg_catalog' AND (c.collname IN ('C', 'POSIX', 'ucs_basic')
      OR c.collname = 'default' AND (SELECT datcollate FROM pg_catalog.pg_database WHERE datname = current_database()
                                     AND datlocprovider IN ('c', 'd')) IN ('C', 'POSIX'))
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that rows are copied with. ``oid`` is its type's, ``type`` as format_type says it, ``kind`` the name of
    its base type in pg_type; ``bytewise`` says that its own order is that of its bytes, or that it has no collation."""

    number: int
    name: str
    oid: int
    type: str
    kind: str
    plain: bool
    bytewise: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table (`kind` ``r``), a materialised view (``m``) or a sequence (``S``).

    ``columns`` begin with the ``key`` first ones, by which rows are ordered; without a key, rows are in the order that
    they lie in. ``condition``, from an extension, says which rows are the user's. ``filenode`` is another one once the
    table was truncated or rewritten.
    """

    oid: int
    schema: str
    name: str
    kind: str
    unlogged: bool
    populated: bool
    filenode: int
    rows: float
    bytes: int
    condition: str
    columns: tuple[Column, ...] = ()
    key: int = 0

    @property
    def plain(self) -> bool:
        """Is the binary form of its rows the same in whatever database they are?"""
        return all(column.plain for column in self.columns)


def list_relations(session: Session) -> list[Relation]:
    """All of them, by schema and name. Raises psycopg's errors."""
    rows = session.execute(_RELATIONS).fetchall()
    tables = [row[0] for row in rows if row[3] == "r"]
    columns, keys = _columns(session, tables), dict[int, Sequence[int]](session.execute(_KEYS, [tables]).fetchall())
    found = []
    for oid, schema, name, kind, persistence, populated, filenode, tuples, size, condition in rows:
        ordered, key = _key_first(columns.get(oid, ()), keys.get(oid, ()))
        found.append(
            Relation(
                oid, schema, name, kind, persistence == "u", populated, filenode, tuples, size, condition, ordered, key
            )
        )
    return found


def _columns(session: Session, tables: Sequence[int]) -> Mapping[int, Sequence[Column]]:
    rows = session.execute(_COLUMNS, [tables]).fetchall()
    types = Types.used(session, {row[3] for row in rows})
    bytewise = {0, *(oid for (oid,) in session.execute(_BYTEWISE_FOR[_has_providers(session)]))}
    found: dict[int, list[Column]] = {}
    for table, number, name, type_, shown, collation in rows:
        column = Column(number, name, type_, shown, types.base(type_), types.plain(type_), collation in bytewise)
        found.setdefault(table, []).append(column)
    return found


def _has_providers(session: Session) -> bool:
    return session.info.server_version >= 150000


_BYTEWISE_FOR = {True: _BYTEWISE, False: _BYTEWISE.replace("AND datlocprovider IN ('c', 'd')", "")}


def _key_first(columns: Sequence[Column], key: Sequence[int]) -> tuple[tuple[Column, ...], int]:
    """The columns with those of the key in front; no key where one of its columns is not copied."""
    by_number = {column.number: column for column in columns}
    if not key or any(number not in by_number for number in key):
        return tuple(columns), 0
    first = [by_number[number] for number in key]
    return (*first, *(column for column in columns if column.number not in key)), len(key)
