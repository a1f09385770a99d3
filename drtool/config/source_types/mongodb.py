"""``type: mongodb``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drtool.config.model import Duration, Size
from drtool.config.paths import ConfigPath
from drtool.config.secrets import Origin, Secret
from drtool.config.source_types.base import SourceSettings

LEAST_BANDWIDTH = 100_000


def _mongodb_address(secret: Secret) -> Secret:
    # What comes from elsewhere is looked at when it is used.
    if secret.origin is Origin.TEXT and not secret.reveal().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    return secret


def _database_name(name: str) -> str:
    if not name or any(character in name for character in '/\\. "$\0') or len(name.encode()) > 63:
        raise ValueError("is no name of a database")
    return name


def _namespace_pattern(pattern: str) -> str:
    if not pattern or pattern.startswith(".") or "\0" in pattern:
        raise ValueError("must be DATABASE, DATABASE.COLLECTION or a pattern with * and ?")
    return pattern


#: maxTimeMS is a 32-bit number.
_LONGEST_QUERY = 2**31 / 1000


def _query_time(seconds: float) -> float:
    if not 0.001 <= seconds < _LONGEST_QUERY:
        raise ValueError("must be at least 1ms and at most 24d")
    return seconds


def _reading_rate(rate: int) -> int:
    if rate < LEAST_BANDWIDTH:
        raise ValueError(f"must be at least {LEAST_BANDWIDTH // 1000} KB (per second)")
    return rate


_MongoAddress = Annotated[Secret, AfterValidator(_mongodb_address)]


class MongoSettings(SourceSettings):
    """A MongoDB deployment. Without ``databases``: all that hold an application's data."""

    type: Literal["mongodb"]
    uri: _MongoAddress = Field(description="mongodb:// or mongodb+srv://; also what a restore in place writes to.")
    read_uri: _MongoAddress | None = Field(default=None, description="Read from here instead: a hidden member, say.")
    databases: tuple[Annotated[str, AfterValidator(_database_name)], ...] = Field(
        default=(), description="Databases to back up; without it, all."
    )
    exclude: tuple[Annotated[str, AfterValidator(_namespace_pattern)], ...] = Field(
        default=(), description="DATABASE, DATABASE.COLLECTION, or patterns with * and ?."
    )
    users: Literal["all", "databases", "none"] | None = Field(
        default=None,
        description="Users and roles to back up: all; those defined in the databases that are backed up; none. "
        "Without it: all, or, where databases are named, those defined in them.",
    )
    max_time: Annotated[Duration, AfterValidator(_query_time)] | None = Field(
        default=None,
        description="How much of the server's time reading one range of a collection may take in all (maxTimeMS).",
    )
    bandwidth: Annotated[Size, AfterValidator(_reading_rate)] | None = Field(
        default=None, description="How much is read per second, by all readers together; without it, no limit."
    )
    mongod: ConfigPath | None = Field(
        default=None, description="The mongod program for trial restores; else the one on PATH."
    )
