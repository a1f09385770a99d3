"""One server for all, a database of one's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drtool.sources.postgres.server import Server
from tests.servers.postgres import database as new_database
from tests.servers.postgres import shared


@pytest.fixture(scope="session")
def server() -> Server:
    """PostgreSQL of the newest version that there is."""
    return shared()


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The name of a new database."""
    with new_database(server.uri) as name:
        yield name
