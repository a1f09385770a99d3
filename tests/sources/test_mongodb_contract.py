"""The source contract, kept by MongoDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from drtool.sources.base import Source
from drtool.sources.mongodb.server import Server
from tests.sources import mongo_zoo
from tests.sources.contract import Harness, SourceContract
from tests.sources.mongo import Client, raw_documents, source_of


@dataclass
class MongoHarness:
    """One database on a replica set."""

    server: Server
    client: Client
    name: str
    splits = True
    has_versions = True

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        options = {} if part_bytes is None else {"part_bytes": part_bytes}
        return source_of(self.server.uri, self.name, **options)

    def fill(self) -> None:
        """See ``Harness``."""
        mongo_zoo.fill(self.client[self.name])

    def change(self) -> None:
        """See ``Harness``."""
        database = self.client[self.name]
        database["big"].delete_many({"_id": {"$lt": 1000}})
        database["big"].update_many({"_id": {"$gte": 5000}}, {"$set": {"changed": True}})
        database["empty"].insert_one({})
        database["series"].insert_one({"at": mongo_zoo.PAST, "who": 1})
        database["new"].insert_one({})

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``."""
        database = self.client[self.name]
        found: dict[str, Sequence[bytes] | None] = {}
        for each in database.list_collections():
            name, kind = each["name"], each["type"]
            if name.startswith("system.") and name != "system.js":
                continue
            order = {"$natural": 1} if each["options"].get("capped") else {"_id": 1}
            holder = f"system.buckets.{name}" if kind == "timeseries" else name
            found[f"{self.name}.{name}"] = None if kind == "view" else raw_documents(database, holder, order)
        return found

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return source_of("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200", self.name)


class TestMongoContract(SourceContract):
    """The suite on a real mongod."""

    @pytest.fixture
    def harness(self, replica_set: Server, client: Client, database: str) -> Harness:
        return MongoHarness(replica_set, client, database)
