"""One server for all, a database of one's own, and a host with drtool on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.operations.site import Site, connect
from tests.servers.mongod import shared
from tests.sources.mongo import Client, unique_database


@pytest.fixture(scope="session")
def uri() -> str:
    """A replica set of one node, shared by all tests."""
    return shared().uri


@pytest.fixture(scope="session")
def client(uri: str) -> Iterator[Client]:
    """A client of it."""
    with connect(uri) as found:
        yield found


@pytest.fixture
def database(client: Client) -> Iterator[str]:
    """The name of a new database; whatever begins with it goes afterwards."""
    name = unique_database(client)
    yield name
    for found in client.list_database_names():
        if found.startswith(name):
            client.drop_database(found)


@pytest.fixture
def site(tmp_path: Path, uri: str, database: str) -> Site:
    """A host whose job ``nightly`` backs up `database`."""
    return Site(tmp_path, uri, {"nightly": (database,)}).set_up()


@pytest.fixture
def make_site(tmp_path: Path, uri: str) -> Callable[..., Site]:
    """Makes a host with the jobs given."""

    def make(**jobs: tuple[str, ...]) -> Site:
        return Site(tmp_path, uri, jobs).set_up()

    return make
