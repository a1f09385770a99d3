"""Writing names into a directory that nobody else may write to, by its descriptor: no path leads out of it.

Every component is opened without following links, so that what a repository says, and what was restored before, cannot
send anything elsewhere. What has to wait until everything is there (further names of a file, what is said of
directories and of files in parts) is kept for `Place.complete`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drtool.errors import AuthenticationError, DrtoolError, IncompleteRestoreError
from drtool.sources.files import records as kinds
from drtool.sources.files.entries import PART_BYTES
from drtool.sources.files.walking import Names, shown

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ANY_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Some owners no account may give, and root of a container only those that it knows of.
_NOT_TO_GIVE = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.EOVERFLOW, errno.ENOSYS, errno.ENOTSUP)
_OWNERS = "only root may give files their owners"
_BLOCK = 4096
_ZEROS = bytes(_BLOCK)


@dataclass(slots=True)
class Unset:
    """What this account, or the file system, did not let be set."""

    owners: Names = field(default_factory=Names)
    attributes: Names = field(default_factory=Names)
    devices: Names = field(default_factory=Names)


class Place:
    """Where one tree is restored: `name` in the directory `holder` (a descriptor, which the place closes).

    `strict`: what cannot be set is an ``AuthenticationError``; else it is noted in ``unset``. Several threads may each
    have a `writing`.
    """

    def __init__(self, holder: int, name: bytes, shown_as: str, *, strict: bool) -> None:
        self.holder, self.name, self.shown_as, self.strict = holder, name, shown_as, strict
        self.unset = Unset()
        self._waiting: list[bytes] = []
        self._links: list[tuple[bytes, bytes]] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writing]:
        """What one thread writes with."""
        with contextlib.closing(Writing(self)) as made:
            yield made

    def later(self, data: bytes) -> None:
        """A record whose owner, mode and times are to be set at the end."""
        with self._lock:
            self._waiting.append(data)

    def link_later(self, path: bytes, target: bytes) -> None:
        """A further name of a file."""
        with self._lock:
            self._links.append((path, target))

    def complete(self) -> None:
        """Everything is written: make the links, then say of directories what is to be said, the deepest first."""
        with self.writing() as writing:
            for path, target in self._links:
                writing.link(path, target)
            told = sorted((kinds.decode(data) for data in self._waiting), key=lambda one: one["_id"], reverse=True)
            for document in told:
                writing.dress(document)

    def close(self) -> None:
        """Give up the directory."""
        os.close(self.holder)


class Writing:
    """Writes records into a place, by one thread; keeps the directory open that it last wrote to."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._parent: tuple[bytes, ...] | None = None
        self._fd = -1

    def close(self) -> None:
        """Close the directory that is open."""
        if self._fd >= 0:
            os.close(self._fd)
        self._parent, self._fd = None, -1

    def write(self, document: Mapping[str, Any], data: bytes | memoryview) -> None:
        """A record, also given as it is stored. ``IncompleteRestoreError`` names what cannot be written."""
        path = document["_id"]
        with self._named_errors(path):
            if "part" in document:
                self._write_part(path, document)
            else:
                self._write_name(path, document, data)

    def link(self, path: bytes, target: bytes) -> None:
        """A further name of a file."""
        with self._named_errors(path):
            name = self._in_parent(path)
            directory = os.dup(self._fd)
            try:
                first = self._in_parent(target)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory)
                os.link(first, name, src_dir_fd=self._fd, dst_dir_fd=directory, follow_symlinks=False)
            finally:
                os.close(directory)

    def dress(self, document: Mapping[str, Any]) -> None:
        """Owner, mode, attributes and times of a directory or file that is there."""
        path = document["_id"]
        with self._named_errors(path):
            name = self._in_parent(path)
            fd = os.open(name, _ANY_FILE, dir_fd=self._fd)
            try:
                self._set(fd, path, document)
            finally:
                os.close(fd)

    def _write_name(self, path: bytes, document: Mapping[str, Any], data: bytes | memoryview) -> None:
        type_ = document["type"]
        if type_ == kinds.HARD_LINK:
            self._place.link_later(path, document["target"])
            return
        name = self._in_parent(path)
        if type_ == kinds.DIRECTORY:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self._fd)
            self._place.later(bytes(data))
        elif type_ == kinds.FILE:
            self._write_file(name, path, document, data)
        elif type_ == kinds.LINK:
            if not path:
                raise IncompleteRestoreError(f"{self._shown(path)}: no tree is a link")
            self._remove(name)
            os.symlink(document["target"], name, dir_fd=self._fd)
            self._dress_without_opening(name, path, document)
        else:
            self._make_node(name, path, document)

    def _write_file(self, name: bytes, path: bytes, document: Mapping[str, Any], data: bytes | memoryview) -> None:
        content, size = document.get("data", b""), document["size"]
        fd = self._open_file(name)
        try:
            if size > PART_BYTES:
                os.ftruncate(fd, size)
                self._place.later(bytes(data))
                return
            if len(content) != size:
                raise IncompleteRestoreError(f"{self._shown(path)}: the record holds {len(content)} of {size} bytes")
            if document.get("sparse"):
                os.ftruncate(fd, size)
                _write_without_zeros(fd, content, 0)
            elif content:
                _write_all(fd, content, 0)
            self._set(fd, path, document)
        finally:
            os.close(fd)

    def _write_part(self, path: bytes, document: Mapping[str, Any]) -> None:
        number, content = document["part"], document["data"]
        if not 0 <= number < 1 << 43 or len(content) > PART_BYTES:
            raise IncompleteRestoreError(f"{self._shown(path)}: a part of it cannot be one")
        fd = self._open_file(self._in_parent(path))
        try:
            write = _write_without_zeros if document.get("sparse") else _write_all
            write(fd, content, number * PART_BYTES)
        finally:
            os.close(fd)

    def _open_file(self, name: bytes) -> int:
        """A file of that name that has no other."""
        fd = os.open(name, _FILE, 0o600, dir_fd=self._fd)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise FileExistsError(errno.EEXIST, "something else has this name already")
        return fd

    def _make_node(self, name: bytes, path: bytes, document: Mapping[str, Any]) -> None:
        type_ = document["type"]
        self._remove(name)
        if type_ == kinds.FIFO:
            os.mkfifo(name, 0o600, dir_fd=self._fd)
        elif type_ in (kinds.CHARACTER_DEVICE, kinds.BLOCK_DEVICE):
            kind = stat.S_IFCHR if type_ == kinds.CHARACTER_DEVICE else stat.S_IFBLK
            try:
                os.mknod(name, kind | 0o600, os.makedev(*document["device"]), dir_fd=self._fd)
            except PermissionError as error:
                self._not_set(self._place.unset.devices, path, "only root may make devices", error)
                return
        else:
            raise IncompleteRestoreError(f"{self._shown(path)}: its type {type_!r} is unknown to this version")
        self._dress_without_opening(name, path, document)

    def _remove(self, name: bytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def _dress_without_opening(self, name: bytes, path: bytes, document: Mapping[str, Any]) -> None:
        try:
            os.chown(name, document["uid"], document["gid"], dir_fd=self._fd, follow_symlinks=False)
        except OSError as error:
            self._not_given(path, error)
        if document["type"] != kinds.LINK:
            os.chmod(name, document["mode"], dir_fd=self._fd)
        os.utime(name, ns=(document["mtime"], document["mtime"]), dir_fd=self._fd, follow_symlinks=False)

    def _set(self, fd: int, path: bytes, document: Mapping[str, Any]) -> None:
        mode = document["mode"]
        try:
            os.fchown(fd, document["uid"], document["gid"])
        except OSError as error:
            self._not_given(path, error)
            if document["type"] == kinds.FILE:
                mode &= ~(stat.S_ISUID | stat.S_ISGID)  # they were another owner's to give
        attributes: Sequence[bytes] = document.get("attributes", ())
        os.fchmod(fd, mode)
        for name, value in zip(attributes[::2], attributes[1::2], strict=True):
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                self._not_set(self._place.unset.attributes, path, f"{shown(name)} cannot be set", error)
        os.utime(fd, ns=(document["mtime"], document["mtime"]))

    def _not_given(self, path: bytes, error: OSError) -> None:
        if error.errno not in _NOT_TO_GIVE:
            raise error
        if self._place.strict:
            raise AuthenticationError(
                f"{self._shown(path)}: {_OWNERS}: {error.strerror}",
                hint="Run the trial restore as root, and not in a container that has few accounts of its own.",
            ) from error
        self._place.unset.owners.add(path)

    def _not_set(self, names: Names, path: bytes, why: str, error: OSError) -> None:
        if self._place.strict:
            raise _not_provable(f"{self._shown(path)}: {why}", error) from error
        names.add(path)

    def _in_parent(self, path: bytes) -> bytes:
        """Open the directory that `path` is in, made where it is missing; the name in it."""
        components = (self._place.name, *path.split(b"/")) if path else (self._place.name,)
        if any(name in (b"", b".", b"..") or b"\0" in name for name in components):
            raise IncompleteRestoreError(
                f"{self._shown(path)} is no path below the tree: the snapshot was not written by drtool",
                hint="Do not restore from this repository before you know who wrote to it.",
            )
        parent = components[:-1]
        if parent != self._parent:
            self.close()
            fd = os.dup(self._place.holder)
            try:
                for name in parent:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=fd)
                    inner = os.open(name, _DIRECTORY, dir_fd=fd)
                    os.close(fd)
                    fd = inner
            except BaseException:
                os.close(fd)
                raise
            self._parent, self._fd = parent, fd
        return components[-1]

    @contextlib.contextmanager
    def _named_errors(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise IncompleteRestoreError(f"{self._shown(path)} cannot be written: {error.strerror or error}") from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise IncompleteRestoreError(
                f"{self._shown(path)}: its record is damaged, or of a later version of drtool ({error!r})"
            ) from error

    def _shown(self, path: bytes) -> str:
        return f"{self._place.shown_as}/{shown(path)}" if path else self._place.shown_as


def _not_provable(message: str, error: OSError) -> DrtoolError:
    if isinstance(error, PermissionError):
        return AuthenticationError(f"{message}: {error.strerror}", hint="Run the trial restore as root.")
    return IncompleteRestoreError(
        f"{message}: {error.strerror}",
        hint="Run the trial restore on a file system with extended attributes: name a directory there in $TMPDIR.",
    )


def _write_all(fd: int, content: bytes | memoryview, at: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(fd, rest, at)
        rest, at = rest[written:], at + written


def _write_without_zeros(fd: int, content: bytes, at: int) -> None:
    """Blocks of zeros stay holes: the file is as long as it will be, and empty there."""
    view = memoryview(content)
    begin = 0
    for offset in range(0, len(content), _BLOCK):
        if view[offset : offset + _BLOCK] == _ZEROS[: min(_BLOCK, len(content) - offset)]:
            _write_all(fd, view[begin:offset], at + begin)
            begin = offset + _BLOCK
    _write_all(fd, view[begin:], at + begin)
