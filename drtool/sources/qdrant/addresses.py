"""Where a Qdrant is: a server's URL, a directory of local mode, or one of embedded shards."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from drtool.errors import UsageError

#: Where the API key of a server comes from that is not the configured one.
KEY_VARIABLE = "QDRANT_API_KEY"


class Kind(StrEnum):
    """What runs there; the values are the keys of the configuration, and begin an address: ``edge:/srv/vectors``."""

    SERVER = "url"
    LOCAL = "path"
    EDGE = "edge"


@dataclass(frozen=True, slots=True)
class Address:
    """``where`` is a URL, or a directory. The API key is in no representation."""

    kind: Kind
    where: str
    api_key: str | None = field(default=None, repr=False)
    prefer_grpc: bool = False

    @property
    def shown(self) -> str:
        """As an operator reads and types it."""
        return self.where if self.kind is Kind.SERVER else f"{self.kind}:{self.where}"

    @property
    def directory(self) -> Path:
        """Of an embedded one."""
        return Path(self.where)

    def with_key_for(self, other: Address) -> Address:
        """`other` with its API key: ours where it is the same server, else that of the environment. A key is never
        sent to another host than its own."""
        if other.kind is not Kind.SERVER:
            return other
        if self.kind is Kind.SERVER and urlsplit(self.where)[:2] == urlsplit(other.where)[:2]:
            return replace(other, api_key=self.api_key, prefer_grpc=self.prefer_grpc)
        return replace(other, api_key=os.environ.get(KEY_VARIABLE))


def parse(text: str, default: Kind) -> Address:
    """What an operator typed: a URL, ``edge:DIRECTORY``, ``path:DIRECTORY``, or a directory alone, which is of the
    `default` kind. ``UsageError`` where it is none of them."""
    scheme, colon, rest = text.partition(":")
    if scheme in ("http", "https"):
        if not urlsplit(text).hostname or "@" in urlsplit(text).netloc:
            raise UsageError(
                "the address of a Qdrant server is http://HOST:PORT or https://HOST:PORT, without a key in it"
            )
        return Address(Kind.SERVER, text)
    if colon and scheme in (Kind.LOCAL, Kind.EDGE):
        return Address(Kind(scheme), _directory(rest))
    if "://" in text:
        raise UsageError(
            f"{scheme}:// is no address of a Qdrant", hint="Give http(s)://…, edge:DIRECTORY or path:DIRECTORY."
        )
    return Address(default, _directory(text))


def _directory(text: str) -> str:
    if not text:
        raise UsageError("the address names no directory")
    return str(Path(text).expanduser().absolute())
