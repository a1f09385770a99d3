"""A collection read once, into files of its items and of their vectors: two streams that fit each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drtool.errors import SourceError
from drtool.sources.cutting import Record
from drtool.sources.milvus.connection import Connection
from drtool.sources.milvus.freezing import Collection
from drtool.sources.milvus.reading import count, read
from drtool.sources.vectors.joining import Item
from drtool.sources.vectors.records import decode_vectors, encode_item, encode_vectors
from drtool.sources.vectors.spooling import Spool


class Copied:
    """The records of a collection, in private files below `directory`.

    ``unequal`` says that as many rows were counted before and after as were not read: several have one id.
    """

    def __init__(self, connection: Connection, collection: Collection, directory: Path) -> None:
        self._items, self._vectors = Spool(directory / "items"), Spool(directory / "vectors")
        name, size = collection.name, collection.items + collection.vectors
        before = count(connection, name)
        for batch in read(connection, name, collection.definition, size):
            self._items.add(encode_item(item.id, item.fields) for item in batch)
            self._vectors.add(encode_vectors(item.id, item.vectors) for item in batch)
        self._items.close()
        self._vectors.close()
        after = count(connection, name)
        self.unequal = before == after != self.records
        if self.unequal and (connection.address.path is not None or self.records > after):
            raise SourceError(f"{name}: Milvus gave {self.records:,} of {after:,} rows and called that all")

    @property
    def records(self) -> int:
        """How many items there are."""
        return self._items.records

    def items(self) -> Iterator[Record]:
        """The items, in the order of their keys."""
        return iter(self._items)

    def vectors(self) -> Iterator[Record]:
        """The vectors, in the same order."""
        return iter(self._vectors)

    def decoded(self) -> Iterator[Item]:
        """The ids with their vectors."""
        return (Item(id_, {}, vectors) for id_, vectors in (decode_vectors(data) for _, data in self._vectors))
