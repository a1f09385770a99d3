"""What an object may be called (see ``drtool.storage.base``)."""

from __future__ import annotations

import re

from drtool.errors import StorageError

_PART = re.compile(r"[a-z0-9._-]+")
_PREFIX_END = re.compile(r"[a-z0-9._-]*")


def check_name(name: str) -> None:
    """Raise ``StorageError`` unless `name` is a relative path of ``[a-z0-9._/-]`` without ``..`` or empty parts."""
    if not is_name(name):
        raise StorageError(f"not a valid object name: {name!r}")


def is_name(name: str) -> bool:
    """Is it what `check_name` lets pass? Listings leave out everything else: file managers and consoles make such."""
    return all(_is_part(part) for part in name.split("/"))


def check_prefix(prefix: str) -> None:
    """Raise ``StorageError`` unless some valid name could begin with `prefix`."""
    *whole, end = prefix.split("/")
    if not all(_is_part(part) for part in whole) or not _PREFIX_END.fullmatch(end):
        raise StorageError(f"not a valid prefix of object names: {prefix!r}")


def _is_part(part: str) -> bool:
    return part not in {".", ".."} and _PART.fullmatch(part) is not None
