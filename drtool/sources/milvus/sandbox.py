"""A throw-away Milvus Lite database to restore into. It runs in this process; nothing expires in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from drtool.errors import MissingToolError
from drtool.sources.throwaway import throwaway

_NAME = "sandbox.db"


@dataclass(frozen=True, slots=True)
class MilvusSandbox:
    """``uri`` is the database's path."""

    uri: str


@contextlib.contextmanager
def sandbox(directory: Path) -> Iterator[MilvusSandbox]:
    """See ``Source.sandbox``."""
    sandbox_program()
    with throwaway(directory, "drtool-milvus-") as place:
        yield MilvusSandbox(str(place / _NAME))


def sandbox_program() -> str:
    """See ``Source.sandbox_program``. Its versions are other ones than a server's."""
    try:
        return f"milvus-lite {version('milvus-lite')}"
    except PackageNotFoundError as error:
        raise MissingToolError(
            "milvus-lite, which trial restores need, is not installed", hint="Install it: pip install 'drtool[milvus]'"
        ) from error
