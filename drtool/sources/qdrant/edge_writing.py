"""The embedded engine, written: a directory for each collection."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from drtool.errors import IncompleteRestoreError, SourceError
from drtool.sources.qdrant import edge_config, edge_schema
from drtool.sources.qdrant.addresses import Address
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.qdrant.edge import EdgeReader
from drtool.sources.qdrant.edge_points import point_for_engine
from drtool.sources.qdrant.marks import MarkFile
from drtool.sources.qdrant.occupied import not_ours, strangers
from drtool.sources.qdrant.points import Point
from drtool.sources.qdrant.shards import CONFIG, SEGMENTS, engine, find_shards, is_held, locked, translated

#: The engine writes to files that it has mapped: where one of them cannot grow the system kills the process, without a
#: word. It takes room in pieces of 32 MiB.
_LEAST_FREE = 96 << 20


class EdgeWriter:
    """See ``drtool.sources.qdrant.stores.Writer``."""

    def __init__(self, address: Address) -> None:
        self._directory = address.directory
        self._marks = MarkFile(self._directory)
        self._open: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.shown = address.shown

    def collections(self) -> Sequence[str]:
        """See ``Writer.collections``."""
        if not self._directory.exists():
            return []
        return sorted({*find_shards(self._directory), *strangers(self._directory)})

    def count(self, name: str) -> int | None:
        """See ``Writer.count``. ``TargetNotEmptyError`` where what has the name is no shard."""
        path = self._path(name)
        if path.name not in find_shards(self._directory):
            raise not_ours(path, "a shard of Qdrant Edge")
        if name not in self._open and is_held(path):
            return None
        with translated(f"counting the points of {name}"):
            return int(self._shard(name).count(engine().CountRequest(exact=True)))

    def marks(self) -> Mapping[str, Sequence[str]]:
        """See ``Writer.marks``."""
        return self._marks.read()

    def keep_marks(self, marks: Mapping[str, Sequence[str]]) -> None:
        """See ``Writer.keep_marks``."""
        self._marks.write(marks)

    def create(self, name: str, definition: Definition) -> None:
        """See ``Writer.create``. HNSW indexes are built by `finish`: the engine never does it unasked."""
        path = self._path(name)
        with translated(f"creating {name}"):
            (path / SEGMENTS).mkdir(parents=True)
            self._check_room(name)
            (path / CONFIG).write_text(json.dumps(edge_config.to_file(definition.config)), encoding="utf-8")
            with self._lock:
                self._open[name] = engine().EdgeShard.load(str(path))

    def upsert(self, name: str, points: Sequence[Point]) -> None:
        """See ``Writer.upsert``."""
        package = engine()
        self._check_room(name)
        try:
            with translated(f"writing to {name}"):
                made = [point_for_engine(package, point) for point in points]
                self._shard(name).update(package.UpdateOperation.upsert_points(made))
        except (SourceError, TypeError, ValueError) as error:
            raise IncompleteRestoreError(
                f"{name}: of the points {points[0].id} to {points[-1].id} one could not be written: {error}"
            ) from error

    def finish(self, name: str, definition: Definition, progress: Callable[[str], None]) -> None:
        """See ``Writer.finish``. Where the original's vectors had no index these get none: searches were exact, and
        stay so."""
        package, shard = engine(), self._shard(name)
        for field, schema in sorted(definition.indexes.items()):
            try:
                with translated(f"building the index of {name} on {field}"):
                    made = edge_schema.to_engine(package, schema)
                    shard.update(package.UpdateOperation.create_field_index(field, made))
            except ValueError as error:
                raise SourceError(f"the index of {name} on {field} cannot be built: {error}") from error
        self._check_room(name)
        if definition.indexed:
            progress(f"{name}: building indexes")
            with translated(f"building the vector indexes of {name}"):
                shard.optimize()
        with translated(f"writing {name} to the disk"):
            shard.flush()
        if definition.aliases:
            progress(f"{name}: an embedded shard has no aliases: {', '.join(definition.aliases)}")

    def drop(self, name: str) -> None:
        """See ``Writer.drop``."""
        self._close(name)
        path = self._path(name)
        if path.exists():
            with locked({name: path}), translated(f"removing {name}"):
                shutil.rmtree(path)

    def reader(self, names: Sequence[str]) -> EdgeReader:
        """See ``Writer.reader``: in place."""
        self.close()
        found = find_shards(self._directory)
        return EdgeReader({name: found[name] for name in names if name in found})

    def close(self) -> None:
        """See ``Writer.close``."""
        for name in list(self._open):
            self._close(name)

    def _close(self, name: str) -> None:
        with self._lock:
            shard = self._open.pop(name, None)
        if shard is not None:
            with contextlib.suppress(SourceError), translated(f"closing {name}"):
                shard.close()

    def _shard(self, name: str) -> Any:
        with self._lock:
            if name not in self._open:
                with translated(f"opening {name}"):
                    self._open[name] = engine().EdgeShard.load(str(self._path(name)))
            return self._open[name]

    def _check_room(self, name: str) -> None:
        free = shutil.disk_usage(self._directory).free
        if free < _LEAST_FREE:
            raise IncompleteRestoreError(
                f"{name}: {self._directory} has only {free >> 20} MiB free, of at least {_LEAST_FREE >> 20} needed",
                hint="Make room there, or restore to another directory with --to.",
            )

    def _path(self, name: str) -> Path:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise SourceError(f"{name!r} is no name of a directory, which each collection is here")
        return self._directory / name
