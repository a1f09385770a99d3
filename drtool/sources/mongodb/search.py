"""Atlas Search and vector search indexes, which are no indexes to `listIndexes`: read and made where the server has
them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import cast

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from drtool.sources.mongodb.connection import RAW, UNAUTHORIZED, Client, Document

#: What servers answer that have none: 40324 (5.0, 6.0), 6047401 and 115 (7.0), 31082 and 7501001 (8.0) to the stage
#: $listSearchIndexes, 59 to the command createSearchIndexes.
_NO_SUCH_THING = (40324, 6047401, 115, 31082, 7501001, 59)


class Search(Enum):
    """What a server says when search indexes are asked for."""

    OFFERED = "offered"
    NONE = "none"
    REFUSED = "refused"


def verdict(error: OperationFailure) -> Search:
    """What an error says. Raises it where it says something else."""
    if error.code in _NO_SUCH_THING:
        return Search.NONE
    if error.code == UNAUTHORIZED:
        return Search.REFUSED
    raise error


@dataclass(slots=True)
class SearchIndexes:
    """Lists the search indexes of a server's collections; one answer that it has none is enough."""

    client: Client
    _says: Search = field(default=Search.OFFERED, init=False)

    def of(self, database: str, collection: str) -> tuple[RawBSONDocument, ...]:
        """``{name, type, definition}`` of each, by name. Raises pymongo's errors."""
        if self._says is not Search.OFFERED:
            return ()
        command = {"aggregate": collection, "pipeline": [{"$listSearchIndexes": {}}], "cursor": {"batchSize": 1000}}
        try:
            listed: Iterable[Document] = self.client[database].command(command)["cursor"]["firstBatch"]
        except OperationFailure as error:
            self._says = verdict(error)
            return ()
        return definitions_of(listed)

    def offered(self, database: str, collection: str) -> Search:
        """Does the server have search indexes?"""
        self.of(database, collection)
        return self._says


def definitions_of(listed: Iterable[Document]) -> tuple[RawBSONDocument, ...]:
    """What makes each index, without its state (id, status, counts), by name."""
    wanted = [
        {"name": each["name"], "type": each.get("type", "search"), "definition": each["latestDefinition"]}
        for each in sorted(listed, key=lambda each: str(each["name"]))
    ]
    return tuple(RawBSONDocument(bson.encode(each), RAW) for each in wanted)


def create(client: Client, database: str, collection: str, indexes: Iterable[RawBSONDocument]) -> bool:
    """Make them; they are built in the background. False where the server has none. Raises pymongo's errors."""
    command = {"createSearchIndexes": collection, "indexes": cast("list[Document]", list(indexes))}
    try:
        client[database].command(command)
    except OperationFailure as error:
        if verdict(error) is not Search.NONE:
            raise
        return False
    return True
