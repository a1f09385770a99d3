"""What one walk of a tree finds: an entry for each name, in the order of the records' keys."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

#: Content is kept in parts of this many bytes; what is not longer is part of its entry's record.
PART_BYTES = 1024 * 1024
_NUMBER_BYTES = 8
#: The last moment (in the year 2262) that a record can tell; some file systems know later ones, which stand for damage.
_LAST_NS = (1 << 63) - 1


class Entry(NamedTuple):
    """A name in a tree, as lstat tells. ``key`` is its path relative to the tree with ``\\0`` between components, empty
    for the tree itself: so a directory's entries follow it. Times are ns since the epoch. ``first`` is the key of the
    first name of the same file, where it has one before this (a hard link), else empty."""

    key: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    ctime: int
    inode: int
    device: int
    first: bytes

    @property
    def path(self) -> bytes:
        """Relative to the tree."""
        return path_of(self.key)

    @property
    def is_file(self) -> bool:
        """A file with content of its own?"""
        return stat.S_ISREG(self.mode) and not self.first

    @property
    def parts(self) -> int:
        """How many parts follow its record at most."""
        return -(-self.size // PART_BYTES) if self.is_file and self.size > PART_BYTES else 0

    def is_still(self, found: os.stat_result) -> bool:
        """Is that what was found before? Whoever changes a file cannot help changing its ctime."""
        return (_told(found.st_ctime_ns), found.st_ino, found.st_size, found.st_mode) == (
            self.ctime,
            self.inode,
            self.size,
            self.mode,
        )

    def renewed(self, found: os.stat_result) -> Entry:
        """The same name as `found` later."""
        return entry_of(self.key, found, self.first)


def entry_of(key: bytes, found: os.stat_result, first: bytes = b"") -> Entry:
    """From lstat's answer. The size is that of content, and left out where there is none."""
    return Entry(
        key,
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_size if stat.S_ISREG(found.st_mode) else 0,
        _told(found.st_mtime_ns),
        _told(found.st_ctime_ns),
        found.st_ino,
        found.st_rdev if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode) else 0,
        first,
    )


def _told(time: int) -> int:
    return max(-_LAST_NS, min(time, _LAST_NS))


def path_of(key: bytes) -> bytes:
    """The path of an entry's key."""
    return key.replace(b"\0", b"/")


def key_of(path: bytes) -> bytes:
    """The key of an entry's path."""
    return path.replace(b"/", b"\0")


def part_key(key: bytes, number: int) -> bytes:
    """The key of a part: after that of the file, and before that of the next name."""
    return key + b"\0" + number.to_bytes(_NUMBER_BYTES)


def part_number(key: bytes, lower: bytes) -> int | None:
    """The number of the part of the file `key` that has the key `lower`; None where it is none."""
    if len(lower) != len(key) + 1 + _NUMBER_BYTES or not lower.startswith(key + b"\0"):
        return None
    return int.from_bytes(lower[-_NUMBER_BYTES:])


def last_key(entry: Entry) -> bytes:
    """The last key that a record of the entry may have."""
    return part_key(entry.key, entry.parts - 1) if entry.parts else entry.key
