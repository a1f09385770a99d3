"""What streams are called (``database.schema.table``), and which of them a pattern means.

An identifier that holds a dot or a quotation mark, or begins with ``$``, is quoted as in SQL. What belongs to a whole
database is ``database.$definitions``, ``database.$sequences``, ``database.$largeobjects``; the server's roles are
``$roles``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from drtool.errors import UsageError

ROLES = "$roles"
DEFINITIONS = "$definitions"
SEQUENCES = "$sequences"
LARGE_OBJECTS = "$largeobjects"
#: PostgreSQL's limit on identifiers, in bytes.
MAX_NAME = 63
_PART = re.compile(r'"((?:[^"]|"")*)"|([^."]+)')


def quoted(identifier: str) -> str:
    """An identifier in SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text in SQL, where standard_conforming_strings is on."""
    return "'" + value.replace("'", "''") + "'"


def part(identifier: str) -> str:
    """An identifier in a stream's name."""
    plain = identifier and "." not in identifier and '"' not in identifier and not identifier.startswith("$")
    return identifier if plain else quoted(identifier)


def name(database: str, *parts: str) -> str:
    """The name of a table's stream."""
    return ".".join(map(part, (database, *parts)))


def special(database: str, kind: str) -> str:
    """The name of what belongs to a whole database."""
    return f"{part(database)}.{kind}"


def split(stream: str) -> tuple[str, str]:
    """The database and, as it is written, what follows; an empty database for what belongs to the server."""
    if stream.startswith("$"):
        return "", stream
    found = _PART.match(stream)
    if found is None:
        return "", stream
    database = found[1].replace('""', '"') if found[1] is not None else found[2]
    return database, stream[found.end() + 1 :]


def beside(stream: str, suffix: str) -> str:
    """``app.public.users`` → ``app_<suffix>.public.users``."""
    database, rest = split(stream)
    if not database:
        return f"{rest}_{suffix}"
    kept = database.encode()[: MAX_NAME - len(suffix.encode()) - 1].decode(errors="ignore")
    return f"{part(f'{kept}_{suffix}')}.{rest}"


def matches(stream: str, pattern: str) -> bool:
    """A database, ``database.schema``, ``database.schema.table`` or a glob. Whoever means something of a database means
    its definitions and its sequences, too: there is no table without them."""
    database, rest = split(stream)
    if not database:
        return fnmatchcase(rest, pattern)
    if rest in (DEFINITIONS, SEQUENCES) and not split(pattern)[1].startswith("$"):
        return fnmatchcase(part(database), part_of_database(pattern))
    if rest.startswith("$"):
        return fnmatchcase(stream, pattern) or fnmatchcase(part(database), pattern)
    schema = stream[: stream.rindex(".")] if "." in rest else stream
    return any(fnmatchcase(each, pattern) for each in (stream, part(database), schema))


def goes_along(stream: str, pattern: str) -> bool:
    """Is it a database's definitions or sequences, and the pattern about what is inside of the database?"""
    return split(stream)[1] in (DEFINITIONS, SEQUENCES) and bool(split(pattern)[1]) and not fnmatchcase(stream, pattern)


def part_of_database(pattern: str) -> str:
    """The part of a pattern that is about the database."""
    database, rest = split(pattern)
    return part(database) if database else rest


def rename(stream: str, old: str, new: str) -> str | None:
    """Another database for it: by the database's name or a glob, or by the stream's very name, whose schema and table
    stay."""
    database, rest = split(stream)
    if not database:
        return new if stream == old and new.startswith("$") else None
    if stream == old:
        if split(new)[1] != rest:
            raise UsageError(f"{old}={new}: schemas and tables keep their names; only the database can be another")
        return new
    if "." in old:
        return None
    head, star, tail = old.partition("*")
    if database == old:
        return f"{part(new)}.{rest}"
    if star and len(database) >= len(head) + len(tail) and database.startswith(head) and database.endswith(tail):
        return f"{part(new.replace('*', database[len(head) : len(database) - len(tail)]))}.{rest}"
    return None


@dataclass(frozen=True, slots=True)
class Selection:
    """What is backed up: `databases` (empty: all), less what `exclude` means; whether `roles`."""

    databases: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    roles: bool = True

    def of(self, existing: Sequence[str]) -> list[str]:
        """Those of the databases there are that are taken."""
        wanted = [database for database in existing if not self.databases or database in self.databases]
        return sorted(each for each in wanted if not any(fnmatchcase(part(each), p) for p in self.exclude))

    def takes(self, stream: str) -> bool:
        """Are the rows of this table taken?"""
        return not any(matches(stream, pattern) for pattern in self.exclude)


def left_out(
    streams: Mapping[str, str], only: Sequence[str], users: bool | None, *, elsewhere: bool
) -> Mapping[str, str]:
    """Whether a restore leaves the server's roles alone, and why (``Source.left_out``): nobody gets a login by
    surprise."""
    if ROLES not in streams:
        return {}
    if users is False:
        return {ROLES: "--no-users"}
    if users or ROLES in only or elsewhere:
        return {}
    return {ROLES: "no role is created on the server that has its own; --users brings back those that are missing"}
