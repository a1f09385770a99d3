"""Servers that only tests of the oplog need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from drtool.sources.mongodb.server import Server, ServerOptions, running
from tests.sources.mongo import Client

OPERATIONS = 16


@pytest.fixture(scope="session")
def testable(mongod: Path) -> Iterator[Server]:
    """A replica set of one node that takes the commands of a coordinator of transactions over several shards, and logs
    a transaction in entries of OPERATIONS each, as others do one of more than 16 MB."""
    parameters = {
        "enableTestCommands": "true",
        "maxNumberOfTransactionOperationsInSingleOplogEntry": str(OPERATIONS),
    }
    with running(mongod, ServerOptions(replica_set="testable", parameters=parameters)) as server:
        yield server


@pytest.fixture
def chaining(testable: Server) -> Iterator[Client]:
    """A client of `testable`."""
    found: Client
    with MongoClient(testable.uri) as found:
        yield found
