"""``type: lancedb``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from drtool.config.paths import ConfigPath
from drtool.config.source_types.base import SourceSettings


def _local(path: Any) -> Any:
    if isinstance(path, str) and "://" in path:
        raise ValueError("must be a local directory: databases in object stores cannot be backed up")
    return path


def _table_pattern(pattern: str) -> str:
    if not pattern or "/" in pattern or "\0" in pattern:
        raise ValueError("must be the name of a table, or a pattern with * and ?")
    return pattern


_Pattern = Annotated[str, BeforeValidator(_table_pattern)]


class LanceSettings(SourceSettings):
    """A LanceDB database: a local directory. Without ``tables``: all of them."""

    type: Literal["lancedb"]
    path: Annotated[ConfigPath, BeforeValidator(_local)] = Field(
        description="The database's directory; also what a restore in place writes to."
    )
    tables: tuple[_Pattern, ...] = Field(
        default=(), description="Tables to back up: names, or patterns with * and ?; without it, all."
    )
    exclude: tuple[_Pattern, ...] = Field(default=(), description="Tables to leave out: names, or patterns.")
