"""Where a tree is restored to, and the directory beside it in which it grows."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from drtool.errors import TargetNotEmptyError
from drtool.sources.files.attributes import bequeath_nothing
from drtool.sources.files.patterns import Excluded
from drtool.sources.files.staying import carry, left_out
from drtool.sources.files.syncing import sync
from drtool.sources.files.walking import Names

TREE = "tree"
HINT = "Restore beside it or under another name (--rename OLD=NEW), or to another directory (--to DIR)."
_MARKER = "marker"
_REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a tree goes, and where it is built."""

    path: Path

    @property
    def building(self) -> Path:
        """The directory beside it: on the same file system, so that a rename brings the tree to its place."""
        return self.path.parent / f".drtool-restore-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]}"

    @property
    def replaced(self) -> Path:
        """Where what stood in its place is until the tree is complete."""
        return self.building / _REPLACED

    def begin(self, marker: str) -> int:
        """Make the directory. Of an earlier attempt what it replaced is kept, until the place is filled. Returns a
        descriptor with the lock that tells that somebody is at it."""
        if os.path.lexists(self.replaced):
            if os.path.lexists(self.building / TREE):
                _remove(self.building / TREE)
        else:
            if os.path.lexists(self.building):
                _remove(self.building)
            self.building.mkdir(mode=0o700)
            bequeath_nothing(self.building)
        (self.building / _MARKER).write_text(marker, encoding="utf-8")
        descriptor = os.open(self.building / _MARKER, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor

    def is_abandoned(self) -> bool:
        """Was what lies there begun by this account, and is nobody at it any more?"""
        found = os.lstat(self.building)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        try:
            descriptor = os.open(self.building / _MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def content(self) -> str | None:
        """What is there, as words; None for nothing, and for an empty directory."""
        try:
            found = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISDIR(found.st_mode):
            return f"a file of {found.st_size:,} bytes" if stat.S_ISREG(found.st_mode) else "no directory"
        with os.scandir(self.path) as entries:
            names = sum(1 for _ in entries)
        return f"a directory that holds {names:,} name{'s' if names > 1 else ''}" if names else None

    def is_of_another(self, marker: str) -> bool:
        """Does a restore lie there that is not this one's?"""
        try:
            found = os.lstat(self.building)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return True
        try:
            return (self.building / _MARKER).read_text(encoding="utf-8") != marker
        except FileNotFoundError:
            return any(self.building.iterdir())

    def first(self) -> str:
        """What somebody who clears up after a restore has to do before; nothing where nothing was replaced."""
        if not os.path.lexists(self.replaced):
            return ""
        if self.content() is None:
            return f"move {self.replaced} back to its place, and "
        return f"keep what you need of {self.replaced}, which is what stood there before, and "

    def put_in_place(self, excluded: Excluded | None, *, replace: bool) -> Iterable[str]:
        """The tree is complete, and on its disk. Returns what had to be kept elsewhere, as sentences."""
        kept: list[str] = []
        if os.path.lexists(self.replaced) and os.path.lexists(self.path):
            # An earlier attempt was killed while it did so.
            kept += self._clear(left_out(self.replaced, excluded), excluded)
        # Looked for before anything moves, so that it is at its place again soon.
        stays = left_out(self.replaced if os.path.lexists(self.replaced) else self.path, excluded)
        if (found := self.content()) is not None:
            if not replace:
                raise TargetNotEmptyError(f"{self.path}: meanwhile there is {found}", hint=HINT)
            self.path.rename(self.replaced)
        elif self.path.is_dir() and not self.path.is_symlink():
            self.path.rmdir()
        try:
            (self.building / TREE).rename(self.path)
        except OSError:
            if os.path.lexists(self.replaced):
                self.replaced.rename(self.path)
            raise
        if os.path.lexists(self.replaced):
            kept += self._clear(stays, excluded)
        _remove(self.building)
        return kept

    def _clear(self, stays: Collection[bytes], excluded: Excluded | None) -> Iterator[str]:
        """Delete what was replaced, but for what stays."""
        stuck = Names()
        carry(stays, self.replaced, self.path, stuck)
        came_since = set(left_out(self.replaced, excluded)).difference(stays)
        carry(came_since, self.replaced, self.path, stuck)
        sync(self.path.parent)  # that the new one has the name, before the old one goes
        if not stuck.count:
            _remove(self.replaced)
            return
        place = _free(self.path.with_name(f"{self.path.name}.replaced"))
        self.replaced.rename(place)
        yield f"{stuck} is left out of backups, and the snapshot holds the like: it is kept in {place}"


def _free(path: Path) -> Path:
    """This name, or one with a number that is not taken."""
    names = (path if not number else path.with_name(f"{path.name}.{number}") for number in count())
    return next(name for name in names if not os.path.lexists(name))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
