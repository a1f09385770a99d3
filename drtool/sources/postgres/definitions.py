"""What is kept of a stream beside its records, as JSON: a table's columns and key, a database's SQL, the roles."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drtool.sources.postgres import records
from drtool.sources.postgres.catalogue import Relation
from drtool.sources.postgres.dumping import entries

TABLE = "table"
VIEW = "materialized view"
DEFINITIONS = "definitions"
SEQUENCES = "sequences"
LARGE_OBJECTS = "large objects"
ROLES = "roles"
_TOLD = 5


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """How the rows of a table are read and written. ``columns`` are (name, type as format_type says it, base type),
    those of the key first; ``text`` says that rows are text; ``condition`` chooses the rows of an extension's table."""

    schema: str
    name: str
    columns: tuple[tuple[str, str, str], ...]
    key: int
    text: bool
    encoding: str
    condition: str = ""

    @classmethod
    def of(cls, relation: Relation, encoding: str) -> TableDefinition:
        """That of a table as the catalogue describes it."""
        columns = tuple((column.name, column.type, column.kind) for column in relation.columns)
        return cls(
            relation.schema, relation.name, columns, relation.key, not relation.plain, encoding, relation.condition
        )

    @property
    def kind(self) -> int:
        """The first byte of its records."""
        return self.key | (records.TEXT if self.text else 0)

    def encode(self) -> bytes:
        """As bytes, always the same ones."""
        return encode(
            {
                "kind": TABLE,
                "schema": self.schema,
                "name": self.name,
                "columns": [list(column) for column in self.columns],
                "key": self.key,
                "rows": "text" if self.text else "binary",
                "encoding": self.encoding,
                "condition": self.condition,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> TableDefinition:
        """From `encode`."""
        found = json.loads(data)
        columns = tuple((name, type_, kind) for name, type_, kind in found["columns"])
        text = found["rows"] == "text"
        return cls(found["schema"], found["name"], columns, found["key"], text, found["encoding"], found["condition"])


@dataclass(frozen=True, slots=True)
class DatabaseDefinition:
    """What makes a database anew: ``properties`` (encoding, locale, owner, …), ``extensions`` with their versions, the
    roles that it ``needs``, SQL that comes before the rows (``pre``) and after them (``post``), the names of the
    ``tables`` that have rows in the backup, in this database's streams. ``dumped_by`` is pg_dump's major version."""

    properties: Mapping[str, Any]
    extensions: Mapping[str, str]
    needs: tuple[str, ...]
    pre: str
    post: str
    tables: tuple[str, ...]
    dumped_by: int
    settings: tuple[tuple[str, str], ...] = field(default=())

    def encode(self) -> bytes:
        """As bytes, always the same ones."""
        return encode(
            {
                "kind": DEFINITIONS,
                "properties": dict(self.properties),
                "extensions": dict(self.extensions),
                "needs": list(self.needs),
                "pre": self.pre,
                "post": self.post,
                "tables": list(self.tables),
                "dumped_by": self.dumped_by,
                "settings": [list(each) for each in self.settings],
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> DatabaseDefinition:
        """From `encode`."""
        found = json.loads(data)
        return cls(
            found["properties"],
            found["extensions"],
            tuple(found["needs"]),
            found["pre"],
            found["post"],
            tuple(found["tables"]),
            found["dumped_by"],
            tuple((name, value) for name, value in found["settings"]),
        )


def encode(value: Mapping[str, Any]) -> bytes:
    """JSON as bytes, always the same ones; what is not UTF-8 in an SQL_ASCII database stays as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def decode(definition: bytes) -> dict[str, Any]:
    """From `encode`."""
    found: dict[str, Any] = json.loads(definition)
    return found


def describe(definition: bytes) -> Mapping[str, Any]:
    """For people: of SQL only how many entries of each type, of roles no password."""
    found: dict[str, Any] = json.loads(definition)
    if found["kind"] == DEFINITIONS:
        found["objects"] = _counts(found.pop("pre") + found.pop("post"))
    if found["kind"] == ROLES:
        found["roles"] = [{**role, "password": bool(role["password"])} for role in found["roles"]]
    return found


def _counts(sql: str) -> Mapping[str, int]:
    result: dict[str, int] = {}
    for entry in entries(sql):
        result[entry.type] = result.get(entry.type, 0) + 1
    return result


def differences(expected: bytes, actual: bytes) -> Sequence[str]:
    """In what a restored stream's definition differs from the snapshot's."""
    if expected == actual:
        return ()
    wanted, found = json.loads(expected), json.loads(actual)
    if wanted["kind"] != found["kind"]:
        return (f"it is {found['kind']} instead of {wanted['kind']}",)
    if wanted["kind"] == DEFINITIONS:
        return tuple(_of_databases(DatabaseDefinition.decode(expected), DatabaseDefinition.decode(actual)))[:_TOLD]
    if wanted["kind"] == ROLES:
        return tuple(_of_roles(wanted["roles"], found["roles"]))[:_TOLD]
    return tuple(f"its {key} differ" for key in sorted(wanted) if wanted[key] != found.get(key))[:_TOLD]


def _of_databases(wanted: DatabaseDefinition, found: DatabaseDefinition) -> Iterator[str]:
    for key in sorted(wanted.properties.keys() - {"server"}):
        if wanted.properties[key] != found.properties.get(key):
            yield f"the database's {key} is {found.properties.get(key)!r} instead of {wanted.properties[key]!r}"
    if wanted.settings != found.settings:
        yield "the database's settings differ"
    for name, version in wanted.extensions.items():
        if found.extensions.get(name) is None:
            yield f"the extension {name} is missing"
        elif found.extensions[name] != version:
            yield f"the extension {name} is of version {found.extensions[name]} instead of {version}"
    for before, after in ((wanted.pre, found.pre), (wanted.post, found.post)):
        yield from _of_sql(before, after, by_text=wanted.dumped_by == found.dumped_by)


def _of_sql(wanted: str, found: str, *, by_text: bool) -> Iterator[str]:
    """Entry by entry. Another version's pg_dump words things otherwise: then only what there is counts."""
    here, there = ({(e.type, e.schema, e.name): e for e in entries(sql)} for sql in (wanted, found))
    for key, entry in here.items():
        type_, schema, name = key
        shown = f"{type_} {name}" + (f" in {schema}" if schema != "-" else "")
        if key not in there:
            yield f"{shown} is missing"
        elif by_text and there[key].sql != entry.sql:
            yield f"{shown} differs"
    for type_, _, name in there.keys() - here.keys():
        if by_text:
            yield f"{type_} {name} is there, the snapshot has none"


def _of_roles(wanted: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    there = {role["name"]: role for role in found}
    for role in wanted:
        if role["name"] not in there:
            yield f"the role {role['name']} is missing"
        elif there[role["name"]] != role:
            yield f"the role {role['name']} differs"
