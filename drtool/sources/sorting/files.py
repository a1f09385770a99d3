"""Files that vanish with the process, however it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO

from drtool.errors import SourceError

_HINT = "It waits in the directory that $TMPDIR names while it is put in order: that needs room for all of it."


class NotKeptError(SourceError):
    """There is no room, or no right, to keep something for a while."""


def room() -> int:
    """How many bytes are free where these files lie; 0 where that cannot be told."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(tempfile.gettempdir()).free
    return 0


def new_file() -> IO[bytes]:
    """``NotKeptError`` where there can be none, here and below."""
    with _kept():
        return tempfile.TemporaryFile()


def write(file: IO[bytes], data: bytes | memoryview) -> None:
    """All of it."""
    with _kept():
        file.write(data)


def flush(file: IO[bytes]) -> None:
    """So that it can be read."""
    with _kept():
        file.flush()


def discard(file: IO[bytes]) -> None:
    """Give up a file, and what is in it: that not all of it was written is of no concern any more."""
    with contextlib.suppress(OSError):
        file.close()


def read(file: IO[bytes], length: int, offset: int) -> bytes:
    """What was flushed; from any thread."""
    with _kept():
        return os.pread(file.fileno(), length, offset)


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotKeptError(f"what is read cannot be kept on this host: {error.strerror}", hint=_HINT) from error
