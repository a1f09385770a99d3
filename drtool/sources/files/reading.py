"""From an entry of a listing to its records: reading content while others may write it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from drtool.errors import InstantMovedError
from drtool.sources.cutting import Record
from drtool.sources.files.attributes import attributes_of
from drtool.sources.files.entries import PART_BYTES, Entry, last_key, part_number
from drtool.sources.files.records import encode_entry, encode_hard_link, encode_part
from drtool.sources.files.walking import Names, Tree, shown, unreadable

#: How often a file is read again that changed meanwhile.
_ATTEMPTS = 3
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WITHOUT_ATIME = getattr(os, "O_NOATIME", 0)
#: Below this no file has a hole.
_PAGE = 4096
_ZEROS = bytes(PART_BYTES)


class _VanishedError(Exception):
    """There is no such file any more, or something else stands there."""


@dataclass(slots=True)
class Moves:
    """How often reading ended because a file was not as it was listed."""

    count: int = 0


@dataclass(slots=True)
class Reading:
    """Reads entries of a tree. ``may_change`` says of an entry whether its file may be read as it is by now: else one
    that is not as it was listed is an ``InstantMovedError``. Those that were read so, or changed while they were read,
    are ``changed``, and those that are no more ``vanished``."""

    tree: Tree
    may_change: Callable[[Entry], bool]
    moves: Moves
    changed: Names = field(default_factory=Names)
    torn: Names = field(default_factory=Names)
    vanished: Names = field(default_factory=Names)
    _lost: set[bytes] = field(default_factory=set)

    def records(self, entry: Entry, lower: bytes | None, upper: bytes | None, *, own: bool) -> Iterator[Record]:
        """The records of an entry with keys from `lower` on. `own` where nobody else reads it: those before `upper`."""
        if entry.first and entry.first not in self._lost:
            yield encode_hard_link(entry)
            return
        if entry.first:
            entry = entry._replace(first=b"")
        is_free = own and self.may_change(entry) and (lower is None or lower <= entry.key)
        is_free = is_free and (upper is None or last_key(entry) < upper)
        try:
            if stat.S_ISLNK(entry.mode):
                yield self._link(entry, is_free=is_free)
            elif not entry.is_file:
                yield self._without_content(entry)
            elif entry.size <= PART_BYTES:
                yield from self._small(entry, is_free=is_free)
            else:
                yield from self._large(entry, lower, is_free=is_free)
        except _VanishedError:
            if not is_free:
                raise self._moved(entry) from None
            self._lost.add(entry.key)
            self.vanished.add(self.tree.at(entry.path))

    def _without_content(self, entry: Entry) -> Record:
        path = self.tree.at(entry.path)
        try:
            found = attributes_of(path) if stat.S_ISDIR(entry.mode) else []
        except OSError as error:
            raise _failed(path, error) from error
        return encode_entry(entry, attributes=found) if found else encode_entry(entry)

    def _link(self, entry: Entry, *, is_free: bool) -> Record:
        """A link's target never changes, but a release is put in place by another link of the same name."""
        path = self.tree.at(entry.path)
        listed = entry
        for _ in range(_ATTEMPTS):
            try:
                target, found = os.readlink(path), os.lstat(path)  # noqa: PTH115 - bytes
            except OSError as error:
                raise _failed(path, error) from error
            was, entry = entry, entry.renewed(found)
            if entry == was:
                break
            if not is_free:
                raise self._moved(entry)
            if not stat.S_ISLNK(found.st_mode):
                raise _VanishedError
        if entry != listed:
            self.changed.add(path)
        return encode_entry(entry, target=target)

    def _small(self, entry: Entry, *, is_free: bool) -> Iterator[Record]:
        """At one go, and again while it changes."""
        path = self.tree.at(entry.path)
        was_changed = False
        for _ in range(_ATTEMPTS):
            with self._opened(path) as fd:
                before = os.fstat(fd)
                if not entry.is_still(before):
                    entry, was_changed = self._renewed(entry, before, is_free=is_free), True
                    if entry.size > PART_BYTES:
                        break
                data = _read(fd, entry.size, 0)
                more = self._more(fd, before)
                if entry.is_still(os.fstat(fd)) and len(data) == entry.size:
                    if was_changed:
                        self.changed.add(path)
                    yield encode_entry(entry, **more, data=data) if data else encode_entry(entry, **more)
                    return
                if not is_free:
                    raise self._moved(entry)
                was_changed = True
        yield from self._large(entry, None, is_free=True)

    def _large(self, entry: Entry, lower: bytes | None, *, is_free: bool) -> Iterator[Record]:
        """In parts, as long as it was when it was opened. What it lost since is zeros."""
        path = self.tree.at(entry.path)
        with self._opened(path) as fd:
            before = os.fstat(fd)
            if was_changed := not entry.is_still(before):
                entry = self._renewed(entry, before, is_free=is_free)
            number = 0 if lower is None else part_number(entry.key, lower)
            if lower is None or lower <= entry.key:
                number = 0
                more = self._more(fd, before)
                if 0 < entry.size <= PART_BYTES:
                    more["data"] = _read(fd, entry.size, 0).ljust(entry.size, b"\0")
                yield encode_entry(entry, **more)
            if number is not None and entry.size > PART_BYTES:
                yield from _parts(fd, entry, number, is_sparse=_is_sparse(fd, before))
            if not entry.is_still(os.fstat(fd)):
                if not is_free:
                    raise self._moved(entry)
                self.torn.add(path)
            elif was_changed:
                self.changed.add(path)

    def _renewed(self, entry: Entry, found: os.stat_result, *, is_free: bool) -> Entry:
        if not is_free:
            raise self._moved(entry)
        if not stat.S_ISREG(found.st_mode):
            raise _VanishedError
        if found.st_ino != entry.inode:
            self._lost.add(entry.key)  # its further names are those of the file that was there
        return entry.renewed(found)

    def _more(self, fd: int, found: os.stat_result) -> dict[str, object]:
        more: dict[str, object] = {}
        if attributes := attributes_of(fd):
            more["attributes"] = attributes
        if _is_sparse(fd, found):
            more["sparse"] = True
        return more

    @contextlib.contextmanager
    def _opened(self, path: bytes) -> Iterator[int]:
        fd = self._open(path)
        try:
            yield fd
        except OSError as error:
            raise unreadable(path, error) from error
        finally:
            os.close(fd)

    def _open(self, path: bytes) -> int:
        try:
            return os.open(path, _FLAGS | _WITHOUT_ATIME)
        except PermissionError:
            pass  # only its owner may read a file without leaving a trace
        except OSError as error:
            raise _failed(path, error) from error
        try:
            return os.open(path, _FLAGS)
        except OSError as error:
            raise _failed(path, error) from error

    def _moved(self, entry: Entry) -> InstantMovedError:
        self.moves.count += 1
        return InstantMovedError(f"{shown(self.tree.at(entry.path))} changed while the tree was read")


