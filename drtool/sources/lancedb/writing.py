"""Writing a table's files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from drtool.errors import SourceError
from drtool.sources.lancedb.records import Part, parts
from drtool.sources.restoring import Loaded

_MODE = 0o644


def write(table: Path, chunks: Iterable[bytes]) -> Loaded:
    """Write parts of files below `table`, in whatever order, from whatever thread, again if need be.

    Raises ``OSError``, and ``SourceError`` for a path that leads elsewhere.
    """
    count = size = 0
    for chunk in chunks:
        size += len(chunk)
        for part in parts(chunk):
            _write(_place(table, part.path), part)
            count += 1
    return Loaded(count, size)


def sync(table: Path) -> None:
    """Have everything below `table` on the disk. Raises ``OSError``."""
    for parent, _, names in os.walk(table, topdown=False):
        for place in (*(Path(parent, name) for name in names), Path(parent)):
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _place(table: Path, path: str) -> Path:
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise SourceError(f"a record names a file outside of its table: {path}")
    place = table / relative
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _write(place: Path, part: Part) -> None:
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        rest, at = memoryview(part.data), part.offset
        while rest:
            written = os.pwrite(descriptor, rest, at)
            rest, at = rest[written:], at + written
    finally:
        os.close(descriptor)
