"""Chroma's client, as far as drtool needs it: one connection for all tenants and databases.

It speaks to the client's server interface (``chromadb.api.ServerAPI``), not to its collections: those load a
collection's embedding function, which may want keys and models that a backup host does not have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from drtool.errors import InstantMovedError, MissingToolError, SourceError
from drtool.sources.chroma.address import Address
from drtool.sources.chroma.names import Namespace
from drtool.sources.chroma.translating import translated
from drtool.sources.extras import require

#: How long a server may take for one answer, in seconds: adding a batch builds its part of the index.
_ANSWER_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Found:
    """A collection as Chroma lists it. ``schema`` and ``configuration`` are JSON values, ``metadata`` its own."""

    place: Namespace
    name: str
    id: UUID
    schema: Mapping[str, Any]
    configuration: Mapping[str, Any]
    metadata: Mapping[str, Any] | None
    dimension: int | None


class _Verbatim:
    """A schema as it was read. The client's own class would make its embedding functions."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema

    def serialize_to_json(self) -> Mapping[str, Any]:
        """What the client asks a schema for."""
        return self._schema


class Engine:
    """An open Chroma. Methods may be called from several threads; they raise as `translated` does."""

    def __init__(self, address: Address, api: Any) -> None:
        self.address = address
        self._api = api

    def version(self) -> str:
        """What the server says: the version of its interface."""
        with translated(self.address):
            return str(self._api.get_version())

    def databases(self, tenant: str) -> list[str]:
        """The databases of a tenant."""
        with translated(self.address, f"listing the databases of {tenant}"):
            return sorted(one["name"] for one in self._api.list_databases(tenant=tenant))

    def collections(self, place: Namespace) -> list[Found]:
        """The collections of a database, by name. All at once: pages would shift while others are deleted."""
        with translated(self.address, f"listing the collections of {place}"):
            count = self._api.count_collections(place.tenant, place.database)
            found = [_found(place, one) for one in self._api.list_collections(None, None, place.tenant, place.database)]
        if len(found) < count:
            raise InstantMovedError(f"{self.address.shown} lists {len(found)} of the {count} collections of {place}")
        return sorted(found, key=lambda one: one.name)

    def count(self, one: Found) -> int:
        """How many items."""
        with translated(self.address, f"counting {one.name}", at_instant=True):
            return int(self._api._count(one.id, one.place.tenant, one.place.database))

    def ids(self, one: Found) -> list[str]:
        """All ids, in the engine's order. Never page by offset: that loses rows while others are deleted."""
        return list(self.get(one, None, [])["ids"])

    def get(self, one: Found, ids: Sequence[str] | None, include: Sequence[str]) -> Mapping[str, Any]:
        """Lists by name, of those items that are there, in the engine's order."""
        with translated(self.address, f"reading {one.name}", at_instant=True):
            found: Mapping[str, Any] = self._api._get(
                collection_id=one.id,
                ids=None if ids is None else list(ids),
                include=list(include),
                tenant=one.place.tenant,
                database=one.place.database,
            )
            return found

    def nearest(self, one: Found, vectors: Sequence[Any], count: int) -> Sequence[Sequence[str]]:
        """The ids that the collection's index finds nearest to each of the vectors."""
        with translated(self.address, f"searching {one.name}", at_instant=True):
            found: Sequence[Sequence[str]] = self._api._query(
                collection_id=one.id,
                query_embeddings=list(vectors),
                n_results=count,
                include=["distances"],
                tenant=one.place.tenant,
                database=one.place.database,
            )["ids"]
            return found

    def create(
        self, place: Namespace, name: str, schema: Mapping[str, Any], metadata: Mapping[str, Any] | None
    ) -> Found:
        """A new collection."""
        with translated(self.address, f"creating {name} in {place}"):
            return _found(
                place,
                self._api.create_collection(
                    name=name,
                    schema=_Verbatim(schema) if schema else None,
                    metadata=None if metadata is None else dict(metadata),
                    tenant=place.tenant,
                    database=place.database,
                ),
            )

    def add(self, one: Found, columns: Mapping[str, Any]) -> None:
        """Add items: ``ids``, ``embeddings``, ``documents``, ``metadatas``, ``uris``. Existing ids stay as they are."""
        with translated(self.address, f"writing {one.name}"):
            self._api._add(collection_id=one.id, tenant=one.place.tenant, database=one.place.database, **columns)

    def rename(self, one: Found, name: str) -> None:
        """Give a collection another name."""
        with translated(self.address, f"renaming {one.name} to {name}"):
            self._api._modify(one.id, new_name=name, tenant=one.place.tenant, database=one.place.database)

    def delete(self, one: Found) -> None:
        """Delete a collection."""
        with translated(self.address, f"deleting {one.name}"):
            self._api.delete_collection(one.name, one.place.tenant, one.place.database)

    def make(self, place: Namespace) -> None:
        """Make a tenant and a database, where they are not there."""
        with translated(self.address, f"making {place}"):
            if not self._is(lambda: self._api.get_tenant(place.tenant)):
                self._api.create_tenant(place.tenant)
            if not self._is(lambda: self._api.get_database(place.database, place.tenant)):
                self._api.create_database(place.database, place.tenant)

    def _is(self, get: Callable[[], object]) -> bool:
        try:
            get()
        except require("chromadb.errors", "chroma").NotFoundError:
            return False
        return True

    def most_items(self) -> int:
        """How many items `add` takes at once."""
        with translated(self.address):
            return int(self._api.get_max_batch_size())


