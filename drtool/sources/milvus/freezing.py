"""The collections that are there, and what they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from drtool.sources.milvus.connection import Connection, translated
from drtool.sources.milvus.definitions import Definition, describe
from drtool.sources.milvus.reading import sample
from drtool.sources.vectors.records import encode_item, encode_vectors

#: What a restore calls a collection until it is whole: a hash of its marker, then the name that it gets.
STAGED = re.compile(r"drtool_([0-9a-f]{12})_(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which collections are backed up: names or globs."""

    collections: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Is it one of them?"""
        wanted = not self.collections or any(fnmatchcase(name, pattern) for pattern in self.collections)
        return wanted and not any(fnmatchcase(name, pattern) for pattern in self.exclude)


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection when it was listed. ``items`` and ``vectors`` are the average sizes of its records in bytes."""

    name: str
    identity: str
    definition: Definition
    rows: int
    items: float
    vectors: float


@dataclass(frozen=True, slots=True)
class Frozen:
    """What was there at a time."""

    at: datetime
    collections: Sequence[Collection]


def names(connection: Connection, takes: Callable[[str], bool]) -> list[str]:
    """The collections, by name; not those that a restore has not ended."""
    with translated(connection.address, "listing collections"):
        return sorted(
            name for name in connection.client.list_collections() if takes(name) and not STAGED.fullmatch(name)
        )


def freeze(connection: Connection, takes: Callable[[str], bool]) -> Frozen:
    """List and describe what is there now."""
    at = datetime.now(UTC)
    return Frozen(at, [_collection(connection, name) for name in names(connection, takes)])


def _collection(connection: Connection, name: str) -> Collection:
    lite = connection.address.path is not None
    with translated(connection.address, f"looking at collection {name}"):
        definition = describe(connection.client, name, lite=lite)
        if lite:  # nobody else has it open, and what is loaded here is gone with this process
            connection.client.load_collection(name)
        identity = str(connection.client.describe_collection(name).get("collection_id") or name)
        rows = int(connection.client.get_collection_stats(name)["row_count"])
    found = sample(connection, name, definition)
    items = sum(len(encode_item(item.id, item.fields)[1]) for item in found)
    vectors = sum(len(encode_vectors(item.id, item.vectors)[1]) for item in found)
    number = max(1, len(found))
    return Collection(name, identity, definition, rows, items / number, vectors / number)
