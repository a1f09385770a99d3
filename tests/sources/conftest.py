"""Servers that the tests of sources share; each test uses databases of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from drtool.errors import MissingToolError
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.server import Server, ServerOptions, running
from tests.servers.guarded import Guarded, shared_guarded
from tests.servers.mongod import NOTHING_EXPIRES
from tests.sources.mongo import Client, unique_database


@pytest.fixture(scope="session")
def mongod() -> Path:
    """The mongod to start."""
    try:
        return find_mongod()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")


@pytest.fixture(scope="session")
def replica_set(mongod: Path) -> Iterator[Server]:
    """A replica set of one node."""
    options = ServerOptions(replica_set="tests", parameters=NOTHING_EXPIRES, spares_journal=True)
    with running(mongod, options) as server:
        yield server


@pytest.fixture(scope="session")
def standalone(mongod: Path) -> Iterator[Server]:
    """A server that is no replica set."""
    with running(mongod, ServerOptions(parameters=NOTHING_EXPIRES)) as server:
        yield server


@pytest.fixture(scope="session")
def guarded_set() -> Guarded:
    """A replica set of one node with access control."""
    return shared_guarded()


@pytest.fixture(scope="session")
def client(replica_set: Server) -> Iterator[Client]:
    """A client of `replica_set`."""
    found: Client
    with MongoClient(replica_set.uri) as found:
        yield found


@pytest.fixture
def database(client: Client) -> Iterator[str]:
    """The name of a new database on `replica_set`; whatever begins with it goes afterwards."""
    name = unique_database(client)
    yield name
    for found in client.list_database_names():
        if found.startswith(name):
            client.drop_database(found)
