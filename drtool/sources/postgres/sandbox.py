"""A throw-away PostgreSQL to restore into."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from drtool.sources.postgres.roles import SANDBOX_OWNER
from drtool.sources.postgres.server import Server, running
from drtool.sources.postgres.tools import find


@contextlib.contextmanager
def sandbox(bin_dir: Path | None, version: str, directory: Path) -> Iterator[Server]:
    """A private server below `directory`, of `version`'s major version or newer, gone at the end."""
    with running(sandbox_program(bin_dir, version), directory, owner=SANDBOX_OWNER) as server:
        yield server


def sandbox_program(bin_dir: Path | None, version: str) -> Path:
    """The server that `sandbox` would start. ``MissingToolError`` where there is none, or only older ones."""
    initdb = find("initdb", int(version.partition(".")[0]), bin_dir)
    return initdb.with_name("postgres")
