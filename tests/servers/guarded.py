"""A replica set of one node that wants a password (``--keyFile``), and users on it.

``shared_guarded()`` is one for all tests of a process: for tests that make users and roles of unique names
(`Guarded.user` does). Tests that change what others would notice start their own with `guarded_set`.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from pymongo import MongoClient

from drtool.errors import MissingToolError
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.server import Server, ServerOptions, running
from tests.servers.mongod import NOTHING_EXPIRES, keep_running

ROOT = "root"
PASSWORD = "pw"


@dataclass(frozen=True)
class Guarded:
    """A server with access control; ``root`` may do everything."""

    server: Server

    @property
    def uri(self) -> str:
        """As ``root``."""
        return self.uri_of(ROOT)

    def uri_of(self, user: str, password: str = PASSWORD, *, options: str = "") -> str:
        """As `user`; `options` are more of the URI's, with ``&`` between them."""
        found = self.server.uri.replace("://", f"://{quote_plus(user)}:{quote_plus(password)}@")
        return f"{found}&{options}" if options else found

    def connect(self, user: str = ROOT, password: str = PASSWORD) -> MongoClient[dict[str, Any]]:
        """A client of `user`."""
        return MongoClient(self.uri_of(user, password))

    @contextlib.contextmanager
    def user(self, *roles: str | Mapping[str, str], privileges: Sequence[Mapping[str, Any]] = ()) -> Iterator[str]:
        """A new user in ``admin`` with `roles`, and `privileges` through a role of its own; yields its URI.

        User and role bear names that nobody else uses, and go afterwards.
        """
        name = f"u_{uuid.uuid4().hex[:12]}"
        with self.connect() as client:
            granted: list[str | Mapping[str, str]] = list(roles)
            if privileges:
                client.admin.command({"createRole": name, "privileges": list(privileges), "roles": []})
                granted.append(name)
            client.admin.command({"createUser": name, "pwd": PASSWORD, "roles": granted})
            try:
                yield self.uri_of(name)
            finally:
                client.admin.command({"dropUser": name})
                if privileges:
                    client.admin.command({"dropRole": name})


@contextlib.contextmanager
def guarded_set(program: Path, options: ServerOptions | None = None) -> Iterator[Guarded]:
    """Start one, with the user ``root``; `options` must name a replica set of one's own and may add arguments."""
    options = options or ServerOptions(replica_set="guarded", parameters=NOTHING_EXPIRES)
    with (
        key_file() as arguments,
        running(program, replace(options, arguments=(*options.arguments, *arguments))) as server,
    ):
        with MongoClient[dict[str, Any]](server.uri) as client:  # the first user may be made from loopback
            client.admin.command({"createUser": ROOT, "pwd": PASSWORD, "roles": ["root"]})
        yield Guarded(server)


@contextlib.contextmanager
def key_file() -> Iterator[tuple[str, ...]]:
    """A key file, as arguments of mongod: it wants one where a replica set has access control."""
    with tempfile.TemporaryDirectory(prefix="drtool-key-") as directory:
        key = Path(directory, "key")
        key.write_text("asecretamongmembers")
        key.chmod(0o600)
        yield ("--keyFile", str(key))


@functools.cache
def shared_guarded() -> Guarded:
    """One for all tests of this process. Skips the test where there is no mongod."""
    try:
        program = find_mongod()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    options = ServerOptions(replica_set="guarded", parameters=NOTHING_EXPIRES, spares_journal=True)
    return keep_running(guarded_set(program, options))
