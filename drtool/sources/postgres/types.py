"""Which types have a binary form that means the same in every database.

Arrays, composites and ``reg*`` hold numbers of types and objects, which differ from one database to the next unless
they are PostgreSQL's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

#: Numbers from here on are given to what users make.
FIRST_OF_USERS = 16384
_QUERY = """
SELECT t.oid, t.typname, t.typtype, t.typcategory = 'A' AND t.typlen = -1 AND t.typelem <> 0, t.typelem, t.typbasetype,
       coalesce(r.rngsubtype, 0), t.typsend <> 0 AND t.typreceive <> 0
FROM pg_catalog.pg_type t
LEFT JOIN pg_catalog.pg_range r ON t.oid IN (r.rngtypid{multirange})
WHERE t.oid = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class _Type:
    name: str
    kind: str
    inner: int
    is_array: bool
    has_binary: bool


@dataclass(frozen=True, slots=True)
class Types:
    """The types of some columns, and those that they are made of."""

    known: Mapping[int, _Type]

    @classmethod
    def used(cls, session: Session, types: Iterable[int]) -> Types:
        """These types of a database. Raises psycopg's errors."""
        query = _QUERY.format(multirange=", r.rngmultitypid" if session.info.server_version >= 140000 else "")
        known: dict[int, _Type] = {}
        wanted = set(types)
        while wanted:
            for oid, name, kind, is_array, element, base, subtype, has_binary in session.execute(query, [list(wanted)]):
                inner = element if is_array else base or subtype
                known[oid] = _Type(name, kind, inner, is_array, has_binary)
            wanted = {each.inner for each in known.values() if each.inner} - known.keys()
        return cls(known)

    def base(self, type_: int) -> str:
        """The name in pg_type of a type, or of what a domain is over."""
        found = self.known[type_]
        return self.base(found.inner) if found.kind == "d" else found.name

    def plain(self, type_: int) -> bool:
        """Does its binary form mean the same everywhere?"""
        found = self.known[type_]
        if found.kind in ("c", "p") or found.name.startswith("reg") or not found.has_binary:
            return False
        if found.is_array and found.inner >= FIRST_OF_USERS:
            return False
        return not found.inner or self.plain(found.inner)
