"""Restoring trees: each is built in a directory of its own beside its place, which nobody else may enter, and gets its
name when it is complete. So what stands under its name is never half of it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from drtool.errors import AuthenticationError, SourceError, TargetNotEmptyError
from drtool.sources.base import Inspection, Loaded, Proof, RestoreItem, RestorePlan
from drtool.sources.files.attributes import bequeath_nothing
from drtool.sources.files.definitions import Definition, group_name, user_name
from drtool.sources.files.memory import Memory
from drtool.sources.files.naming import place_of, refuse_overlaps
from drtool.sources.files.patterns import Excluded
from drtool.sources.files.placing import Place
from drtool.sources.files.reading import Moves
from drtool.sources.files.records import decode, split
from drtool.sources.files.staying import carry, left_out, mounted_at_or_below
from drtool.sources.files.view import FilesView
from drtool.sources.files.walking import Names, Tree, shown
from drtool.sources.plain import PlainTarget

_MARKER = "marker"
_TREE = "tree"
_REPLACED = "replaced"
_HINT = "Restore beside it or under another name (--rename OLD=NEW), or to another directory (--to DIR)."


class FilesTarget(PlainTarget):
    """Trees at their paths, or below `directory` (``drtool.sources.base.Target``). `strict`: owners and attributes that
    cannot be set are an error where the snapshot declares the proof identical. What is `excluded` stays where a tree is
    replaced."""

    def __init__(self, directory: Path | None, *, strict: bool = False, excluded: Excluded | None = None) -> None:
        self._directory, self._strict, self._excluded = directory, strict, excluded
        self._places: dict[str, Place] = {}
        self._locks: list[int] = []

    def inspect(self, plan: RestorePlan) -> Inspection:
        """See ``Target.inspect``."""
        refuse_overlaps(item.name for item in plan.items)
        occupied = [told for item in plan.items for told in self._occupied(item, plan)]
        lasting = [told for item in plan.items for told in self._lasting(item, plan)]
        notes = [note for item in plan.items for note in _notes(item)]
        target = str(self._directory or "this host")
        return Inspection(target, tuple(occupied), tuple(dict.fromkeys(notes)), _HINT, tuple(lasting))

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``."""
        self._let_go()
        found = self.inspect(plan)
        occupied = found.lasting if plan.replace else found.occupied
        if occupied:
            raise TargetNotEmptyError(f"there is something already: {'; '.join(occupied)}", hint=_HINT)
        for item in plan.items:
            site = self._site(item)
            with _named_errors(site.path):
                site.path.parent.mkdir(parents=True, exist_ok=True)
                self._locks.append(site.begin(plan.marker))
                self._places[item.name] = self._place(item, site)

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Target.load``."""
        records = size = 0
        with self._placed(item).writing() as writing:
            for chunk in chunks:
                for data in split(chunk):
                    writing.write(decode(data), data)
                    records += 1
                size += len(chunk)
        return Loaded(records, size)

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """See ``Target.finish``: owners and times of directories; then each tree gets its name."""
        for item in plan.items:
            place = self._placed(item)
            place.complete()
            for names, what in (
                (place.unset.owners, "belong to this account: only root may give files their owners"),
                (place.unset.attributes, "came back without some extended attributes"),
                (place.unset.devices, "did not come back: only root may make devices"),
            ):
                if names.count:
                    progress(f"{item.name}: {names} {what}")
        for item in plan.items:
            with _named_errors(self._site(item).path):
                kept = self._site(item).put_in_place(self._excluded, replace=plan.replace)
            for told in kept:
                progress(f"{item.name}: {told}")
        return {}

    def read_back(self, plan: RestorePlan) -> FilesView:
        """See ``Target.read_back``."""
        trees = [Tree(item.stream.name, os.fsencode(self._site(item).path)) for item in plan.items]
        return _ReadBack(trees, Memory(None), Proof.IDENTICAL, Moves())

    def close(self) -> None:
        """See ``Target.close``."""
        for place in self._places.values():
            place.close()
        self._places.clear()
        self._let_go()

    def _let_go(self) -> None:
        while self._locks:
            os.close(self._locks.pop())

    def _site(self, item: RestoreItem) -> _Site:
        path = place_of(item.name, self._directory)
        # As where it is read: a path that is a link stands for what it leads to.
        return _Site(Path(os.path.realpath(path)) if self._directory is None and path.is_symlink() else path)

    def _placed(self, item: RestoreItem) -> Place:
        if item.name not in self._places:
            self._places[item.name] = self._place(item, self._site(item))
        return self._places[item.name]

    def _place(self, item: RestoreItem, site: _Site) -> Place:
        holder = os.open(site.building, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        strict = self._strict and item.stream.proof is Proof.IDENTICAL
        return Place(holder, os.fsencode(_TREE), str(site.path), strict=strict)

    def _occupied(self, item: RestoreItem, plan: RestorePlan) -> Iterator[str]:
        site = self._site(item)
        with _named_errors(site.path):
            if (found := site.content()) is not None:
                yield f"{site.path}: {found}"
        yield from self._lasting(item, plan)

    def _lasting(self, item: RestoreItem, plan: RestorePlan) -> Iterator[str]:
        site = self._site(item)
        with _named_errors(site.path):
            if site.is_of_another(plan.marker) and not (plan.replace and site.is_abandoned()):
                yield (
                    f"{site.path}: another restore to it has not ended; if none is running, {site.first()}remove"
                    f" {site.building}"
                )
            for point in mounted_at_or_below(site.path):
                is_itself = point == str(site.path)
                yield f"{site.path} is a mount point" if is_itself else f"{site.path}: {point} is mounted inside"


@dataclass(frozen=True, slots=True)
class _Site:
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
            if os.path.lexists(self.building / _TREE):
                _remove(self.building / _TREE)
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
        """The tree is complete. Returns what had to be kept elsewhere, as sentences."""
        kept: list[str] = []
        if os.path.lexists(self.replaced) and os.path.lexists(self.path):
            # An earlier attempt was killed while it did so.
            kept += self._clear(left_out(self.replaced, excluded), excluded)
        # Looked for before anything moves, so that it is at its place again soon.
        stays = left_out(self.replaced if os.path.lexists(self.replaced) else self.path, excluded)
        if (found := self.content()) is not None:
            if not replace:
                raise TargetNotEmptyError(f"{self.path}: meanwhile there is {found}", hint=_HINT)
            self.path.rename(self.replaced)
        elif self.path.is_dir() and not self.path.is_symlink():
            self.path.rmdir()
        try:
            (self.building / _TREE).rename(self.path)
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


class _ReadBack(FilesView):
    """A view that remembers nothing."""

    def close(self) -> None:
        super().close()
        self._memory.close()


def _notes(item: RestoreItem) -> Iterator[str]:
    definition = Definition.decode(item.stream.definition)
    if os.geteuid() != 0 and (set(definition.owners) - {os.geteuid()}):
        yield f"{item.name}: only root can give its files back to their owners; they will be this account's"
        return
    for names, name_of, what in (
        (definition.owners, user_name, "user"),
        (definition.groups, group_name, "group"),
    ):
        for number, name in names.items():
            here = name_of(number)
            if name and here != name:
                yield f"{what} {number} was {name}; on this host it is {here or 'nobody that is known'}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _named(error: OSError, path: Path) -> str:
    return shown(os.fsencode(error.filename)) if isinstance(error.filename, str | bytes) else str(path)


@contextlib.contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise AuthenticationError(
            f"{_named(error, path)} may not be written by this account: {error.strerror}",
            hint="Run the restore as root, or restore to a directory of yours (--to DIR).",
        ) from error
    except OSError as error:
        raise SourceError(
            f"{_named(error, path)}: {error.strerror or error}",
            hint="A mount point cannot be replaced: restore to a directory below it (--to DIR).",
        ) from error
