"""``type: milvus``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from drtool.config.paths import resolve
from drtool.config.secrets import Secret
from drtool.config.source_types.base import SourceSettings

_SCHEMES = ("http://", "https://", "tcp://", "unix:")


def _address(uri: Any, info: ValidationInfo) -> Any:
    if not isinstance(uri, str) or uri.startswith(_SCHEMES):
        return uri
    if "://" in uri:
        raise ValueError("must begin with http:// or https://, or be the path of a Milvus Lite database")
    if not uri.endswith(".db"):
        raise ValueError("must begin with http:// or https://, or be a path that ends with .db (Milvus Lite)")
    return str(resolve(uri, info))


def _without_password(uri: str) -> str:
    if "@" in uri:
        raise ValueError("must not hold a password: give it in token, as USER:PASSWORD")
    return uri


def _pattern(pattern: str) -> str:
    if not pattern or "\0" in pattern:
        raise ValueError("must be the name of a collection, or a pattern with * and ?")
    return pattern


_Pattern = Annotated[str, AfterValidator(_pattern)]


class MilvusSettings(SourceSettings):
    """A database of a Milvus server, or a Milvus Lite database. Without ``collections``: all of them."""

    type: Literal["milvus"]
    uri: Annotated[str, AfterValidator(_without_password), BeforeValidator(_address)] = Field(
        description="http:// or https:// and the server's address, or the path of a Milvus Lite database (.db)."
    )
    token: Secret | None = Field(default=None, description="The server's token: USER:PASSWORD, or an API key.")
    db_name: str = Field(default="default", description="The database of it.")
    collections: tuple[_Pattern, ...] = Field(
        default=(), description="Collections to back up: names, or patterns with * and ?; without it, all."
    )
    exclude: tuple[_Pattern, ...] = Field(default=(), description="Collections to leave out: names, or patterns.")
