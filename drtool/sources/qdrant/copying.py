"""Copies of directories whose files are mostly holes: memory-mapped ones, made larger than what they hold."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_BUFFER = 1 << 16
_ZEROS = bytes(_BUFFER)


def copy_tree(source: Path, destination: Path) -> None:
    """All regular files below `source`, holes and all. Raises ``OSError``; symbolic links are not followed."""
    destination.mkdir(mode=0o700)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                copy_tree(Path(entry.path), destination / entry.name)
            elif entry.is_file(follow_symlinks=False):
                _copy_file(entry.path, destination / entry.name)


def _copy_file(source: str, destination: Path) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(reading).st_size
            os.ftruncate(writing, size)
            _copy_data(reading, writing, size)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_data(reading: int, writing: int, size: int) -> None:
    at = 0
    while at < size:
        try:
            at = os.lseek(reading, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            raise
        end = os.lseek(reading, at, os.SEEK_HOLE)
        while at < end:
            data = os.pread(reading, min(_BUFFER, end - at), at)
            if not data:
                return
            _write(writing, data, at)
            at += len(data)


def _write(file: int, data: bytes, at: int) -> None:
    if data == _ZEROS[: len(data)]:  # some file systems have no holes to tell of
        return
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        at, view = at + written, view[written:]
