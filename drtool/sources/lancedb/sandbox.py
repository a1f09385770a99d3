"""A throw-away database to restore into: a directory, since the engine runs in this process. Nothing expires."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import MissingToolError
from drtool.sources.lancedb.engine import installed
from drtool.sources.throwaway import throwaway


@dataclass(frozen=True, slots=True)
class LanceSandbox:
    """``uri`` is the database's directory."""

    uri: str


@contextlib.contextmanager
def sandbox(version: str, directory: Path) -> Iterator[LanceSandbox]:
    """See ``Source.sandbox``."""
    sandbox_program(version)
    with throwaway(directory, "drtool-lancedb-") as place:
        yield LanceSandbox(str(place))


def sandbox_program(version: str) -> str:
    """See ``Source.sandbox_program``. While the engine's versions begin with 0, the second number is what counts."""
    has = installed()
    if _numbers(has) < _numbers(version):
        raise MissingToolError(
            f"the source was read with LanceDB {version}, and {has} is installed here: too old to restore it into",
            hint=f"Install it: pip install 'lancedb>={version}'",
        )
    return f"lancedb {has}"


def _numbers(version: str) -> tuple[int, ...]:
    first, second, *_ = (*version.split("."), "0")
    digits = (int("".join(filter(str.isdigit, part)) or 0) for part in (first, second))
    return tuple(digits)
