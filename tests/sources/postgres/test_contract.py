"""The source contract, kept by PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from drtool.sources.base import Source
from drtool.sources.postgres import PostgresSource
from drtool.sources.postgres.server import Server
from tests.servers.postgres import connected
from tests.sources.contract import Harness, SourceContract
from tests.sources.postgres import zoo


@dataclass
class PostgresHarness:
    """One database of a server."""

    server: Server
    name: str
    splits = True
    has_versions = True

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        if part_bytes is None:
            return PostgresSource("pg", uri=self.server.uri, databases=[self.name], roles=False)
        return PostgresSource("pg", uri=self.server.uri, databases=[self.name], roles=False, part_bytes=part_bytes)

    def fill(self) -> None:
        """See ``Harness``."""
        zoo.make(self.server.uri, self.name)

    def change(self) -> None:
        """See ``Harness``."""
        with connected(self.server.uri, self.name) as session:
            zoo.change(session)

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``."""
        with connected(self.server.uri, self.name) as session:
            return zoo.listing(session, self.name)

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return PostgresSource("pg", uri="postgresql://nobody:secret@127.0.0.1:1/postgres")


class TestPostgresContract(SourceContract):
    """The suite on a real server."""

    @pytest.fixture
    def harness(self, server: Server, database: str) -> Harness:
        return PostgresHarness(server, database)
