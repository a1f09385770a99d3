"""A directory as storage: one file per object, written beside its place and moved there whole.

Own files have a ``+`` in their names, which object names cannot have: ``+incoming/`` holds what is being written,
``+lock`` orders replacements and deletions. An etag is modification time and size: replacing moves the time on.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from drtool.errors import (
    BucketMissingError,
    CorruptAnswerError,
    ObjectMissingError,
    PermissionDeniedError,
    PreconditionFailedError,
    StorageError,
    TransientStorageError,
    UnsafeStorageError,
)
from drtool.storage.base import Buffer, Capabilities, Keeping, Lock, ObjectInfo, Rights
from drtool.storage.files import (
    link_or_rename,
    locked,
    make_directories,
    stamp_after,
    sync_directories,
    translated,
    write_durably,
)
from drtool.storage.names import check_name, check_prefix, is_name
from drtool.storage.probing import probe

#: A file being written for longer than this (seconds) was left by a writer that died.
STALE_AFTER = 3600.0
_PUBLISH_TRIES = 16


class DirectoryStorage:
    """Implements ``drtool.storage.base.Storage``. Made on the first put; its parent must exist."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._root = Path(path).absolute()
        self._incoming = self._root / "+incoming"
        self._lock_file = self._root / "+lock"
        self._opening = threading.Lock()
        self._opened = False
        self._capabilities: Capabilities | None = None

    @property
    def url(self) -> str:
        """The directory's absolute path."""
        return str(self._root)

    def put(
        self,
        name: str,
        data: Buffer,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        sha256: bytes | None = None,
        lock: Lock | None = None,
    ) -> ObjectInfo:
        """See ``Storage.put``."""
        path = self._path(name)
        if if_absent and if_match is not None:
            raise ValueError("if_absent and if_match exclude each other")
        if lock is not None:
            raise self._cannot_lock()
        if sha256 is not None and hashlib.sha256(data).digest() != sha256:
            raise CorruptAnswerError(f"{path}: the data are not those of the SHA-256 given", ambiguous=False)
        with translated("write", path):
            self._open_for_writing()
            if if_absent and path.exists():
                raise _exists(path)
            incoming = self._incoming / f"{os.getpid()}-{secrets.token_hex(8)}"
            write_durably(incoming, data)
            try:
                return self._publish(incoming, name, path, if_absent=if_absent, if_match=if_match)
            finally:
                incoming.unlink(missing_ok=True)

    def get(self, name: str, *, offset: int = 0, length: int | None = None, version: str | None = None) -> bytes:
        """See ``Storage.get``."""
        path = self._path(name)
        with translated("read", path):
            descriptor = self._open_object(path, version)
            try:
                size = os.fstat(descriptor).st_size
                end = size if length is None else offset + length
                if not 0 <= offset <= end <= size:
                    raise StorageError(f"{path}: bytes {offset} to {end} lie outside of its {size}")
                return _read(descriptor, path, offset, end)
            finally:
                os.close(descriptor)

    def head(self, name: str, *, version: str | None = None) -> ObjectInfo:
        """See ``Storage.head``."""
        path = self._path(name)
        with translated("look at", path):
            descriptor = self._open_object(path, version)
            try:
                return _info(name, os.fstat(descriptor))
            finally:
                os.close(descriptor)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See ``Storage.list``."""
        check_prefix(prefix)
        self._require_parent()
        directory = prefix.rpartition("/")[0]
        return self._walk(f"{directory}/" if directory else "", prefix)

    def list_versions(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """The same as `list`: a directory keeps no versions."""
        return self.list(prefix)

    def keeps_versions(self) -> bool:
        """Never."""
        return False

    def set_lock(self, name: str, lock: Lock, *, version: str | None = None) -> None:  # noqa: ARG002
        """Refused: a directory locks nothing."""
        raise self._cannot_lock()

    def keeping(self) -> Keeping:
        """A directory has neither versions nor locks, and expires nothing."""
        return Keeping(versions=False, locks=False, default_lock=None, expiries=())

    def rights(self, lock: Lock | None) -> Rights:
        """Whoever may write to a directory may delete from it."""
        if lock is not None:
            raise self._cannot_lock()
        return Rights(hide=True, delete_versions=True)

    def delete(self, name: str, *, version: str | None = None) -> None:
        """See ``Storage.delete``. Directories that become empty go too."""
        path = self._path(name)
        self._require_parent()
        with translated("delete", path):
            if version is not None or not path.is_file():
                return
            with locked(self._lock_file):
                path.unlink(missing_ok=True)
                self._remove_empty(path.parent)

    def probe(self) -> Capabilities:
        """See ``Storage.probe``."""
        if self._capabilities is None:
            self._capabilities = probe(self)
        return self._capabilities

    def now(self) -> datetime:
        """The file system's clock (a file server's, say); this host's where nothing may be, or was yet, written."""
        self._require_parent()
        if not self._root.is_dir():
            return datetime.now(UTC)
        try:
            with translated("write to", self._incoming):
                self._open_for_writing()
                path = self._incoming / f"{os.getpid()}-{secrets.token_hex(8)}"
                path.touch(mode=0o600)
                try:
                    return _time(path.stat())
                finally:
                    path.unlink()
        except PermissionDeniedError:
            return datetime.now(UTC)

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, name: str) -> Path:
        check_name(name)
        return self._root / name

    def _cannot_lock(self) -> UnsafeStorageError:
        return UnsafeStorageError(
            f"{self.url} is a directory, and a directory cannot lock objects",
            hint="Object Lock needs a bucket: take repository.object_lock out, or use one.",
        )

    def _require_parent(self) -> None:
        if not self._root.parent.is_dir():
            raise BucketMissingError(
                f"there is no directory {self._root.parent}",
                hint="Is the disk mounted? drtool makes the repository's own directory, not the one above it.",
            )

    def _open_for_writing(self) -> None:
        with self._opening:
            if self._opened and self._incoming.is_dir():
                return
            self._require_parent()
            make_directories(self._incoming, above=self._root.parent)
            sync_directories(self._root, up_to=self._root.parent)
            self._remove_stale()
            self._opened = True

    def _remove_stale(self) -> None:
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):  # its writer, or another cleaner, was faster
                if time.time() - path.stat().st_mtime > STALE_AFTER:
                    path.unlink()

    def _publish(self, incoming: Path, name: str, path: Path, *, if_absent: bool, if_match: str | None) -> ObjectInfo:
        for _ in range(_PUBLISH_TRIES):
            try:
                if if_absent:
                    info = _info(name, incoming.stat())
                    link_or_rename(incoming, path, self._lock_file)
                else:
                    info = self._replace(incoming, name, path, if_match)
            except FileExistsError as error:
                raise _exists(path) from error
            except FileNotFoundError:
                incoming.stat()  # raises if a cleaner took it for stale: then the whole put is to be repeated
                make_directories(path.parent, above=self._root)  # a delete may have emptied and removed it
            else:
                self._sync(path)
                return info
        raise TransientStorageError(f"cannot write {path}: its directory keeps vanishing", ambiguous=False)

    def _replace(self, incoming: Path, name: str, path: Path, if_match: str | None) -> ObjectInfo:
        with locked(self._lock_file):
            try:
                old = path.stat()
            except FileNotFoundError:
                old = None
            if if_match is not None and (old is None or _etag(old) != if_match):
                raise PreconditionFailedError(f"{path} is not what it was")
            if old is not None:
                stamp_after(incoming, old)
            info = _info(name, incoming.stat())
            incoming.replace(path)
            return info

    def _sync(self, path: Path) -> None:
        """All the way up: another writer may have made a directory on the way and not come to sync it."""
        try:
            sync_directories(path.parent, up_to=self._root)
        except OSError as error:
            raise TransientStorageError(f"{path} was written, but may not be durable: {error.strerror}") from error

    def _open_object(self, path: Path, version: str | None) -> int:
        if version is not None:
            raise ObjectMissingError(f"there is no version {version} of {path}: a directory keeps no versions")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            self._require_parent()
            raise ObjectMissingError(f"there is no {path}") from error
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ObjectMissingError(f"{path} is a directory, no object")
        return descriptor

    def _remove_empty(self, directory: Path) -> None:
        while directory != self._root:
            try:
                directory.rmdir()
            except OSError:
                break
            directory = directory.parent
        sync_directories(directory, up_to=directory)

    def _entries(self, directory: Path) -> Sequence[os.DirEntry[str]]:
        with translated("list", directory):
            try:
                with os.scandir(directory) as entries:
                    return tuple(entries)
            except (FileNotFoundError, NotADirectoryError):
                return ()

    def _walk(self, directory: str, prefix: str) -> Iterator[ObjectInfo]:
        """Objects below `directory` (a name ending in ``/``, or empty) that begin with `prefix`, in name order."""
        # A directory sorts by its name and the slash that follows, as its objects' names do.
        below = sorted(
            directory + entry.name + ("/" if entry.is_dir() else "")
            for entry in self._entries(self._root / directory)
            if is_name(entry.name)
        )
        for name in below:
            if name.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._walk(name, prefix)
            elif name.startswith(prefix):
                with suppress(ObjectMissingError):
                    yield self._listed(name)

    def _listed(self, name: str) -> ObjectInfo:
        try:
            return self.head(name)
        except PermissionDeniedError:
            # A file that may not be read is there all the same; whoever reads it is told.
            path = self._path(name)
            with translated("look at", path):
                return _info(name, path.stat())


def _exists(path: Path) -> PreconditionFailedError:
    return PreconditionFailedError(f"{path} exists already")


def _read(descriptor: int, path: Path, offset: int, end: int) -> bytes:
    parts = []
    while offset < end:
        part = os.pread(descriptor, end - offset, offset)
        if not part:
            raise CorruptAnswerError(f"{path} became shorter while it was read")
        parts.append(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _info(name: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(name, status.st_size, _time(status), _etag(status))


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _time(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)
