"""Streams and databases: ``db0`` is database 0, ``functions`` are the server's libraries of functions."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

FUNCTIONS = "functions"
#: The key by which a restore recognises its work; never backed up.
MARKER = b"drtool:restore"
_NUMBERED = re.compile(r"db(\d+)")


def stream_of(database: int) -> str:
    """The name of a database's stream."""
    return f"db{database}"


def database_of(name: str) -> int | None:
    """The database that a name in a target stands for; None for one beside, which gets a free one."""
    found = _NUMBERED.fullmatch(name)
    return int(found[1]) if found else None


def whole(name: str) -> str:
    """What a user typed, ``0`` or ``db0``, as a stream's name."""
    return stream_of(int(name)) if name.isdecimal() else name


def excluding(patterns: Sequence[str]) -> Callable[[bytes], bool]:
    """Says of a key whether one of the patterns (with ``*``, ``?`` and ``[…]``) fits it."""
    if not patterns:
        return MARKER.__eq__
    # Keys are bytes: each byte is one character here.
    texts = (fnmatch.translate(pattern.encode().decode("latin-1")) for pattern in patterns)
    fits = re.compile("|".join(texts).encode("latin-1"), re.DOTALL).match
    return lambda key: key == MARKER or fits(key) is not None
