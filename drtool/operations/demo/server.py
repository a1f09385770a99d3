"""The embedded server of the demonstration."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import MissingToolError
from drtool.operations.demo.application import Client
from drtool.operations.demo.steps import Check
from drtool.sources.mongodb.binary import find_mongod, version_of
from drtool.sources.mongodb.connection import connect, translated, version_numbers
from drtool.sources.mongodb.server import Server, ServerOptions, running

_LEAST_VERSION = (5, 0)


@dataclass(frozen=True, slots=True)
class Program:
    """A mongod that is new enough for time-series collections."""

    path: Path
    version: str


def find_program() -> Program:
    """The mongod of this machine; ``MissingToolError`` where there is none, or one that is too old."""
    path = find_mongod()
    version = version_of(path)
    if version_numbers(version)[:2] < _LEAST_VERSION:
        raise MissingToolError(
            f"{path} is MongoDB {version}: the demonstration needs 5.0 or newer",
            hint="Name a newer one in $DRTOOL_MONGOD, or `pip install 'drtool[mongod]'` (x86-64 Linux).",
        )
    return Program(path, version)


@contextlib.contextmanager
def serving(program: Program, directory: Path) -> Iterator[tuple[Server, Client]]:
    """A replica set of one node below `directory`, and a client. Inside, pymongo's errors become drtool's."""
    with running(program.path, ServerOptions(replica_set="demo"), directory) as server:
        client = connect(server.uri)
        with client, translated(server.uri, "running the demonstration's application"):
            yield server, client


def check_ended(server: Server) -> Check:
    """Has the server's process gone?"""
    try:
        os.kill(server.pid, 0)
    except ProcessLookupError:
        return Check("server-ended", True, f"the server has ended (process {server.pid} is gone)")
    return Check("server-ended", False, f"process {server.pid} is still there")
