"""From the URL that a user writes to a storage."""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from drtool.errors import ConfigError
from drtool.storage.base import Storage
from drtool.storage.directory import DirectoryStorage
from drtool.storage.retry import Retrying

_HINT = "Give s3://bucket/prefix or a directory."


def open_storage(
    url: str,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    profile: str | None = None,
    ca_bundle: str | None = None,
    max_connections: int = 32,
    cancelled: threading.Event | None = None,
) -> Storage:
    """The storage at `url` (``s3://bucket/prefix``, ``file:///path`` or a path), with retries.

    All other arguments but `cancelled` are for S3 only; None leaves them to boto3. Setting `cancelled` ends every wait.
    Raises ``ConfigError`` for any other URL, ``PermissionDeniedError`` where the profile does not exist. Does not
    contact the store.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "s3":
        storage = _s3(url, rest, region, endpoint_url, profile, ca_bundle, max_connections)
    elif separator and scheme == "file":
        storage = DirectoryStorage(_file(url))
    elif separator:
        raise ConfigError(f"{scheme}:// is not a kind of storage that drtool knows", hint=_HINT)
    elif not url:
        raise ConfigError("the repository's URL is empty", hint=_HINT)
    else:
        storage = DirectoryStorage(Path(url).expanduser())
    return Retrying(storage, cancelled=cancelled)


def _s3(
    url: str,
    rest: str,
    region: str | None,
    endpoint_url: str | None,
    profile: str | None,
    ca_bundle: str | None,
    max_connections: int,
) -> Storage:
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    if "@" in bucket:
        raise ConfigError("credentials do not belong into the URL", hint="Use a profile, the environment or a role.")
    if not bucket or (prefix and any(part in {"", ".", ".."} for part in prefix.split("/"))):
        raise ConfigError(
            f"not an S3 URL: {url}",
            hint="Give s3://bucket/prefix; no part of the prefix may be empty, '.' or '..'.",
        )
    # boto3 takes half a second to import, which only those who use S3 should pay.
    from drtool.storage.s3 import S3Storage
    from drtool.storage.s3_client import S3Settings

    return S3Storage(bucket, prefix, S3Settings(region, endpoint_url, profile, ca_bundle, None, max_connections))


def _file(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise ConfigError(f"not a file URL of this host: {url}", hint="Give file:///path, with three slashes.")
    return Path(unquote(parts.path))
