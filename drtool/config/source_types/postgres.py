"""``type: postgres``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drtool.config.paths import ConfigPath
from drtool.config.secrets import Origin, Secret
from drtool.config.source_types.base import SourceSettings

_MAX_NAME = 63


def _address(secret: Secret) -> Secret:
    # What comes from elsewhere is looked at when it is used.
    if secret.origin is Origin.TEXT and not secret.reveal().startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    return secret


def _database_name(name: str) -> str:
    if not name or "\0" in name or len(name.encode()) > _MAX_NAME:
        raise ValueError("is no name of a database")
    return name


def _pattern(pattern: str) -> str:
    if not pattern or pattern.startswith(".") or "\0" in pattern:
        raise ValueError("must be DATABASE, DATABASE.SCHEMA, DATABASE.SCHEMA.TABLE or a pattern with * and ?")
    return pattern


class PostgresSettings(SourceSettings):
    """A PostgreSQL server. Without ``databases``: all that take connections, but for templates."""

    type: Literal["postgres"]
    uri: Annotated[Secret, AfterValidator(_address)] = Field(
        description="postgresql://; also what a restore in place writes to. Its database is where to connect first."
    )
    databases: tuple[Annotated[str, AfterValidator(_database_name)], ...] = Field(
        default=(), description="Databases to back up; without it, all."
    )
    exclude: tuple[Annotated[str, AfterValidator(_pattern)], ...] = Field(
        default=(),
        description="DATABASE, DATABASE.SCHEMA, DATABASE.SCHEMA.TABLE, or patterns with * and ?. Of tables the rows are"
        " left out, their definitions are not.",
    )
    roles: Literal["all", "none"] = Field(default="all", description="The server's roles: all of them, or none.")
    bin_dir: ConfigPath | None = Field(
        default=None,
        description="Where pg_dump, initdb and postgres lie, of the server's version or newer; else they are found.",
    )
