"""Where a Chroma is: a server's URL, or the directory of an embedded one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from drtool.errors import UsageError

_PORTS = {"http": 8000, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A server's `url` or a `directory`; the other is None. ``headers`` go with each request, and hold secrets.
    ``copy_of`` says what a private directory is a copy of.
    """

    url: SplitResult | None = None
    directory: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    copy_of: Path | None = None

    @property
    def shown(self) -> str:
        """As an operator reads it."""
        if self.url is None:
            return str(self.copy_of or self.directory)
        return f"{self.url.scheme}://{self.url.hostname}:{self.port}{self.url.path.rstrip('/')}"

    @property
    def port(self) -> int:
        """The server's port: without one, Chroma's own for http."""
        assert self.url is not None
        return self.url.port or _PORTS[self.url.scheme]


def parse(text: str, headers: Mapping[str, str]) -> Address:
    """A URL (http:// or https://), else a directory. ``UsageError`` for what is neither."""
    if "://" not in text:
        return Address(directory=Path(text).expanduser().absolute())
    try:
        url = urlsplit(text)
        known = url.scheme in _PORTS and bool(url.hostname) and url.port != 0 and "@" not in url.netloc
    except ValueError:
        known = False
    if not known:
        raise UsageError("a Chroma server is named by http://HOST:PORT or https://HOST:PORT, without a password in it")
    return Address(url=url, headers=headers)
