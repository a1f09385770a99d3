"""Durable files: what `DirectoryStorage` needs from a file system, with its errors translated."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drtool.errors import (
    PermissionDeniedError,
    StorageError,
    StorageFullError,
    TransientStorageError,
    UnsafeStorageError,
)
from drtool.storage.base import Buffer

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_PASSING = {errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.EMFILE, errno.ENFILE, errno.ENOENT}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK}


@contextmanager
def translated(action: str, path: Path) -> Iterator[None]:
    """Turn an ``OSError`` raised inside into the ``StorageError`` that says the same."""
    try:
        yield
    except OSError as error:
        raise _translate(error, f"cannot {action} {path}: {error.strerror or error}") from error


def _translate(error: OSError, message: str) -> StorageError:
    if error.errno in _FULL:
        return StorageFullError(message)
    if error.errno in _DENIED:
        return PermissionDeniedError(message, hint="Check the owner and mode of the directory, and how it is mounted.")
    if error.errno in _PASSING:
        return TransientStorageError(message, ambiguous=False)
    if error.errno == errno.EIO:
        return StorageError(message, hint="The disk or its connection is failing: see the kernel's log.")
    return StorageError(message)


def write_durably(path: Path, data: Buffer) -> None:
    """Create `path` (mode 0600) with `data`, on disk when this returns; nothing is left of it on an error.

    The modification time, which is the file system's clock, gets random digits below the millisecond: many systems
    stamp with their timer's tick, and two files written within one must still be told apart.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            rest = memoryview(data).cast("B")
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            now = os.fstat(descriptor).st_mtime_ns
            os.utime(descriptor, ns=(now, now + secrets.randbelow(1_000_000)))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def stamp_after(path: Path, other: os.stat_result) -> None:
    """Give `path` a modification time later than `other`'s, by as little as the file system can tell apart."""
    step = 1
    while path.stat().st_mtime_ns <= other.st_mtime_ns:
        later = other.st_mtime_ns + step
        os.utime(path, ns=(later, later))
        step *= 1000


def make_directories(path: Path, *, above: Path) -> None:
    """Make `path` and what is missing between it and `above`, which exists; mode 0700."""
    chain = [path, *path.parents]
    for directory in reversed(chain[: chain.index(above)]):
        directory.mkdir(mode=0o700, exist_ok=True)


def sync_directories(path: Path, *, up_to: Path) -> None:
    """Make the entries of `path` and of each directory up to and including `up_to` durable."""
    chain = [path, *path.parents]
    for directory in chain[: chain.index(up_to) + 1]:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` (made if missing) against other threads, processes and, over NFS, hosts.

    The kernel drops the lock with its holder. Raises ``UnsafeStorageError`` where the file system cannot lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UnsafeStorageError(
            f"cannot lock {path}: {error.strerror}",
            hint="Put the repository on a file system with working locks (for NFS: version 4, or with lockd).",
        ) from error


def link_or_rename(source: Path, destination: Path, lock: Path) -> None:
    """Give `source` the name `destination` if that is free; ``FileExistsError`` otherwise. Race-free.

    A hard link does this alone; file systems without hard links get a look and a rename under `lock`.
    """
    try:
        os.link(source, destination)
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    with locked(lock):
        if destination.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(destination))
        source.rename(destination)
