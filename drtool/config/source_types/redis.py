"""``type: redis``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drtool.config.paths import ConfigPath
from drtool.config.secrets import Origin, Secret
from drtool.config.source_types.base import SourceSettings


def _redis_address(secret: Secret) -> Secret:
    # What comes from elsewhere is looked at when it is used.
    if secret.origin is Origin.TEXT and not secret.reveal().startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return secret


def _database_number(number: int) -> int:
    if number < 0:
        raise ValueError("must be the number of a database: 0 or more")
    return number


def _key_pattern(pattern: str) -> str:
    if not pattern:
        raise ValueError("must be a key or a pattern with *, ? and […]")
    return pattern


class RedisSettings(SourceSettings):
    """A Redis server (or Valkey). Without ``databases``: all that hold something."""

    type: Literal["redis"]
    uri: Annotated[Secret, AfterValidator(_redis_address)] = Field(
        description="redis://, rediss:// (TLS) or unix://; also what a restore in place writes to."
    )
    databases: tuple[Annotated[int, AfterValidator(_database_number)], ...] = Field(
        default=(), description="Numbers of databases to back up; without it, all."
    )
    exclude: tuple[Annotated[str, AfterValidator(_key_pattern)], ...] = Field(
        default=(), description="Keys to leave out: names or patterns with *, ? and […]."
    )
    method: Literal["auto", "rdb", "scan"] = Field(
        default="auto",
        description="rdb: at one instant, as a replica reads; scan: key by key, not of one instant; auto: rdb where the"
        " server grants it.",
    )
    server: ConfigPath | None = Field(
        default=None, description="The redis-server program for trial restores; else the one on PATH."
    )
