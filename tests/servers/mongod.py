"""One mongod of each topology for all tests of a process, started when first asked for."""

from __future__ import annotations

import atexit
import functools
from contextlib import AbstractContextManager, ExitStack
from typing import TypeVar

import pytest

from drtool.errors import MissingToolError
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.server import Server, ServerOptions, running

#: Tests hold documents of the past.
NOTHING_EXPIRES = {"ttlMonitorEnabled": "false"}
_servers = ExitStack()
atexit.register(_servers.close)
_Server = TypeVar("_Server")


def keep_running(server: AbstractContextManager[_Server]) -> _Server:
    """Start it now and end it with the process."""
    return _servers.enter_context(server)


@functools.cache
def shared(replica_set: str | None = "tests", *arguments: str) -> Server:
    """A replica set of one node of this name; None for a standalone. Skips the test where there is no mongod."""
    try:
        program = find_mongod()
    except MissingToolError as error:
        pytest.skip(f"{error.message}: {error.hint}")
    options = ServerOptions(
        replica_set=replica_set, parameters=NOTHING_EXPIRES, arguments=arguments, spares_journal=True
    )
    return keep_running(running(program, options))
