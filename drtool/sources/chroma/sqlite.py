"""The SQLite database of an embedded Chroma, read only: what the engine does not tell, or must not be asked.

Opening the engine would bring the database of an older version up to date; looking does not.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from drtool.sources.chroma.address import Address
from drtool.sources.chroma.names import Namespace
from drtool.sources.chroma.translating import translated

DATABASE = "chroma.sqlite3"
#: How long SQLite waits for a writer to finish a transaction.
_BUSY_SECONDS = 60.0


@contextlib.contextmanager
def connected(directory: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write."""
    with translated(Address(directory=directory)):
        address = (directory / DATABASE).absolute().as_uri() + "?mode=ro"
        database = sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)
    with contextlib.closing(database):
        yield database


def namespaces(directory: Path) -> list[Namespace]:
    """All databases of all tenants. Nothing else lists the tenants."""
    with connected(directory) as database, translated(Address(directory=directory), "listing tenants"):
        rows = database.execute("SELECT tenant_id, name FROM databases").fetchall()
    return sorted(Namespace(str(tenant), str(name)) for tenant, name in rows)


def collections(directory: Path) -> list[tuple[Namespace, str, UUID]]:
    """Where each collection is, its name and its id."""
    query = (
        "SELECT databases.tenant_id, databases.name, collections.name, collections.id"
        " FROM collections JOIN databases ON collections.database_id = databases.id"
    )
    with connected(directory) as database, translated(Address(directory=directory), "listing collections"):
        rows = database.execute(query).fetchall()
    return [(Namespace(str(tenant), str(name)), str(own), UUID(id_)) for tenant, name, own, id_ in rows]


def metadata(directory: Path, collection: UUID) -> dict[str, str]:
    """Those values of a collection's metadata that are texts."""
    query = "SELECT key, str_value FROM collection_metadata WHERE collection_id = ? AND str_value IS NOT NULL"
    with connected(directory) as database, translated(Address(directory=directory), "reading metadata"):
        return {str(key): str(value) for key, value in database.execute(query, (str(collection),))}


def count(directory: Path, collection: UUID) -> int:
    """How many items a collection has, but for those that are still in the engine's log."""
    query = (
        "SELECT count(*) FROM embeddings WHERE segment_id ="
        " (SELECT id FROM segments WHERE collection = ? AND scope = 'METADATA')"
    )
    with connected(directory) as database, translated(Address(directory=directory), "counting"):
        return int(database.execute(query, (str(collection),)).fetchone()[0])


def sorted_ids(directory: Path, collection: UUID) -> Iterator[str]:
    """The ids of a collection's items in order, without holding them all; of a directory in which the engine has taken
    over its log, as counting makes it do."""
    query = (
        "SELECT embedding_id FROM embeddings WHERE segment_id ="
        " (SELECT id FROM segments WHERE collection = ? AND scope = 'METADATA') ORDER BY embedding_id"
    )
    with connected(directory) as database:
        with translated(Address(directory=directory), "listing ids"):
            rows = database.execute(query, (str(collection),))
        for row in rows:
            yield row[0]
