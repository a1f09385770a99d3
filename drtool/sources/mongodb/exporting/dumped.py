"""The streams of an export as mongodump calls them: database, collection, type and metadata.

Users and roles: where those of ``admin`` or ``$external`` are among them, all go to ``admin.system.users`` and
``admin.system.roles``, as in a dump of a whole server, and mongorestore brings them back unasked. Else each database
has its own, ``$admin.system.users`` and so on, as with ``mongodump --dumpDbUsersAndRoles``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import bson

from drtool.errors import ExportError
from drtool.sources.exporting import ExportItem
from drtool.sources.mongodb.accounts import HOLDERS, SCHEMA
from drtool.sources.mongodb.definitions import INCIDENTAL_OPTIONS, Definition, Kind
from drtool.sources.mongodb.exporting.extended_json import canonical
from drtool.sources.mongodb.names import BUCKETS, EXTERNAL, split

#: The kind of a snapshot's overlay: raw oplog entries.
OVERLAY = "oplog"
ADMIN = "admin"
#: What the names of a single database's users, roles and their version begin with.
DATABASE_PREFIX = "$admin."
#: The form that users and roles are kept in, which mongorestore compares with the target's.
AUTH_VERSION = bson.encode({"_id": "authSchema", "currentVersion": SCHEMA})
_ACCOUNTS = {str(kind): holder for kind, holder in HOLDERS.items()}
#: Types of collections that mongodump tells apart.
_TYPES = {Kind.VIEW: "view", Kind.TIMESERIES: "timeseries"}


@dataclass(frozen=True, slots=True)
class Dumped:
    """A stream in mongodump's terms; ``item`` is None for what drtool adds (the version of users and roles).

    ``data`` names the collection that holds the records (a time series' are in its buckets). ``metadata`` is
    empty where the layout has none; ``validated`` says that the collection has a validator. Several streams may share
    ``database`` and ``data``.
    """

    item: ExportItem | None
    database: str
    collection: str
    type: str = ""
    metadata: str = ""
    validated: bool = False

    @property
    def data(self) -> str:
        """The collection that holds the records."""
        return (BUCKETS if self.type == "timeseries" else "") + self.collection

    @property
    def size(self) -> int:
        """Bytes of records."""
        return len(AUTH_VERSION) if self.item is None else self.item.bytes

    @property
    def is_account(self) -> bool:
        """Users, roles or their version?"""
        return self.item is None or self.item.stream.kind in _ACCOUNTS

    @property
    def is_overlay(self) -> bool:
        """The oplog?"""
        return not self.database


def dumped(items: Sequence[ExportItem]) -> list[Dumped]:
    """The streams in the order that an archive needs: accounts with their version first, the oplog last.

    Raises ``ExportError`` for a collection whose options Extended JSON cannot express.
    """
    accounts = [item for item in items if item.stream.kind in _ACCOUNTS]
    whole = any(split(item.stream.name)[0] in (ADMIN, EXTERNAL) for item in accounts)
    found = sorted((_account(item, whole) for item in accounts), key=lambda one: (one.database, one.collection))
    prefix = "" if whole else DATABASE_PREFIX
    result = [
        Dumped(None, database, f"{prefix}system.version") for database in dict.fromkeys(d.database for d in found)
    ]
    result += found
    result += [_collection(item) for item in items if item not in accounts and item.stream.kind != OVERLAY]
    result += [Dumped(item, "", "oplog") for item in items if item.stream.kind == OVERLAY]
    return result


def _account(item: ExportItem, whole: bool) -> Dumped:
    name = _ACCOUNTS[item.stream.kind]
    return Dumped(item, ADMIN, name) if whole else Dumped(item, split(item.stream.name)[0], DATABASE_PREFIX + name)


def _collection(item: ExportItem) -> Dumped:
    definition = Definition.decode(item.stream.definition)
    database, collection = split(definition.name)
    if not database or set(database) & set("/\\.\0") or not collection:
        raise ExportError(f"{definition.name!r} is no name that a dump could hold")
    kind = _TYPES.get(definition.kind, "collection")
    validated = "validator" in definition.options
    try:
        return Dumped(item, database, collection, kind, _metadata(definition, collection, kind), validated)
    except ExportError as error:
        raise ExportError(f"{definition.name}: {error.message}", hint="Leave it out with --only.") from error


def _metadata(definition: Definition, collection: str, kind: str) -> str:
    """What ``COLLECTION.metadata.json`` holds."""
    fields: dict[str, object] = {"options": _options(definition), "indexes": _indexes(definition)}
    if definition.uuid and kind == "collection":  # that of a time series is its buckets'
        fields["uuid"] = definition.uuid
    return canonical(bson.encode({**fields, "collectionName": collection, "type": kind}))


def _options(definition: Definition) -> Mapping[str, object]:
    """The options as they are, but for those that servers add and some refuse to be given."""
    if not any(name in definition.options for name in INCIDENTAL_OPTIONS):
        return definition.options
    return {name: value for name, value in definition.options.items() if name not in INCIDENTAL_OPTIONS}


def _indexes(definition: Definition) -> list[object]:
    """The specifications with that of ``_id`` first: mongorestore takes the first index over ``_id`` for it."""
    clustered = definition.options.get("clusteredIndex")
    if definition.kind is Kind.CLUSTERED and clustered is not None:
        return [{**clustered, "clustered": True}, *definition.indexes]
    return [*([definition.id_index] if definition.id_index is not None else []), *definition.indexes]
