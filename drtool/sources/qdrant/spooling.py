"""Both records of each point, kept in temporary files, so that a collection is asked for only once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import IO

from drtool.errors import SourceError
from drtool.sources.cutting import Record

_HEAD = 8
_BUFFER = 1 << 20


class Spool:
    """Takes records, then gives them, as often as they are asked for and from several threads. The files have no names,
    and end with the process at the latest."""

    def __init__(self) -> None:
        self._files = _file(), _file()
        self._last = b""
        self.records = 0

    def add(self, item: Record, vectors: Record) -> None:
        """The records of the next point. ``SourceError`` where it comes twice or out of order."""
        key = item[0]
        if key <= self._last:
            raise SourceError("the server gives its points out of order, or one of them twice")
        self._last = key
        self.records += 1
        try:
            for file, (_, data) in zip(self._files, (item, vectors), strict=True):
                file.write(len(key).to_bytes(2) + len(data).to_bytes(_HEAD - 2) + key)
                file.write(data)
        except OSError as error:
            raise SourceError(
                f"what a collection holds cannot be kept in a temporary file: {error}",
                hint="Set TMPDIR to a directory that has room for the largest collections.",
            ) from error

    def items(self) -> Iterator[Record]:
        """Those of the items."""
        return _read(self._files[0])

    def vectors(self) -> Iterator[Record]:
        """Those of the vectors."""
        return _read(self._files[1])

    def close(self) -> None:
        """Away with the files. Safe to call twice."""
        for file in self._files:
            file.close()


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="drtool-qdrant-", buffering=_BUFFER)


def _read(file: IO[bytes]) -> Iterator[Record]:
    file.flush()
    number, at = file.fileno(), 0
    while head := os.pread(number, _HEAD, at):
        key, size = int.from_bytes(head[:2]), int.from_bytes(head[2:])
        body = os.pread(number, key + size, at + _HEAD)
        if len(body) != key + size:
            raise SourceError("a temporary file of a collection is not whole")
        yield body[:key], body[key:]
        at += _HEAD + key + size
