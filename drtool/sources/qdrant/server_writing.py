"""A server, written through qdrant-client. No server could be had to try it on: it follows the client's interface."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from drtool.errors import DrtoolError, IncompleteRestoreError
from drtool.sources.qdrant.addresses import Address
from drtool.sources.qdrant.client import connect, create_arguments, package, point_for_client, translated
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.qdrant.points import Point
from drtool.sources.qdrant.server import ServerReader
from drtool.sources.qdrant.stores import MARKER, Selection

#: While a collection is loaded no vector index is built: of an unindexed one none is thrown away again.
_NO_INDEXING = 0
#: What a server takes where nothing is said (``optimizers.indexing_threshold_kb`` of its configuration).
_USUAL_THRESHOLD = 10_000
_CUSTOM = "custom"


class ServerWriter:
    """See ``drtool.sources.qdrant.stores.Writer``. The marks are the payload of the only point of a collection."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Any = None
        self._lock = threading.Lock()
        self._shard_keys: dict[str, set[str | int]] = {}
        self.shown = address.shown

    def collections(self) -> Sequence[str]:
        """See ``Writer.collections``."""
        with self._doing("listing the collections"):
            found = [one.name for one in self._client.get_collections().collections]
        return sorted(name for name in found if name != MARKER)

    def count(self, name: str) -> int | None:
        """See ``Writer.count``."""
        with self._doing(f"counting the points of {name}"):
            return int(self._client.count(name, exact=True).count)

    def marks(self) -> Mapping[str, Sequence[str]]:
        """See ``Writer.marks``."""
        with self._doing("looking for marks of restores"):
            if not self._client.collection_exists(MARKER):
                return {}
            found = self._client.retrieve(MARKER, [1], with_payload=True)
        return {} if not found else {str(mark): list(names) for mark, names in (found[0].payload or {}).items()}

    def keep_marks(self, marks: Mapping[str, Sequence[str]]) -> None:
        """See ``Writer.keep_marks``."""
        models = package().models
        with self._doing("marking what the restore makes"):
            there = self._client.collection_exists(MARKER)
            if not marks:
                if there:
                    self._client.delete_collection(MARKER)
                return
            if not there:
                self._client.create_collection(MARKER, vectors_config={})
            payload = {mark: list(names) for mark, names in marks.items()}
            self._client.upsert(MARKER, [models.PointStruct(id=1, vector={}, payload=payload)], wait=True)

    def create(self, name: str, definition: Definition) -> None:
        """See ``Writer.create``. What limits requests (strict mode) holds from `finish` on."""
        models = package().models
        arguments = create_arguments(definition)
        arguments.pop("strict_mode_config", None)
        optimizers = arguments.get("optimizers_config") or models.OptimizersConfigDiff()
        arguments["optimizers_config"] = optimizers.model_copy(update={"indexing_threshold": _NO_INDEXING})
        with self._doing(f"creating {name}"):
            self._client.create_collection(name, **arguments)
        if definition.config.get("sharding_method") == _CUSTOM:
            self._shard_keys[name] = set()

    def upsert(self, name: str, points: Sequence[Point]) -> None:
        """See ``Writer.upsert``. Where shards have keys of the user's, each point goes to its own."""
        by_key: dict[str | int | None, list[Any]] = {}
        for point in points:
            by_key.setdefault(point.shard_key if name in self._shard_keys else None, []).append(point_for_client(point))
        try:
            for key, some in by_key.items():
                with self._doing(f"writing to {name}"):
                    self._need_shard(name, key)
                    self._client.upsert(name, some, wait=True, shard_key_selector=key)
        except DrtoolError as error:
            raise IncompleteRestoreError(
                f"{name}: of the points {points[0].id} to {points[-1].id} one could not be written: {error.message}",
                hint=error.hint,
            ) from error

    def finish(self, name: str, definition: Definition, progress: Callable[[str], None]) -> None:
        """See ``Writer.finish``. The server builds its vector indexes in the background, from here on."""
        models = package().models
        for field, schema in sorted(definition.indexes.items()):
            progress(f"{name}: building the index on {field}")
            with self._doing(f"building the index of {name} on {field}"):
                self._client.create_payload_index(name, field, _schema(models, schema), wait=True)
        threshold = definition.config.get("optimizers_config", {}).get("indexing_threshold", _USUAL_THRESHOLD)
        strict = definition.config.get("strict_mode_config")
        with self._doing(f"giving {name} its configuration"):
            self._client.update_collection(
                name,
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=threshold),
                **({"strict_mode_config": models.StrictModeConfig(**strict)} if strict else {}),
            )
        for alias in definition.aliases:
            self._alias(name, alias, progress)

    def drop(self, name: str) -> None:
        """See ``Writer.drop``."""
        with self._doing(f"removing {name}"):
            if self._client.collection_exists(name):
                self._client.delete_collection(name)

    def reader(self, names: Sequence[str]) -> ServerReader:
        """See ``Writer.reader``."""
        return ServerReader(self._address, Selection.of(names))

    def close(self) -> None:
        """See ``Writer.close``."""
        client, self._connection = self._connection, None
        if client is not None:
            client.close()

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._connection is None:
                self._connection = connect(self._address)
            return self._connection

    def _need_shard(self, name: str, key: str | int | None) -> None:
        known = self._shard_keys.get(name)
        if known is not None and key is not None and key not in known:
            self._client.create_shard_key(name, key)
            known.add(key)

    def _alias(self, name: str, alias: str, progress: Callable[[str], None]) -> None:
        models = package().models
        with self._doing(f"making the alias {alias}"):
            if any(one.alias_name == alias for one in self._client.get_aliases().aliases):
                progress(f"{name}: the alias {alias} belongs to another collection here, and is left to it")
                return
            made = models.CreateAlias(collection_name=name, alias_name=alias)
            self._client.update_collection_aliases([models.CreateAliasOperation(create_alias=made)])

    def _doing(self, doing: str) -> AbstractContextManager[None]:
        return translated(self._address.shown, doing)


def _schema(models: Any, schema: Any) -> Any:
    if isinstance(schema, str):
        return models.PayloadSchemaType(schema)
    class_ = getattr(models, f"{schema['type'].capitalize()}IndexParams")
    return class_(**schema)
