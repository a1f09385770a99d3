"""A server, read through qdrant-client: each collection once, into files that both of its streams are read from.

A server has no common instant. Were items and vectors read one after the other, an item that is deleted in between
would leave a vector without an item; so both come from one pass.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from drtool.errors import InstantMovedError, SourceError, UnreachableError
from drtool.sources.cutting import Record
from drtool.sources.qdrant.addresses import Address, Kind
from drtool.sources.qdrant.client import ask, connect, package, translated
from drtool.sources.qdrant.definitions import Definition, by_name, plain
from drtool.sources.qdrant.paging import Page, in_pages
from drtool.sources.qdrant.points import Point, PointId, Sparse, Vector, VectorRecords, item_record
from drtool.sources.qdrant.spooling import Spool
from drtool.sources.qdrant.stores import Selection, Standing
from drtool.sources.reading import Consistency
from drtool.sources.vectors.records import UNNAMED

#: The words of ``GET /collections/NAME`` and of ``PUT``.
_RENAMED = {"optimizer_config": "optimizers_config"}


class ServerReader:
    """See ``drtool.sources.qdrant.stores.Reader``."""

    def __init__(self, address: Address, selection: Selection) -> None:
        self._address, self._selection = address, selection
        self._client = connect(address)
        self._spools: dict[str, Spool] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._warnings: list[str] = []

    def version(self) -> str:
        """The server's. ``UnreachableError`` where what answers is no Qdrant."""
        with self._translated("asking for its version"):
            found = self._client.info().version
        if not found or not found[0].isdigit():
            raise UnreachableError(f"{self._address.shown} gives no version: it is no Qdrant server")
        return str(found)

    def topology(self) -> str:
        """``server`` or ``cluster``."""
        with self._translated("asking for its cluster"):
            try:
                status = self._client.http.distributed_api.cluster_status().result
            except package().http.exceptions.UnexpectedResponse as error:
                if error.status_code in (401, 403):  # an API key for some collections may not ask
                    return "server"
                raise
        return "cluster" if getattr(status, "status", "") == "enabled" else "server"

    def standing(self) -> Standing:
        """See ``Reader.standing``."""
        return Standing(Consistency.FUZZY, warnings=tuple(self._warnings))

    def collections(self) -> Sequence[str]:
        """See ``Reader.collections``."""
        with self._translated("listing the collections"):
            found = [one.name for one in self._client.get_collections().collections]
        return sorted(filter(self._selection.takes, found))

    def definition(self, name: str) -> Definition:
        """See ``Reader.definition``."""
        with self._reading(name):
            # As the server tells it: the client's models leave out what a newer server has besides.
            info = ask(self._client, "/collections/{name}", name=name)
            aliases = ask(self._client, "/collections/{name}/aliases", name=name)["aliases"]
        try:
            told = plain(info["config"])
            config = {_RENAMED.get(key, key): value for key, value in told.items() if key != "params"}
            config |= told["params"]
            config["vectors"] = by_name(config.get("vectors"))
            indexes = {field: _schema(index) for field, index in info.get("payload_schema", {}).items()}
            names = sorted(one["alias_name"] for one in aliases)
        except (KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"{name}: the server does not describe it as Qdrant servers do: {error}") from error
        return Definition(Kind.SERVER, config, indexes, tuple(names))

    def count(self, name: str) -> int:
        """See ``Reader.count``."""
        with self._reading(name):
            return int(self._client.count(name, exact=True).count)

    def sample(self, name: str, count: int) -> Sequence[Point]:
        """See ``Reader.sample``."""
        return self._page(name, None, count)[0]

    def items(self, name: str) -> Iterator[Record]:
        """See ``Reader.items``."""
        return self._spooled(name).items()

    def vectors(self, name: str) -> Iterator[Record]:
        """See ``Reader.vectors``."""
        return self._spooled(name).vectors()

    def search(self, name: str, vector: str, query: Sequence[float], limit: int) -> Sequence[PointId] | None:
        """See ``Reader.search``."""
        with self._reading(name):
            found = self._client.query_points(
                name, query=list(query), using=vector or None, limit=limit, with_payload=False
            )
        return [_id(one.id) for one in found.points]

    def close(self) -> None:
        """See ``Reader.close``."""
        with self._lock:
            spools, self._spools = self._spools, {}
        for spool in spools.values():
            spool.close()
        self._client.close()

    def _spooled(self, name: str) -> Spool:
        """The collection's files; whoever comes first fills them, and the others wait."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._spools:
                self._spools[name] = self._fetched(name)
            return self._spools[name]

    def _fetched(self, name: str) -> Spool:
        before = self.count(name)
        made = VectorRecords(name, self.definition(name).sizes)
        spool = Spool()
        try:
            for points in in_pages(name, lambda offset, limit: self._page(name, offset, limit)):
                for point in points:
                    spool.add(item_record(point), made.record(point))
            after = self.count(name)
        except BaseException:
            spool.close()
            raise
        if spool.records != before or before != after:
            self._warnings.append(
                f"{name} changed while it was read: {spool.records:,} points were read,"
                f" and it held {before:,} before and {after:,} after."
            )
        return spool

    def _page(self, name: str, offset: PointId | None, limit: int) -> Page:
        start = str(offset) if isinstance(offset, UUID) else offset
        with self._reading(name):
            found, following = self._client.scroll(
                name, limit=limit, offset=start, with_payload=True, with_vectors=True
            )
        return [_point(one) for one in found], None if following is None else _id(following)

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """``InstantMovedError`` where the collection has gone meanwhile."""
        with self._translated(f"reading {name}"):
            try:
                yield
            except package().http.exceptions.UnexpectedResponse as error:
                if error.status_code != 404:
                    raise
                raise InstantMovedError(f"the collection {name} was deleted or renamed while it was read") from error

    def _translated(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return translated(self._address.shown, doing)


def _point(record: Any) -> Point:
    found = record.vector if record.vector is not None else {}
    named = found if isinstance(found, dict) else {UNNAMED: found}
    vectors = {name: _vector(value) for name, value in named.items()}
    return Point(_id(record.id), record.payload or {}, vectors, getattr(record, "shard_key", None))


def _vector(value: Any) -> Vector:
    if isinstance(value, list):
        return value
    return Sparse(value.indices, value.values)


def _id(value: Any) -> PointId:
    if isinstance(value, int):
        return value
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError as error:
        raise SourceError(f"the server gives a point the id {value!r}, which is no UUID") from error


def _schema(index: Mapping[str, Any]) -> Any:
    """How an index is made, of what is told about it."""
    params = {name: value for name, value in (index.get("params") or {}).items() if value is not None}
    return {**params, "type": index["data_type"]} if params else index["data_type"]
