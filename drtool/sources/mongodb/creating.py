"""Making collections as they were, before their records come: with all options, without indexes and without
expiry."""

from __future__ import annotations

from collections.abc import Iterable

from pymongo import WriteConcern
from pymongo.collection import Collection

from drtool.sources.mongodb.connection import Client, Document
from drtool.sources.mongodb.definitions import INCIDENTAL_OPTIONS, Definition, Kind, decoded
from drtool.sources.mongodb.names import MARKER_COLLECTION
from drtool.sources.mongodb.planning import Placed

_LASTING = WriteConcern("majority", j=True)


def leave_marker(client: Client, databases: Iterable[str], marker: str) -> None:
    """A document that says whose work stands in these databases. Raises pymongo's errors."""
    for database in databases:
        _markers(client, database).replace_one({"_id": marker}, {"_id": marker}, upsert=True)


def remove_marker(client: Client, databases: Iterable[str], marker: str) -> None:
    """The marker, and its collection when no other is left. All that was written before is durable then."""
    for database in databases:
        markers = _markers(client, database)
        markers.delete_one({"_id": marker})
        if markers.find_one({}) is None:
            markers.drop()


def _markers(client: Client, database: str) -> Collection[Document]:
    """What is written there outlasts the server's death, and with it what was written before."""
    return client[database].get_collection(MARKER_COLLECTION, write_concern=_LASTING)


def has_marker(client: Client, database: str, marker: str) -> bool:
    """Did this restore work here before?"""
    return client[database][MARKER_COLLECTION].find_one({"_id": marker}) is not None


def note_made(client: Client, database: str, marker: str, collection: str) -> None:
    """Write down beside the marker that a replay is about to make this, which the plan does not name."""
    client[database][MARKER_COLLECTION].update_one({"_id": marker}, {"$addToSet": {"made": collection}}, upsert=True)


def drop_made(client: Client, database: str, marker: str) -> None:
    """Drop what `note_made` wrote down."""
    found = client[database][MARKER_COLLECTION].find_one({"_id": marker})
    for name in (found or {}).get("made", ()):
        remove(client, database, name)


def remove(client: Client, database: str, collection: str) -> None:
    """Drop it; ``system.js``, which cannot be dropped, is emptied."""
    if collection == "system.js":
        client[database][collection].delete_many({})
    else:
        client[database].drop_collection(collection)


def create(client: Client, placed: Placed) -> None:
    """Make the collection or view in place of what bears its name. Raises pymongo's errors."""
    database = client[placed.database]
    if placed.definition.kind is Kind.SYSTEM_JS and placed.collection in database.list_collection_names():
        database[placed.collection].delete_many({})  # it cannot be dropped
        return
    database.drop_collection(placed.collection)
    database.command({"create": placed.collection, **_create_options(placed.definition)})


def _create_options(definition: Definition) -> Document:
    options = decoded(definition.options)
    for name in (*INCIDENTAL_OPTIONS, "expireAfterSeconds"):
        options.pop(name, None)
    # only through the index of _id can its collation be given; a clustered collection has none
    if definition.id_index is not None and definition.kind is not Kind.CLUSTERED:
        options["idIndex"] = decoded(definition.id_index)
    return options
