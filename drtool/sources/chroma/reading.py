"""One collection of a view: its ids, its items and vectors as records, and what its search finds."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drtool.errors import SourceError
from drtool.sources.chroma.definitions import Definition
from drtool.sources.chroma.engine import Engine, Found
from drtool.sources.chroma.ids import Ids
from drtool.sources.cutting import Record
from drtool.sources.vectors.recall import QUERIES, Recall
from drtool.sources.vectors.records import UNNAMED, encode_item, encode_vectors, key_of
from drtool.sources.vectors.spooling import Spool

_FIELDS = ("documents", "metadatas", "uris")
_EMBEDDINGS = "embeddings"
_SAMPLED = 64


class Collection:
    """A collection as it is read. `home` is a private directory, `list_ids` gives its ids sorted.

    With `moving`, others change it meanwhile: then items and vectors are fetched together, once, so that they fit.
    """

    def __init__(
        self,
        engine: Engine,
        found: Found,
        home: Path,
        list_ids: Callable[[Path], Ids],
        *,
        moving: bool,
        measured: bool,
    ) -> None:
        self.found, self.count = found, engine.count(found)
        self.definition = Definition.of(found, self.count)
        self.name = found.place.stream(found.name)
        self._dimension = self.definition.dimension
        self._engine, self._home, self._list_ids, self._moving = engine, home, list_ids, moving
        self._lock = threading.Lock()
        self._ids: Ids | None = None
        self._spooled: tuple[Spool, Spool] | None = None
        self._measured = measured
        self._recall: Recall | None = None
        self._queries: list[bytes] = []

    @property
    def ids(self) -> Ids:
        """All ids, listed when they are first asked for."""
        with self._lock:
            if self._ids is None:
                self._ids = self._list_ids(self._home / f"{self.found.id}.ids")
            return self._ids

    def averages(self) -> tuple[float, float]:
        """How long the records are, in bytes: of items, and of vectors."""
        rows = list(self._fetched([self.ids.sample(_SAMPLED)], [*_FIELDS, _EMBEDDINGS], strict=False))
        sizes = [(len(_item(row)[1]), len(_vectors(row)[1])) for batch in rows for row in batch]
        count = max(1, len(sizes))
        return sum(item for item, _ in sizes) / count, sum(vectors for _, vectors in sizes) / count

    def items(self) -> Iterator[Record]:
        """The records of the items, in order."""
        if self._moving:
            return iter(self._spools()[0])
        return (_item(row) for rows in self._fetched(self.ids.blocks(), _FIELDS) for row in rows)

    def vectors(self) -> Iterator[Record]:
        """The records of the vectors, in order."""
        if self._moving:
            return iter(self._spools()[1])
        return self._passing_by(self._fetched(self.ids.blocks(), (_EMBEDDINGS,)))

    def changed(self) -> tuple[int, int]:
        """How many ids are there that were not read, and how many are not there any more of those that were listed."""
        if self._spooled is None:
            return 0, 0
        there = {key_of(id_) for id_ in self._engine.ids(self.found)}
        read = {key for key, _ in self._spooled[0]}
        return len(there - read), sum(key_of(id_) not in there for id_ in self.ids)

    def recall(self) -> float | None:
        """The share of true neighbours that search finds; None where it was not measured."""
        if self._recall is None or not self._queries:
            return None
        queries = [np.frombuffer(query, "<f4") for query in self._queries]
        return self._recall.measure(lambda number, count: self._engine.nearest(self.found, [queries[number]], count)[0])

    def _spools(self) -> tuple[Spool, Spool]:
        ids = self.ids
        with self._lock:
            if self._spooled is None:
                items, vectors = (Spool(self._home / f"{self.found.id}.{kind}") for kind in ("items", "vectors"))
                try:
                    for rows in self._fetched(ids.blocks(), (*_FIELDS, _EMBEDDINGS), strict=False):
                        items.add(map(_item, rows))
                        vectors.add(self._passing_by([rows], ids))
                finally:
                    items.close()
                    vectors.close()
                self._spooled = items, vectors
            return self._spooled

    def _passing_by(self, batches: Iterable[Sequence[_Row]], ids: Ids | None = None) -> Iterator[Record]:
        recall = self._begin_recall(self.ids if ids is None else ids) if self._measured else None
        for rows in batches:
            records = [_vectors(row) for row in rows]
            self._require_dimension(rows)
            if recall is not None and rows:
                matrix = np.frombuffer(b"".join(row.embedding for row in rows), "<f4").reshape(len(rows), -1)
                recall.feed([row.id for row in rows], matrix)
            yield from records

    def _require_dimension(self, rows: Sequence[_Row]) -> None:
        for row in rows:
            self._dimension = self._dimension or len(row.embedding) // 4
            if len(row.embedding) != self._dimension * 4:
                raise SourceError(
                    f"{self.name}: the vector of {row.id!r} has {len(row.embedding) // 4} dimensions,"
                    f" and others {self._dimension}"
                )

    def _begin_recall(self, ids: Ids) -> Recall | None:
        if self._recall is None:
            rows = next(self._fetched([ids.sample(QUERIES)], (_EMBEDDINGS,), strict=False), [])
            self._queries = [row.embedding for row in rows]
            if self._queries:
                queries = np.frombuffer(b"".join(self._queries), "<f4").reshape(len(rows), -1)
                self._recall = Recall(queries, self.definition.space)
        return self._recall

    def _fetched(
        self, blocks: Iterable[list[str]], include: Sequence[str], *, strict: bool = True
    ) -> Iterator[list[_Row]]:
        """Rows in the order of the ids; where `strict`, all of them."""
        for ids in blocks:
            if not ids:
                continue
            got = self._engine.get(self.found, ids, include)
            there = {id_: number for number, id_ in enumerate(got["ids"])}
            missing = [id_ for id_ in ids if id_ not in there]
            if missing and strict:
                raise SourceError(
                    f"{self.name}: {missing[0]!r} is listed, and the engine does not give it",
                    hint="Its index is damaged; chroma-ops (pip install chromadb-ops) can rebuild it.",
                )
            yield [_Row.of(self.name, got, id_, there[id_]) for id_ in ids if id_ in there]


class _Row:
    """An item as the engine gave it; ``embedding`` is empty where it was not asked for."""

    __slots__ = ("embedding", "fields", "id")

    def __init__(self, id_: str, fields: Mapping[str, Any], embedding: bytes) -> None:
        self.id, self.fields, self.embedding = id_, fields, embedding

    @classmethod
    def of(cls, collection: str, got: Mapping[str, Any], id_: str, number: int) -> _Row:
        given = {name: got[name][number] for name in _FIELDS if got.get(name) is not None}
        values = {name.removesuffix("s"): value for name, value in given.items() if value is not None and value != {}}
        embeddings = got.get(_EMBEDDINGS)
        if embeddings is None:
            return cls(id_, values, b"")
        return cls(id_, values, _packed(collection, id_, embeddings[number]))


def _packed(collection: str, id_: str, embedding: Any) -> bytes:
    if embedding is None or not len(embedding):
        raise SourceError(f"{collection}: {id_!r} has no vector")
    try:
        data = struct.pack(f"<{len(embedding)}f", *embedding)
    except (struct.error, OverflowError) as error:
        raise SourceError(f"{collection}: the vector of {id_!r} is not of float32: {error}") from error
    if not np.isfinite(np.frombuffer(data, "<f4")).all():
        raise SourceError(f"{collection}: the vector of {id_!r} holds NaN or infinity, which no Chroma takes back")
    return data


def _item(row: _Row) -> Record:
    return encode_item(row.id, row.fields)


def _vectors(row: _Row) -> Record:
    return encode_vectors(row.id, {UNNAMED: row.embedding})
