"""Definitions: what a collection or view is besides its records, as BSON bytes.

``{name, kind, uuid, options, idIndex, indexes, searchIndexes}``: `options` and the index specifications are the
server's own documents, byte for byte (without the field ``ns`` of old servers); indexes are sorted by name; `idIndex`
and `searchIndexes` are missing where there is none. The options of users and roles are those of ``accounts``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import bson
from bson import json_util
from bson.raw_bson import RawBSONDocument

from drtool.sources.mongodb.connection import DECODED, RAW, Document
from drtool.sources.mongodb.names import split

#: Options that name the server's doing rather than the operator's; a restored collection may lack or have them.
INCIDENTAL_OPTIONS = ("autoIndexId", "recordIdsReplicated", "temp", "flags", "uuid")
_INCIDENTAL_INDEX_FIELDS = ("v", "ns", "background", "textIndexVersion", "2dsphereIndexVersion", "buildUUID")


class Kind(StrEnum):
    """Kinds of streams."""

    COLLECTION = "collection"
    CLUSTERED = "clustered"
    TIMESERIES = "timeseries"
    CAPPED = "capped"
    VIEW = "view"
    SYSTEM_JS = "system.js"
    USERS = "users"
    ROLES = "roles"
    OPLOG = "oplog"

    @property
    def is_of_accounts(self) -> bool:
        """Users or roles (``accounts``)?"""
        return self in (Kind.USERS, Kind.ROLES)


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition, taken apart. ``id_index`` and ``indexes`` are index specifications; ``uuid`` is hex, empty for a
    view."""

    name: str
    kind: Kind
    uuid: str
    options: RawBSONDocument
    id_index: RawBSONDocument | None
    indexes: tuple[RawBSONDocument, ...]
    search_indexes: tuple[RawBSONDocument, ...] = ()

    def encode(self) -> bytes:
        """As bytes; equal definitions give equal bytes."""
        document: Document = {"name": self.name, "kind": str(self.kind), "uuid": self.uuid, "options": self.options}
        if self.id_index is not None:
            document["idIndex"] = self.id_index
        document["indexes"] = sorted(self.indexes, key=lambda spec: str(spec["name"]))
        if self.search_indexes:
            document["searchIndexes"] = self.search_indexes
        return bson.encode(document)

    @classmethod
    def decode(cls, data: bytes) -> Definition:
        """The inverse of `encode`."""
        found = bson.decode(data, RAW)
        return cls(
            name=found["name"],
            kind=Kind(found["kind"]),
            uuid=found["uuid"],
            options=found["options"],
            id_index=found.get("idIndex"),
            indexes=tuple(found["indexes"]),
            search_indexes=tuple(found.get("searchIndexes", ())),
        )

    @property
    def keyed(self) -> bool:
        """Are its records in ``_id`` order? Capped collections, and those without an ``_id`` index, are in natural
        order."""
        if self.kind in (Kind.CLUSTERED, Kind.TIMESERIES):
            return True
        return self.kind is not Kind.CAPPED and self.id_index is not None

    @property
    def has_collation(self) -> bool:
        """Does the order of ``_id`` follow a language's rules rather than the bytes?"""
        collations = [options.get("collation") for options in (self.options, self.id_index) if options]
        return any(isinstance(each, RawBSONDocument) and each.get("locale") != "simple" for each in collations)

    def renamed(self, names: Mapping[str, str]) -> Definition:
        """The same under the names that `names` gives to namespaces, in views' definitions too."""
        name = names.get(self.name, self.name)
        if self.kind is not Kind.VIEW:
            return replace(self, name=name)
        database = split(self.name)[0]
        inside = {
            split(old)[1]: split(new)[1]
            for old, new in names.items()
            if split(old)[0] == database and split(old)[1] != split(new)[1]
        }
        if not inside:
            return replace(self, name=name)
        options = decoded(self.options)
        options["viewOn"] = inside.get(options["viewOn"], options["viewOn"])
        options["pipeline"] = _rename_sources(options.get("pipeline", []), inside)
        return replace(self, name=name, options=RawBSONDocument(bson.encode(options), RAW))


def decoded(document: RawBSONDocument) -> Document:
    """A raw document as a dictionary."""
    return bson.decode(document.raw, DECODED)


def view_sources(definition: Definition) -> set[str]:
    """The collections and views of the same database that a view reads."""
    options = decoded(definition.options)
    found = {str(options["viewOn"])}
    _collect_sources(options.get("pipeline", []), found)
    return found


