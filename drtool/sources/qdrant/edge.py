"""The embedded engine, read: a copy of its shards, made while nobody has them open."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from drtool.errors import SourceError
from drtool.sources.cutting import Record
from drtool.sources.qdrant import edge_config, edge_schema
from drtool.sources.qdrant.addresses import Kind
from drtool.sources.qdrant.copying import copy_tree
from drtool.sources.qdrant.definitions import Definition, plain
from drtool.sources.qdrant.edge_points import point_of_engine
from drtool.sources.qdrant.paging import Page, in_order, in_pages
from drtool.sources.qdrant.points import Point, PointId, VectorRecords, item_record
from drtool.sources.qdrant.scratch import Scratch
from drtool.sources.qdrant.shards import (
    OWNER,
    PATIENCE,
    engine,
    find_shards,
    fingerprint,
    has_lock,
    locked,
    read_config,
    translated,
)
from drtool.sources.qdrant.stores import Selection, Standing
from drtool.sources.reading import Consistency

_ROOM = (
    "A copy is read, so that the application waits no longer than that takes. Where there is no room for it, set TMPDIR"
    " to a directory that has some."
)
_EXACT = Standing(Consistency.EXACT)


class EdgeReader:
    """Shards by name (``drtool.sources.qdrant.stores.Reader``), opened as they are asked for; nobody else has them.

    `release` is called at the end.
    """

    def __init__(
        self, shards: Mapping[str, Path], standing: Standing = _EXACT, release: Callable[[], None] | None = None
    ) -> None:
        self._paths = shards
        self._standing = standing
        self._release = release
        self._open: dict[str, Any] = {}
        self._lock = threading.Lock()

    def standing(self) -> Standing:
        """See ``Reader.standing``."""
        return self._standing

    def collections(self) -> Sequence[str]:
        """See ``Reader.collections``."""
        return sorted(self._paths)

    def definition(self, name: str) -> Definition:
        """See ``Reader.definition``."""
        shard = self._shard(name)
        with translated(f"reading the indexes of {name}"):
            info = shard.info()
            indexes = {field: edge_schema.to_json(index) for field, index in info.payload_schema.items()}
        config = edge_config.from_file(plain(read_config(self._paths[name])))
        return Definition(Kind.EDGE, config, indexes, indexed=info.indexed_vectors_count > 0)

    def count(self, name: str) -> int:
        """See ``Reader.count``."""
        with translated(f"counting the points of {name}"):
            return int(self._shard(name).count(engine().CountRequest(exact=True)))

    def sample(self, name: str, count: int) -> Sequence[Point]:
        """See ``Reader.sample``."""
        return self._page(name, None, count, payload=True, vectors=True)[0]

    def items(self, name: str) -> Iterator[Record]:
        """See ``Reader.items``."""
        return self._whole(name, map(item_record, self._points(name, payload=True)))

    def vectors(self, name: str) -> Iterator[Record]:
        """See ``Reader.vectors``."""
        made = VectorRecords(name, self.definition(name).sizes)
        return self._whole(name, map(made.record, self._points(name, vectors=True)))

    def search(self, name: str, vector: str, query: Sequence[float], limit: int) -> Sequence[PointId] | None:
        """See ``Reader.search``."""
        package = engine()
        request = package.QueryRequest(query=package.Query.Nearest(list(query), using=vector or None), limit=limit)
        with translated(f"searching {name}"):
            return [found.id for found in self._shard(name).query(request)]

    def close(self) -> None:
        """See ``Reader.close``."""
        with self._lock:
            for shard in self._open.values():
                with contextlib.suppress(SourceError), translated("closing a shard"):
                    shard.close()
            self._open.clear()
            release, self._release = self._release, None
        if release is not None:
            release()

    def _shard(self, name: str) -> Any:
        with self._lock:
            if name not in self._open:
                with translated(f"opening the shard {name}"):
                    self._open[name] = engine().EdgeShard.load(str(self._paths[name]))
            return self._open[name]

    def _points(self, name: str, *, payload: bool = False, vectors: bool = False) -> Iterator[Point]:
        def fetch(offset: PointId | None, limit: int) -> Page:
            return self._page(name, offset, limit, payload=payload, vectors=vectors)

        return chain.from_iterable(in_pages(name, fetch))

    def _page(self, name: str, offset: PointId | None, limit: int, *, payload: bool, vectors: bool) -> Page:
        request = engine().ScrollRequest(offset=offset, limit=limit, with_payload=payload, with_vector=vectors)
        with translated(f"reading {name}"):
            found, following = self._shard(name).scroll(request)
            return [point_of_engine(one, payload=payload, vectors=vectors) for one in found], following

    def _whole(self, name: str, records: Iterator[Record]) -> Iterator[Record]:
        """All of them; ``SourceError`` where the engine gives fewer than it counts."""
        number = 0
        for record in in_order(name, records):
            number += 1
            yield record
        counted = self.count(name)
        if number != counted:
            raise SourceError(f"{name}: the engine gave {number:,} points and counts {counted:,}")


def copy_shards(directory: Path, selection: Selection, patience: float = PATIENCE) -> EdgeReader:
    """A copy of the selected shards of one instant: all of them are locked while all are copied."""
    shards = {name: path for name, path in find_shards(directory).items() if selection.takes(name)}
    scratch = _scratch()
    try:
        with locked(shards, patience):
            unlocked = {name: path for name, path in shards.items() if not has_lock(path)}
            before = {name: fingerprint(path) for name, path in unlocked.items()}
            for name, path in shards.items():
                _copy(name, path, scratch.path / name)
            changed = [name for name, path in unlocked.items() if fingerprint(path) != before[name]]
        for name in changed:
            raise SourceError(
                f"{name}: the shard has no write-ahead log, and was written to while it was copied",
                hint="Let the application close the shard while its directory is copied.",
            )
        standing = Standing(Consistency.EXACT, dict.fromkeys(unlocked, Consistency.FUZZY), _about(unlocked))
        copies = {name: scratch.path / name for name in shards}
        return EdgeReader(copies, standing, scratch.close)
    except BaseException:
        scratch.close()
        raise


def _scratch() -> Scratch:
    try:
        return Scratch()
    except OSError as error:
        raise SourceError(f"there is no place for a copy: {error}", hint=_ROOM) from error


def _copy(name: str, shard: Path, destination: Path) -> None:
    try:
        copy_tree(shard, destination)
    except OSError as error:
        hint = OWNER if isinstance(error, PermissionError) else _ROOM
        raise SourceError(f"the shard {name} cannot be copied: {error}", hint=hint) from error


def _about(unlocked: Mapping[str, Path]) -> tuple[str, ...]:
    return tuple(
        f"{name}: this shard has no write-ahead log, so nobody can tell whether an application has it open;"
        " set wal_enabled, or back it up while the application is stopped."
        for name in unlocked
    )
