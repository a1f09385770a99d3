"""The catalogue: what collections and views the selected databases hold, with their definitions.

The catalogue cannot be read at an instant; ``freezing`` lists it before and after choosing one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import bson
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from drtool.errors import SourceError
from drtool.sources.mongodb.connection import RAW, Client, Document
from drtool.sources.mongodb.definitions import Definition, Kind
from drtool.sources.mongodb.names import BUCKETS
from drtool.sources.mongodb.search import SearchIndexes

_NAMESPACE_NOT_FOUND = 26
_NOT_ON_VIEW = 166


@dataclass(frozen=True, slots=True)
class Entry:
    """A collection or view, or the users or roles of a database. ``records_in`` is the collection of ``database`` that
    holds its records (a time series' are in its bucket collection), empty for a view; ``uuid`` is that collection's,
    None where it has none of its own."""

    database: str
    definition: Definition
    records_in: str
    uuid: bytes | None

    @property
    def name(self) -> str:
        """``db.collection``."""
        return self.definition.name


class CatalogueChangedError(Exception):
    """The catalogue changed while it was listed."""


def list_catalogue(client: Client, databases: Iterable[str], takes: Callable[[str], bool]) -> list[Entry]:
    """What there is of `databases` that `takes` accepts, by name.

    Raises ``CatalogueChangedError``, ``SourceError`` for what this version cannot read, and pymongo's errors.
    """
    search = SearchIndexes(client)
    entries = [entry for database in databases for entry in _of_database(client, search, database, takes)]
    return sorted(entries, key=lambda entry: entry.name)


def database_names(client: Client) -> list[str]:
    """All databases that the user may see."""
    reply = client.admin.command({"listDatabases": 1, "nameOnly": True, "authorizedDatabases": True})
    return [found["name"] for found in reply["databases"]]


def _of_database(client: Client, search: SearchIndexes, database: str, takes: Callable[[str], bool]) -> Iterator[Entry]:
    cursor = cast("Iterable[RawBSONDocument]", client[database].cursor_command("listCollections", codec_options=RAW))
    listed = {found["name"]: found for found in cursor}
    for name, found in listed.items():
        if takes(f"{database}.{name}"):
            buckets = listed.get(BUCKETS + name) if found["type"] == "timeseries" else found
            if buckets is None:
                raise SourceError(f"{database}.{name}: a time series whose buckets cannot be listed")
            yield _entry(client, search, database, found, buckets)


def _entry(
    client: Client, search: SearchIndexes, database: str, found: RawBSONDocument, holder: RawBSONDocument
) -> Entry:
    """The entry of `found`, whose records lie in `holder` (usually the same)."""
    kind = _kind(found)
    uuid = None if kind is Kind.VIEW else _uuid(holder)
    definition = Definition(
        name=f"{database}.{found['name']}",
        kind=kind,
        uuid="" if uuid is None else uuid.hex(),
        options=found["options"],
        id_index=_without_namespace(found["idIndex"]) if "idIndex" in found else None,
        indexes=() if kind is Kind.VIEW else _indexes(client, database, found["name"]),
        search_indexes=search.of(database, found["name"]) if kind is Kind.COLLECTION else (),
    )
    return Entry(database, definition, "" if kind is Kind.VIEW else holder["name"], uuid)


def _kind(found: RawBSONDocument) -> Kind:
    if found["type"] != "collection":
        return Kind(found["type"])
    if found["name"] == "system.js":
        return Kind.SYSTEM_JS
    if found["options"].get("capped"):
        return Kind.CAPPED
    return Kind.CLUSTERED if found["options"].get("clusteredIndex") else Kind.COLLECTION


def _uuid(found: RawBSONDocument) -> bytes | None:
    uuid = found["info"].get("uuid")
    return bytes(uuid) if isinstance(uuid, Binary) else None


def _indexes(client: Client, database: str, collection: str) -> tuple[RawBSONDocument, ...]:
    # An index that is still being built may yet fail: its records may violate it.
    command: Document = {"listIndexes": collection, "includeBuildUUIDs": True, "cursor": {"batchSize": 1_000_000}}
    try:
        reply = client[database].command(command, codec_options=RAW)
    except OperationFailure as error:
        if error.code in (_NAMESPACE_NOT_FOUND, _NOT_ON_VIEW):
            raise CatalogueChangedError(f"{database}.{collection}") from error
        raise
    specs: Sequence[RawBSONDocument] = reply["cursor"]["firstBatch"]
    return tuple(_without_namespace(spec) for spec in specs if "buildUUID" not in spec and not _is_of_id(spec))


def _is_of_id(spec: RawBSONDocument) -> bool:
    """The index of ``_id``, a clustered collection's too (whatever its name): it comes with the collection."""
    return bool(spec.get("clustered")) or spec["name"] == "_id_"


def _without_namespace(spec: RawBSONDocument) -> RawBSONDocument:
    """An index specification without the field that old servers keep the collection's name in."""
    if "ns" not in spec:
        return spec
    return RawBSONDocument(bson.encode({key: value for key, value in spec.items() if key != "ns"}), RAW)


@dataclass(frozen=True, slots=True)
class Size:
    """The server's own count of a collection's records and of their bytes; not to be relied on. ``cached`` is how many
    bytes its cache holds, None where it has none, or does not tell."""

    records: int = 0
    bytes: int = 0
    cached: int | None = None


def estimate(client: Client, entry: Entry) -> Size:
    """How much a stream holds, about. Raises pymongo's errors."""
    if not entry.records_in or entry.definition.kind.is_of_accounts:
        return Size()
    stats = client[entry.database].command({"collStats": entry.records_in})
    # Of buckets the server counts what they hold, and says elsewhere how many there are.
    records = stats.get("count", stats.get("timeseries", {}).get("bucketCount", 0))
    cached = stats.get("wiredTiger", {}).get("cache", {}).get("bytes currently in the cache")
    return Size(int(records), int(stats.get("size", 0)), None if cached is None else int(cached))
