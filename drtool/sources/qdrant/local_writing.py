"""qdrant-client's local mode, written: through the client, which alone knows its files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drtool.errors import DrtoolError, IncompleteRestoreError, SourceError
from drtool.sources.qdrant.addresses import Address, Kind
from drtool.sources.qdrant.client import create_arguments, package, point_for_client, translated
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.qdrant.local import COLLECTIONS, LocalReader, copy_local, find_collections
from drtool.sources.qdrant.marks import MarkFile
from drtool.sources.qdrant.occupied import not_ours, strangers
from drtool.sources.qdrant.points import Point
from drtool.sources.qdrant.stores import Selection


class LocalWriter:
    """See ``drtool.sources.qdrant.stores.Writer``. Local mode holds all points in memory, of a restore too."""

    def __init__(self, address: Address) -> None:
        self._directory = address.directory
        self._marks = MarkFile(self._directory)
        self._client: Any = None
        self._lock = threading.Lock()
        self.shown = address.shown

    def collections(self) -> Sequence[str]:
        """See ``Writer.collections``."""
        return sorted({*self._known(), *strangers(self._directory / COLLECTIONS)})

    def count(self, name: str) -> int | None:
        """See ``Writer.count``. ``TargetNotEmptyError`` where what has the name is no collection."""
        if name not in self._known():
            raise not_ours(self._directory / COLLECTIONS / name, "a collection of local mode")
        with translated(self.shown, f"counting the points of {name}"), self._lock:
            return int(self._connected().count(name).count)

    def marks(self) -> Mapping[str, Sequence[str]]:
        """See ``Writer.marks``."""
        return self._marks.read()

    def keep_marks(self, marks: Mapping[str, Sequence[str]]) -> None:
        """See ``Writer.keep_marks``."""
        self._marks.write(marks)

    def create(self, name: str, definition: Definition) -> None:
        """See ``Writer.create``."""
        with translated(self.shown, f"creating {name}"), self._lock:
            self._connected().create_collection(name, **create_arguments(definition))

    def upsert(self, name: str, points: Sequence[Point]) -> None:
        """See ``Writer.upsert``."""
        try:
            with translated(self.shown, f"writing to {name}"), self._lock:
                self._connected().upsert(name, [point_for_client(point) for point in points], wait=True)
        except DrtoolError as error:
            raise IncompleteRestoreError(
                f"{name}: of the points {points[0].id} to {points[-1].id} one could not be written: {error.message}"
            ) from error

    def finish(self, name: str, definition: Definition, progress: Callable[[str], None]) -> None:
        """See ``Writer.finish``: searching is brute force here, so there are only indexes that rank texts."""
        models = package().models
        for field, schema in definition.kept_by(Kind.LOCAL).indexes.items():
            with translated(self.shown, f"building the index of {name} on {field}"), self._lock:
                self._connected().create_payload_index(name, field, models.TextIndexParams(**schema))
        for alias in definition.aliases:
            made = models.CreateAlias(collection_name=name, alias_name=alias)
            with translated(self.shown, f"making the alias {alias}"), self._lock:
                client = self._connected()
                there = {each.alias_name for each in client.get_aliases().aliases} | set(self.collections())
                if alias not in there:
                    client.update_collection_aliases([models.CreateAliasOperation(create_alias=made)])
                    continue
            progress(f"{name}: the alias {alias} belongs to another collection here, and is left to it")

    def drop(self, name: str) -> None:
        """See ``Writer.drop``."""
        with translated(self.shown, f"removing {name}"), self._lock:
            self._connected().delete_collection(name)

    def reader(self, names: Sequence[str]) -> LocalReader:
        """See ``Writer.reader``."""
        self.close()
        return copy_local(self._directory, Selection.of(names))

    def close(self) -> None:
        """See ``Writer.close``."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _known(self) -> Sequence[str]:
        return find_collections(self._directory) if (self._directory / "meta.json").exists() else []

    def _connected(self) -> Any:
        """Its lock is held from the first use on."""
        if self._client is None:
            try:
                self._client = package().QdrantClient(path=str(self._directory), force_disable_check_same_thread=True)
            except RuntimeError as error:
                raise SourceError(
                    f"{self.shown}: another process has it open",
                    hint="Stop the application while it is restored, or restore to another directory with --to.",
                ) from error
        return self._client
