"""``type: chroma``."""

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
    if "@" in parts.netloc:
        raise ValueError("must not hold a password: token and headers are for that")
    return url


def _part(name: str) -> str:
    if not name or "/" in name:
        raise ValueError("must be a name without a slash")
    return name


_Name = Annotated[str, AfterValidator(_part)]


class ChromaSettings(SourceSettings):
    """Chroma: a server (``url``) or the directory of an embedded one (``path``), exactly one of them."""

    type: Literal["chroma"]
    url: Annotated[str, AfterValidator(_server_address)] | None = Field(
        default=None, description="http:// or https:// of a server; also what a restore in place writes to."
    )
    path: ConfigPath | None = Field(
        default=None, description="The directory that the application gives to chromadb.PersistentClient."
    )
    token: Secret | None = Field(default=None, description="Sent to the server at url as Authorization: Bearer.")
    headers: dict[str, Secret] = Field(
        default_factory=dict, description="What else goes with each request to url: X-Chroma-Token, say."
    )
    tenants: tuple[_Name, ...] = Field(
        default=(), description="Tenants to back up; without it, default_tenant of a server, all of a directory."
    )
    databases: tuple[_Name, ...] = Field(default=(), description="Databases of them to back up; without it, all.")
    exclude: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        description="Collections to leave out: COLLECTION, TENANT/DATABASE, TENANT/DATABASE/COLLECTION, or patterns"
        " with * and ?.",
    )

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("needs exactly one of url and path")
        if self.url is None and (self.token is not None or self.headers):
            raise ValueError("token and headers belong to url")
        return self