@contextlib.contextmanager
def opened(address: Address) -> Iterator[Engine]:
    """An engine at an address. A directory is opened in this process: by nobody else at the same time."""
    config, api = require("chromadb.config", "chroma"), require("chromadb.api", "chroma")
    system = config.System(config.Settings(anonymized_telemetry=False, **_settings(address)))
    with translated(address):
        server = system.instance(api.ServerAPI)
        system.start()
    try:
        engine = Engine(address, server)
        if address.url is not None:
            server._session.timeout = _ANSWER_SECONDS
            _require_known(address, engine.version())
        yield engine
    finally:
        system.stop()
        if address.url is not None:
            server._session.close()


def client_version() -> str:
    """The version of chromadb that is installed."""
    return str(require("chromadb", "chroma").__version__)


def major(version: str) -> int:
    """1 of ``1.5.9``; 0 for what is no version."""
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else 0


def _settings(address: Address) -> dict[str, Any]:
    if address.url is None:
        return {
            "chroma_api_impl": "chromadb.api.rust.RustBindingsAPI",
            "is_persistent": True,
            "persist_directory": str(address.directory),
        }
    return {
        "chroma_api_impl": "chromadb.api.fastapi.FastAPI",
        "chroma_server_host": address.shown,
        "chroma_server_http_port": address.port,
        "chroma_server_ssl_enabled": address.url.scheme == "https",
        "chroma_server_headers": dict(address.headers),
    }


def _require_known(address: Address, version: str) -> None:
    client = client_version()
    if major(version) > major(client):
        raise MissingToolError(
            f"{address.shown} is Chroma {version}, and the client here is {client}: too old for it",
            hint="Upgrade the client: pip install --upgrade 'drtool[chroma]'",
        )


def _found(place: Namespace, model: Any) -> Found:
    if not isinstance(model.serialized_schema, Mapping | None) or not isinstance(model.configuration_json, Mapping):
        raise SourceError(f"the definition of {model.name} is of a form that is not known")
    return Found(
        place=place,
        name=model.name,
        id=model.id if isinstance(model.id, UUID) else UUID(str(model.id)),
        schema=model.serialized_schema or {},
        configuration=model.configuration_json,
        metadata=model.metadata or None,
        dimension=model.dimension,
    )
