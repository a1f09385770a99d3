"""A server of one's own for each test run's worker, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drtool.errors import MissingToolError
from drtool.sources.redis.binary import find_server
from drtool.sources.redis.connection import Client, connect, inspect_server
from drtool.sources.redis.server import RunningServer, running

pytest.importorskip("redis")


@pytest.fixture(scope="session")
def redis_program() -> Path:
    """The redis-server to start."""
    try:
        return find_server()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")


@pytest.fixture(scope="session")
def shared_redis(redis_program: Path) -> Iterator[RunningServer]:
    """A server that tests share, one after the other."""
    with running(redis_program) as server:
        yield server


def _empty(server: RunningServer) -> None:
    """Remove all keys and functions."""
    client = connect(server.uri)
    client.flushall()
    if inspect_server(client, server.uri).numbers >= (7,):
        client.execute_command("FUNCTION FLUSH")
    client.close()


@pytest.fixture
def redis_server(shared_redis: RunningServer) -> Iterator[RunningServer]:
    """It, empty."""
    _empty(shared_redis)
    yield shared_redis
    _empty(shared_redis)


@pytest.fixture
def client(redis_server: RunningServer) -> Iterator[Client]:
    """A client of its database 0."""
    found = connect(redis_server.uri)
    yield found
    found.close()
