"""A Chroma at one instant, or as near to one as a server allows."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from drtool.errors import InstantMovedError
from drtool.sources.chroma.definitions import is_vectors, of_vectors
from drtool.sources.chroma.reading import Collection
from drtool.sources.cutting import Chunk, CutRule, cut
from drtool.sources.plain import PlainView
from drtool.sources.reading import Consistency, KeyRange, Proof, Settled, StreamInfo
from drtool.sources.vectors.recall import RECALL
from drtool.sources.vectors.records import VECTORS

ITEMS_KIND = "collection"
VECTORS_KIND = "vectors"
#: How long the names of the collections are together of which a manifest, which is limited, holds the recall.
_NAME_CHARACTERS = 4096


class ChromaView(PlainView):
    """See ``drtool.sources.reading.View``. `collections` are by stream name, `stack` holds what goes when it is
    closed."""

    def __init__(
        self,
        collections: Mapping[str, Collection],
        instant: datetime,
        consistency: Consistency,
        stack: contextlib.ExitStack,
    ) -> None:
        self._collections, self._instant, self._consistency = collections, instant, consistency
        self._stack = stack
        self._recall: dict[str, float] = {}
        self._streams: list[StreamInfo] | None = None
        self._lock = threading.Lock()
        self._cancelled = threading.Event()

    @property
    def instant(self) -> datetime:
        """See ``View.instant``."""
        return self._instant

    @property
    def point(self) -> Mapping[str, Any]:
        """The recall that was measured of each collection, once everything was read."""
        return {RECALL: dict(self._recall)} if self._recall else {}

    def streams(self) -> Sequence[StreamInfo]:
        """See ``View.streams``: two of each collection."""
        with self._lock:
            if self._streams is None:
                found = [stream for one in self._collections.values() for stream in _streams(one)]
                self._streams = sorted(found, key=lambda stream: stream.name)
            return self._streams

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:  # noqa: ARG002 - one part
        """See ``View.chunks``."""
        one = self._collections[stream.beside or stream.name]
        for chunk in cut(one.vectors() if is_vectors(stream) else one.items(), rule):
            if self._cancelled.is_set():
                raise InstantMovedError(f"reading {stream.name} was cancelled")
            yield chunk

    def settle(self) -> Settled:
        """See ``View.settle``: what was changed meanwhile is named, as far as ids show it; and search is tried."""
        warnings = []
        for name, one in self._collections.items():
            try:
                added, gone = one.changed()
                if added or gone:
                    warnings.append(
                        f"{name} changed while it was read: {added:,} items are there that were not read,"
                        f" and {gone:,} were deleted meanwhile."
                    )
                recall = one.recall() if sum(map(len, self._recall)) + len(name) <= _NAME_CHARACTERS else None
            except InstantMovedError:
                warnings.append(f"{name} was deleted after it had been read.")
                continue
            if recall is not None:
                self._recall[name] = round(recall, 4)
        return Settled(self._consistency, warnings=tuple(warnings))

    def cancel(self) -> None:
        """See ``View.cancel``."""
        self._cancelled.set()

    def close(self) -> None:
        """See ``View.close``."""
        self._stack.close()


def _streams(one: Collection) -> tuple[StreamInfo, StreamInfo]:
    item, vectors = one.averages()
    identity = one.found.id.hex
    space = one.definition.space
    return (
        StreamInfo(
            name=one.name,
            kind=ITEMS_KIND,
            proof=Proof.IDENTICAL,
            definition=one.definition.encode(),
            identity=identity,
            estimated_records=one.count,
            estimated_bytes=round(item * one.count),
        ),
        StreamInfo(
            name=one.name + VECTORS,
            kind=VECTORS_KIND,
            proof=Proof.TOLERANT if space == "cosine" else Proof.IDENTICAL,
            definition=of_vectors(one.definition),
            identity=identity + VECTORS,
            estimated_records=one.count,
            estimated_bytes=round(vectors * one.count),
            fine=True,
            beside=one.name,
        ),
    )
