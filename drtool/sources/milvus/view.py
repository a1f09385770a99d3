"""The collections of a Milvus, each read once."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from drtool.errors import InstantMovedError
from drtool.sources.cutting import Chunk, CutRule, cut
from drtool.sources.milvus.connection import Connection
from drtool.sources.milvus.copying import Copied
from drtool.sources.milvus.freezing import Collection, Frozen, names
from drtool.sources.milvus.searching import recalls
from drtool.sources.plain import PlainView
from drtool.sources.reading import Consistency, KeyRange, Proof, Settled, StreamInfo
from drtool.sources.throwaway import throwaway
from drtool.sources.vectors.recall import RECALL
from drtool.sources.vectors.records import VECTORS

KIND = "milvus-collection"
VECTORS_KIND = "milvus-vectors"
#: Of how many characters names are whose recall a point holds: a manifest, which holds it, is limited.
_NAME_CHARACTERS = 4096


class MilvusView(PlainView):
    """A view (``drtool.sources.reading.View``). Closing it closes `connection`.

    A collection is read when one of its two streams is asked for, and kept in a private directory until the end.
    `names_of` gives the streams' names where they are not the collections'; aliases of those are left out.
    """

    def __init__(
        self,
        connection: Connection,
        frozen: Frozen,
        consistency: Consistency,
        names_of: Mapping[str, str] | None = None,
    ) -> None:
        self._connection, self._frozen, self._consistency = connection, frozen, consistency
        self._names = names_of or {}
        self._collections = {self._names.get(each.name, each.name): each for each in frozen.collections}
        self._locks = {name: threading.Lock() for name in self._collections}
        self._copies: dict[str, Copied] = {}
        self._recall: dict[str, float] = {}
        self._stack = contextlib.ExitStack()
        self._directory = self._stack.enter_context(throwaway(Path(tempfile.gettempdir()), "drtool-milvus-"))
        self._stack.callback(connection.close)

    @property
    def instant(self) -> datetime:
        """See ``View.instant``: by this host's clock."""
        return self._frozen.at

    @property
    def point(self) -> Mapping[str, Any]:
        """After `settle` ``recall``, where there are indexes of vectors."""
        return {RECALL: self._recall} if self._recall else {}

    def streams(self) -> Sequence[StreamInfo]:
        """See ``View.streams``: items, and beside them vectors."""
        return [
            stream for name, collection in sorted(self._collections.items()) for stream in self._two(name, collection)
        ]

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """See ``View.chunks``."""
        copied = self._copied(stream.beside or stream.name)
        records = copied.vectors() if stream.beside else copied.items()
        yield from cut((one for one in records if _within(one[0], part)), rule)

    def settle(self) -> Settled:
        """See ``View.settle``. ``InstantMovedError`` where a collection is gone."""
        there = set(names(self._connection, lambda _: True))
        gone = [each.name for each in self._collections.values() if each.name not in there]
        if gone:
            raise InstantMovedError(f"collection {gone[0]} was dropped or renamed while the source was read")
        figures: dict[str, float] = {}
        warnings = []
        for name, collection in self._collections.items():
            copied = self._copied(name)
            if sum(map(len, figures)) + len(name) <= _NAME_CHARACTERS:
                measured = recalls(self._connection, collection, copied)
                figures |= {f"{name}{key.removeprefix(collection.name)}": value for key, value in measured.items()}
            if copied.unequal:
                warnings.append(f"{name}: rows that have one id in common are kept once, {copied.records:,} in all.")
        self._recall = figures
        return Settled(self._consistency, warnings=tuple(warnings))

    def close(self) -> None:
        """Close the connection and remove the files. Safe to call twice."""
        self._stack.close()

    def _two(self, name: str, collection: Collection) -> tuple[StreamInfo, StreamInfo]:
        definition = collection.definition if name == collection.name else collection.definition.without_aliases()
        common: dict[str, Any] = {"proof": Proof.IDENTICAL, "estimated_records": collection.rows}
        return (
            StreamInfo(
                name=name,
                kind=KIND,
                definition=definition.encode(),
                identity=collection.identity,
                estimated_bytes=int(collection.rows * collection.items),
                **common,
            ),
            StreamInfo(
                name=f"{name}{VECTORS}",
                kind=VECTORS_KIND,
                definition=b"{}",
                identity=f"{collection.identity}{VECTORS}",
                estimated_bytes=int(collection.rows * collection.vectors),
                fine=True,
                beside=name,
                **common,
            ),
        )

    def _copied(self, name: str) -> Copied:
        with self._locks[name]:
            if name not in self._copies:
                directory = Path(tempfile.mkdtemp(dir=self._directory))
                self._copies[name] = Copied(self._connection, self._collections[name], directory)
            return self._copies[name]


def _within(key: bytes, part: KeyRange) -> bool:
    return (part.lower is None or part.lower <= key) and (part.upper is None or key < part.upper)
