"""Bringing a collection's items and vectors together again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from drtool.errors import IncompleteRestoreError
from drtool.sources.restoring import Loaded
from drtool.sources.vectors.records import Id, decode_all, vectors_of

#: The most that a batch holds, in bytes of records.
BATCH_BYTES = 16 * 1024 * 1024


class Item(NamedTuple):
    """An item of a collection: its id, the other fields, and its vectors by name (bytes of float32, say)."""

    id: Id
    fields: dict[str, Any]
    vectors: dict[str, Any]


def items_of(chunk: bytes) -> list[Item]:
    """The items of a chunk, without vectors."""
    return [Item(document.pop("_id"), document, {}) for document in decode_all(chunk)]


class Joined:
    """The items of a collection, from chunks of both streams, in order; and what went by, for ``Target.load_joined``.

    ``IncompleteRestoreError`` where the streams do not hold the same ids.
    """

    def __init__(self, name: str, items: Iterable[bytes], vectors: Iterable[bytes]) -> None:
        self._name = name
        self._streams = items, vectors
        self._records = 0
        self._bytes = [0, 0]

    def __iter__(self) -> Iterator[Item]:
        items, vectors = (self._counted(number) for number in (0, 1))
        for item, vector in zip_longest(items, vectors):
            id_ = None if item is None else item.pop("_id")
            if item is None or vector is None or vector["_id"] != id_:
                raise IncompleteRestoreError(
                    f"{self._name}: items and vectors do not fit after {self._records} of them"
                )
            self._records += 1
            yield Item(vector["_id"], item, vectors_of(vector))

    @property
    def loaded(self) -> tuple[Loaded, Loaded]:
        """What went by of the items, and of the vectors."""
        return Loaded(self._records, self._bytes[0]), Loaded(self._records, self._bytes[1])

    def batches(self, size: int) -> Iterator[list[Item]]:
        """The items, at most so many at a time, and fewer where they are large."""
        batch: list[Item] = []
        began = 0
        for item in self:
            batch.append(item)
            if len(batch) == size or sum(self._bytes) - began >= BATCH_BYTES:
                yield batch
                batch, began = [], sum(self._bytes)
        if batch:
            yield batch

    def _counted(self, number: int) -> Iterator[dict[str, Any]]:
        for chunk in self._streams[number]:
            self._bytes[number] += len(chunk)
            yield from decode_all(chunk)