def _failed(path: bytes, error: OSError) -> Exception:
    """Why a name cannot be opened."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO):
        return _VanishedError()
    return unreadable(path, error)


def _parts(fd: int, entry: Entry, number: int, *, is_sparse: bool) -> Iterator[Record]:
    while (at := number * PART_BYTES) < entry.size:
        if is_sparse:
            following = _next_data(fd, at)
            if following is None:
                return
            if following >= at + PART_BYTES:
                number = following // PART_BYTES
                continue
        data = _read(fd, min(PART_BYTES, entry.size - at), at).ljust(min(PART_BYTES, entry.size - at), b"\0")
        if not is_sparse or data != _ZEROS[: len(data)]:
            yield encode_part(entry, number, data, is_sparse=is_sparse)
        number += 1


def _next_data(fd: int, at: int) -> int | None:
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _read(fd: int, size: int, at: int) -> bytes:
    """So many bytes, or fewer where the file ends."""
    data = os.pread(fd, size, at)
    while 0 < len(data) < size:
        more = os.pread(fd, size - len(data), at + len(data))
        if not more:
            break
        data += more
    return data


def _is_sparse(fd: int, found: os.stat_result) -> bool:
    """Has it a hole?"""
    if found.st_size <= _PAGE or found.st_blocks * 512 >= found.st_size:
        return False
    return os.lseek(fd, 0, os.SEEK_HOLE) < found.st_size
