"""``type: qdrant``."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from drtool.config.paths import ConfigPath
from drtool.config.secrets import Secret
from drtool.config.source_types.base import SourceSettings


def _server_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    if parts.username or parts.password:
        raise ValueError("must not hold a password: api_key is for that")
    return url


def _name_pattern(pattern: str) -> str:
    if not pattern or "/" in pattern or "\0" in pattern:
        raise ValueError("must be the name of a collection or a pattern with * and ?")
    return pattern


_Pattern = Annotated[str, AfterValidator(_name_pattern)]


class QdrantSettings(SourceSettings):
    """Qdrant: a server (``url``), a directory of qdrant-client's local mode (``path``), or one that holds shards of the
    embedded engine (``edge``): exactly one of them."""

    type: Literal["qdrant"]
    url: Annotated[str, AfterValidator(_server_address)] | None = Field(
        default=None,
        description="http:// or https:// of a server's REST interface; also what a restore in place writes to.",
    )
    api_key: Secret | None = Field(default=None, description="The API key of the server at url.")
    prefer_grpc: bool = Field(default=False, description="Read and write over gRPC (port 6334) where that is possible.")
    path: ConfigPath | None = Field(default=None, description="A directory of qdrant-client's local mode.")
    edge: ConfigPath | None = Field(
        default=None,
        description="A directory whose directories are shards of Qdrant Edge, each named like its collection.",
    )
    collections: tuple[_Pattern, ...] = Field(
        default=(), description="Collections to back up, patterns with * and ? too; without it, all."
    )
    exclude: tuple[_Pattern, ...] = Field(
        default=(), description="Collections to leave out; patterns with * and ? too."
    )

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if sum(place is not None for place in (self.url, self.path, self.edge)) != 1:
            raise ValueError("needs exactly one of url, path and edge")
        if self.url is None and (self.api_key is not None or self.prefer_grpc):
            raise ValueError("api_key and prefer_grpc belong to url")
        return self
