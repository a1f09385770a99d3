"""A throw-away mongod to restore into. Nothing expires in it, and it is a standalone: loading needs no oplog."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from drtool.errors import MissingToolError
from drtool.sources.mongodb.binary import find_mongod, version_of
from drtool.sources.mongodb.connection import version_numbers
from drtool.sources.mongodb.server import Server, ServerOptions, running

_OPTIONS = ServerOptions(cache_gb=0.5, parameters={"ttlMonitorEnabled": "false"})


@contextlib.contextmanager
def sandbox(mongod: Path | None, version: str, directory: Path) -> Iterator[Server]:
    """A private server below `directory`, of `version`'s major version or newer, gone at the end.

    A newer one keeps its own featureCompatibilityVersion: nothing that is restored depends on an older one.
    Raises ``MissingToolError`` where the mongod at hand is older.
    """
    with running(sandbox_program(mongod, version), _OPTIONS, directory) as server:
        yield server


def sandbox_program(mongod: Path | None, version: str) -> Path:
    """The mongod that `sandbox` would start."""
    program = find_mongod(mongod)
    has = version_of(program)
    if version_numbers(has)[:1] < version_numbers(version)[:1]:
        raise MissingToolError(
            f"the source is MongoDB {version}, and {program} is {has}: too old to restore it into",
            hint=f"Install mongod {version_numbers(version)[0]} or newer, and name it in $DRTOOL_MONGOD.",
        )
    return program
