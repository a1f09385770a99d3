"""The collections of a Qdrant as streams: of each the items, and beside them the vectors."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from drtool.errors import SourceError
from drtool.sources.cutting import Chunk, CutRule, Record, cut
from drtool.sources.plain import PlainView
from drtool.sources.qdrant.comparing import is_exact
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.qdrant.points import VectorRecords, item_record
from drtool.sources.qdrant.recalling import CollectionRecall
from drtool.sources.qdrant.stores import Reader
from drtool.sources.reading import KeyRange, Proof, Settled, StreamInfo
from drtool.sources.vectors.recall import QUERIES, RECALL
from drtool.sources.vectors.records import VECTORS

COLLECTION, VECTORS_OF = "collection", "vectors"


class QdrantView(PlainView):
    """See ``drtool.sources.reading.View``. `names` are those of collections by the name that they have in the view;
    without it, all are read under their own. The view closes `reader`."""

    def __init__(self, reader: Reader, names: Mapping[str, str] | None = None, warnings: Sequence[str] = ()) -> None:
        self._reader = reader
        self._names = {name: name for name in reader.collections()} if names is None else dict(names)
        self._warnings = tuple(warnings)
        self._recalls: dict[str, CollectionRecall] = {}
        self._measured: dict[str, float] = {}
        self._cancelled = threading.Event()
        self.instant = datetime.now(UTC)

    @property
    def point(self) -> Mapping[str, Any]:
        """With the recall of each collection, once everything was read and settled."""
        return {"read": self.instant.isoformat(), RECALL: dict(sorted(self._measured.items()))}

    def streams(self) -> Sequence[StreamInfo]:
        """See ``View.streams``."""
        found = [stream for name in self._names for stream in self._streams_of(name)]
        return sorted(found, key=lambda stream: stream.name)

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:  # noqa: ARG002 - read whole
        """See ``View.chunks``."""
        return cut(self._heard(self._records(stream)), rule)

    def settle(self) -> Settled:
        """See ``View.settle``: searches, now that the true neighbours are known."""
        for name, recall in self._recalls.items():
            if not self._cancelled.is_set():
                self._measured |= {
                    self._shown(name, each): value for each, value in recall.measure(self._reader).items()
                }
        standing = self._reader.standing()
        weaker = {
            stream: consistency
            for name, held in self._names.items()
            if (consistency := standing.weaker.get(held)) is not None
            for stream in (name, name + VECTORS)
        }
        return Settled(standing.consistency, weaker, (*self._warnings, *standing.warnings))

    def cancel(self) -> None:
        """See ``View.cancel``."""
        self._cancelled.set()

    def close(self) -> None:
        """See ``View.close``."""
        self._reader.close()

    def _streams_of(self, name: str) -> Iterator[StreamInfo]:
        held = self._names[name]
        definition, count = self._reader.definition(held), self._reader.count(held)
        sample = self._reader.sample(held, QUERIES)
        made = VectorRecords(held, definition.sizes)
        sizes = [sum(len(data) for _, data in map(make, sample)) for make in (item_record, made.record)]
        items, vectors = (size * count // max(1, len(sample)) for size in sizes)
        yield StreamInfo(
            name, COLLECTION, Proof.IDENTICAL, definition.encode(), estimated_records=count, estimated_bytes=items
        )
        own = definition.of_vectors()
        yield StreamInfo(
            name + VECTORS,
            VECTORS_OF,
            Proof.IDENTICAL if is_exact(own) else Proof.TOLERANT,
            own.encode(),
            estimated_records=count,
            estimated_bytes=vectors,
            fine=True,
            beside=name,
        )

    def _records(self, stream: StreamInfo) -> Iterator[Record]:
        if not stream.beside:
            return self._reader.items(self._names[stream.name])
        name = self._names[stream.beside]
        recall = CollectionRecall(name, Definition.decode(stream.definition), self._reader.sample(name, QUERIES))
        self._recalls[name] = recall
        return recall.watch(self._reader.vectors(name))

    def _heard(self, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            if self._cancelled.is_set():
                raise SourceError("reading was cancelled")
            yield record

    def _shown(self, held: str, measured: str) -> str:
        """`measured` under the name that the view gives the collection `held`."""
        for name, each in self._names.items():
            if each == held:
                return name + measured.removeprefix(held)
        return measured
