"""A throw-away redis-server to restore into, in which nothing expires (``expiry``)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from drtool.errors import MissingToolError
from drtool.sources.redis.binary import find_server, version_of
from drtool.sources.redis.connection import version_numbers
from drtool.sources.redis.server import RunningServer, running
from drtool.sources.redis.uri import NOTHING_EXPIRES


@contextlib.contextmanager
def sandbox(configured: Path | None, version: str, directory: Path) -> Iterator[RunningServer]:
    """A private server below `directory`, of `version`'s major version or newer, gone at the end. Raises
    ``MissingToolError`` where the redis-server at hand is older."""
    with running(sandbox_program(configured, version), directory) as server:
        yield replace(server, uri=server.uri + NOTHING_EXPIRES)


def sandbox_program(configured: Path | None, version: str) -> Path:
    """The redis-server that `sandbox` would start."""
    program = find_server(configured)
    has = version_of(program)
    if version_numbers(has)[:1] < version_numbers(version)[:1]:
        raise MissingToolError(
            f"the source is Redis {version}, and {program} is {has}: too old to restore it into",
            hint=f"Install redis-server {version_numbers(version)[0]} or newer, and name it in the source's server.",
        )
    return program
