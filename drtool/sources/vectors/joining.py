"""Bringing a collection's items and vectors together again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from drtool.errors import IncompleteRestoreError
from drtool.sources.base import Loaded
from drtool.sources.vectors.records import Id, decode, decode_vectors, records


class Item(NamedTuple):
    """An item of a collection: its id, the other fields, and its vectors by name (bytes of float32, say)."""

    id: Id
    fields: dict[str, Any]
    vectors: dict[str, Any]


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
            fields = None if item is None else decode(item)
            id_, found = (None, {}) if vector is None else decode_vectors(vector)
            if fields is None or fields.pop("_id") != id_:
                raise IncompleteRestoreError(
                    f"{self._name}: items and vectors do not fit after {self._records} of them"
                )
            self._records += 1
            yield Item(id_, fields, found)

    @property
    def loaded(self) -> tuple[Loaded, Loaded]:
        """What went by of the items, and of the vectors."""
        return Loaded(self._records, self._bytes[0]), Loaded(self._records, self._bytes[1])

    def batches(self, size: int) -> Iterator[list[Item]]:
        """The items, so many at a time."""
        batch: list[Item] = []
        for item in self:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def _counted(self, number: int) -> Iterator[bytes | memoryview]:
        for chunk in self._streams[number]:
            self._bytes[number] += len(chunk)
            for _, data in records(chunk):
                yield data