_FROM_STAGES = ("$lookup", "$graphLookup")


def _rename_sources(value: Any, names: Mapping[str, str]) -> Any:
    """A pipeline (or part of one) with the collections that its stages read renamed."""
    if isinstance(value, list):
        return [_rename_sources(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _rename_sources(item, names) for key, item in value.items()}
    for stage in _FROM_STAGES:
        if isinstance(result.get(stage), dict) and result[stage].get("from") in names:
            result[stage]["from"] = names[result[stage]["from"]]
    union = result.get("$unionWith")
    if isinstance(union, str):
        result["$unionWith"] = names.get(union, union)
    elif isinstance(union, dict) and union.get("coll") in names:
        union["coll"] = names[union["coll"]]
    return result


def _collect_sources(value: Any, found: set[str]) -> None:
    if isinstance(value, list):
        for item in value:
            _collect_sources(item, found)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in _FROM_STAGES and isinstance(item, dict) and isinstance(item.get("from"), str):
                found.add(item["from"])
            elif key == "$unionWith":
                source = item.get("coll") if isinstance(item, dict) else item
                if isinstance(source, str):
                    found.add(source)
            _collect_sources(item, found)


def describe(data: bytes) -> Mapping[str, Any]:
    """A definition as JSON values (MongoDB's extended JSON where JSON has no such type)."""
    definition = Definition.decode(data)
    options = decoded(definition.options)
    if definition.kind.is_of_accounts:
        options["members"] = sorted(options["members"])  # without their digests
    return {
        "name": definition.name,
        "kind": str(definition.kind),
        "uuid": definition.uuid,
        "options": _as_json(options),
        "indexes": [_as_json(decoded(spec)) for spec in definition.indexes],
        "search_indexes": [_as_json(decoded(spec)) for spec in definition.search_indexes],
    }


def _as_json(document: Document) -> Any:
    return json.loads(json_util.dumps(document))


def differences(expected: bytes, actual: bytes) -> Sequence[str]:
    """In what two definitions differ, as sentences, apart from what legitimately differs after a restore.

    That is the UUID, the names' database, format versions of indexes, the collation library's version, and search
    indexes, which few servers have. Of users and roles the records say everything.
    """
    wanted, found = Definition.decode(expected), Definition.decode(actual)
    if wanted.kind is not found.kind:
        return [f"{wanted.name}: is a {found.kind}, was a {wanted.kind}"]
    if wanted.kind.is_of_accounts:
        return []
    sentences = _compare("option", wanted.name, _options(wanted), _options(found))
    return sentences + _compare("index", wanted.name, _indexes(wanted), _indexes(found))


def _compare(what: str, name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    sentences = []
    for key in sorted(wanted.keys() | found.keys()):
        if key not in found:
            sentences.append(f"{name}: {what} {key} is missing")
        elif key not in wanted:
            sentences.append(f"{name}: {what} {key} was not there")
        elif bson.encode({"": wanted[key]}) != bson.encode({"": found[key]}):
            before, after = (json_util.dumps(side[key]) for side in (wanted, found))
            sentences.append(f"{name}: {what} {key} differs: was {before}, is {after}")
    return sentences


def _options(definition: Definition) -> Mapping[str, Any]:
    options = decoded(definition.options)
    for name in INCIDENTAL_OPTIONS:
        options.pop(name, None)
    if definition.id_index is not None:
        options["idIndex"] = decoded(definition.id_index)
        _drop_incidental(options["idIndex"])
    clustered = options.get("clusteredIndex")
    if isinstance(clustered, dict):
        clustered.pop("v", None)
    _drop_collation_version(options)
    return options


def _indexes(definition: Definition) -> Mapping[str, Any]:
    specs = [decoded(spec) for spec in definition.indexes]
    for spec in specs:
        _drop_incidental(spec)
    # the order of a specification's fields means nothing; that of the fields of its key does, and stays
    return {spec["name"]: dict(sorted(spec.items())) for spec in specs}


def _drop_incidental(spec: Document) -> None:
    for name in _INCIDENTAL_INDEX_FIELDS:
        spec.pop(name, None)
    _drop_collation_version(spec)


def _drop_collation_version(document: Document) -> None:
    collation = document.get("collation")
    if isinstance(collation, dict):
        collation.pop("version", None)
