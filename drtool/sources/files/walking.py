"""Walking a tree in the order of the records' keys: one lstat for each name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from drtool.errors import AuthenticationError, SourceError, UnreachableError
from drtool.sources.files.changes import is_since
from drtool.sources.files.entries import Entry, entry_of
from drtool.sources.files.patterns import Excluded

#: How many names a warning tells.
NAMED = 5


@dataclass(slots=True)
class Names:
    """Some names of many."""

    count: int = 0
    some: list[str] = field(default_factory=list)

    def add(self, path: bytes) -> None:
        """One more."""
        self.count += 1
        if len(self.some) < NAMED:
            self.some.append(shown(path))

    def __str__(self) -> str:
        more = self.count - len(self.some)
        return ", ".join(self.some) + (f" and {more:,} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Tree:
    """What is walked: a directory or a file at ``root``, and what of it is left out: ``excluded`` by the patterns
    ``exclude``."""

    name: str
    root: bytes
    excluded: Excluded | None = None
    one_file_system: bool = False
    exclude: tuple[str, ...] = ()

    def at(self, path: bytes) -> bytes:
        """Where a path relative to the tree is."""
        return self.root.rstrip(b"/") + b"/" + path if path else self.root


@dataclass(slots=True)
class Walk:
    """One walk of a tree. ``sockets`` are names that are left out: there is nothing in them to keep. ``moving`` are
    those that changed between `instant` (ns since the epoch) and the walk: what was moved from a directory that was
    still to be listed to one that had been is in neither."""

    tree: Tree
    stopped: Callable[[], bool] = bool
    instant: int | None = None
    sockets: Names = field(default_factory=Names)
    moving: Names = field(default_factory=Names)
    _firsts: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Entry]:
        found = _root(self.tree)
        yield self._seen(entry_of(b"", found))
        if not stat.S_ISDIR(found.st_mode):
            return
        device = found.st_dev
        pending = [iter(self._listed(b"", b"", found))]
        while pending:
            for name, inside, each in pending[-1]:
                path, key, is_directory = inside
                if stat.S_ISSOCK(each.st_mode):
                    self.sockets.add(self.tree.at(path))
                    continue
                first = self._first(key, each) if each.st_nlink > 1 and not is_directory else b""
                yield self._seen(entry_of(key, each, first))
                if is_directory and not (self.tree.one_file_system and each.st_dev != device):
                    pending.append(iter(self._listed(path, key, each)))
                    break
                del name
            else:
                pending.pop()

    def _seen(self, entry: Entry) -> Entry:
        if self.instant is not None and is_since(entry.ctime, self.instant):
            self.moving.add(self.tree.at(entry.path))
        return entry

    def _listed(
        self, path: bytes, key: bytes, was: os.stat_result
    ) -> list[tuple[bytes, tuple[bytes, bytes, bool], os.stat_result]]:
        """What a directory holds, in order: names, paths with keys, and what lstat says."""
        if self.stopped():
            raise SourceError(f"reading {self.tree.name} was cancelled")
        directory, excluded = self.tree.at(path), self.tree.excluded
        below, key_below = (path + b"/", key + b"\0") if path else (b"", b"")
        listed = []
        try:
            with os.scandir(directory) as entries:
                for each in entries:
                    is_directory = each.is_dir(follow_symlinks=False)
                    inside = below + each.name
                    if excluded is not None and excluded(inside, is_directory):
                        continue
                    try:
                        found = each.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # it is gone since the directory was read
                    listed.append((each.name, (inside, key_below + each.name, stat.S_ISDIR(found.st_mode)), found))
            is_still = os.lstat(directory).st_ctime_ns == was.st_ctime_ns
        except (FileNotFoundError, NotADirectoryError):
            if not path:
                raise gone(self.tree) from None
            listed, is_still = [], False
        except OSError as error:
            raise unreadable(directory, error) from error
        if not is_still and self.instant is not None and not is_since(was.st_ctime_ns, self.instant):
            self.moving.add(directory)
        listed.sort()
        return listed

    def _first(self, key: bytes, found: os.stat_result) -> bytes:
        identity = (found.st_dev, found.st_ino)
        first = self._firsts.setdefault(identity, key)
        return b"" if first == key or not stat.S_ISREG(found.st_mode) else first


def _root(tree: Tree) -> os.stat_result:
    try:
        found = os.lstat(tree.root)
    except (FileNotFoundError, NotADirectoryError):
        raise gone(tree) from None
    except OSError as error:
        raise unreadable(tree.root, error) from error
    if stat.S_ISSOCK(found.st_mode):
        raise SourceError(
            f"{tree.name} is a socket, of which nothing can be kept", hint="Leave it out of the configuration's paths."
        )
    return found


def gone(tree: Tree) -> UnreachableError:
    """There is nothing where a tree should be."""
    return UnreachableError(
        f"{tree.name} does not exist", hint="Is the volume mounted? Else correct the path in the configuration."
    )


def unreadable(path: bytes, error: OSError) -> SourceError:
    """A file or directory cannot be read: what is not read must not pass as saved."""
    if isinstance(error, PermissionError):
        return AuthenticationError(
            f"{shown(path)} may not be read by this account",
            hint="Run the backup as root, let this account read it, or name it in exclude.",
        )
    return SourceError(
        f"{shown(path)} cannot be read: {error.strerror or error}",
        hint="Look into the system's log for errors of the disk; what need not be kept can be named in exclude.",
    )


def shown(path: bytes) -> str:
    """A path for people: what is not UTF-8, and what would move the cursor, is escaped."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
