"""Restoring trees: each is built in a directory of its own beside its place, which nobody else may enter, and gets its
name when it is complete. So what stands under its name is never half of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import AuthenticationError, SourceError, TargetNotEmptyError
from drtool.sources.base import Inspection, Loaded, Proof, RestoreItem, RestorePlan
from drtool.sources.files.definitions import Definition, group_name, user_name
from drtool.sources.files.memory import Memory
from drtool.sources.files.naming import place_of, refuse_overlaps
from drtool.sources.files.placing import Place
from drtool.sources.files.reading import Moves
from drtool.sources.files.records import decode, split
from drtool.sources.files.view import FilesView
from drtool.sources.files.walking import Tree
from drtool.sources.plain import PlainTarget

_MARKER = "marker"
_TREE = "tree"
_REPLACED = "replaced"
_HINT = "Restore beside it or under another name (--rename OLD=NEW), or to another directory (--to DIR)."


class FilesTarget(PlainTarget):
    """Trees at their paths, or below `directory` (``drtool.sources.base.Target``). `strict`: owners and attributes that
    cannot be set are an error where the snapshot declares the proof identical."""

    def __init__(self, directory: Path | None, *, strict: bool = False) -> None:
        self._directory, self._strict = directory, strict
        self._places: dict[str, Place] = {}

    def inspect(self, plan: RestorePlan) -> Inspection:
        """See ``Target.inspect``."""
        refuse_overlaps(item.name for item in plan.items)
        occupied = [told for item in plan.items for told in self._occupied(item, plan.marker)]
        lasting = [told for item in plan.items for told in self._of_others(item, plan.marker)]
        notes = [note for item in plan.items for note in _notes(item)]
        target = str(self._directory or "this host")
        return Inspection(target, tuple(occupied), tuple(dict.fromkeys(notes)), _HINT, tuple(lasting))

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``."""
        found = self.inspect(plan)
        occupied = found.lasting if plan.replace else found.occupied
        if occupied:
            raise TargetNotEmptyError(f"there is something already: {'; '.join(occupied)}", hint=_HINT)
        for item in plan.items:
            site = self._site(item)
            with _named_errors(site.path):
                site.path.parent.mkdir(parents=True, exist_ok=True)
                if site.building.is_symlink() or site.building.exists():
                    _remove(site.building)
                site.building.mkdir(mode=0o700)
                (site.building / _MARKER).write_text(plan.marker, encoding="utf-8")
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
                self._site(item).put_in_place(replace=plan.replace)
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

    def _site(self, item: RestoreItem) -> _Site:
        return _Site(place_of(item.name, self._directory))

    def _placed(self, item: RestoreItem) -> Place:
        if item.name not in self._places:
            self._places[item.name] = self._place(item, self._site(item))
        return self._places[item.name]

    def _place(self, item: RestoreItem, site: _Site) -> Place:
        holder = os.open(site.building, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        strict = self._strict and item.stream.proof is Proof.IDENTICAL
        return Place(holder, os.fsencode(_TREE), str(site.path), strict=strict)

    def _occupied(self, item: RestoreItem, marker: str) -> Iterator[str]:
        site = self._site(item)
        with _named_errors(site.path):
            if (found := site.content()) is not None:
                yield f"{site.path}: {found}"
        yield from self._of_others(item, marker)

    def _of_others(self, item: RestoreItem, marker: str) -> Iterator[str]:
        site = self._site(item)
        with _named_errors(site.path):
            if site.is_of_another(marker):
                yield f"{site.path}: another restore to it has not ended; if none is running, remove {site.building}"


@dataclass(frozen=True, slots=True)
class _Site:
    """Where a tree goes, and where it is built."""

    path: Path

    @property
    def building(self) -> Path:
        """The directory beside it: on the same file system, so that a rename brings the tree to its place."""
        return self.path.parent / f".drtool-restore-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]}"

    def content(self) -> str | None:
        """What is there, as words; None for nothing, and for an empty directory."""
        try:
            found = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISDIR(found.st_mode):
            return f"a file of {found.st_size:,} bytes" if stat.S_ISREG(found.st_mode) else "no directory"
        with os.scandir(self.path) as entries:
            count = sum(1 for _ in entries)
        return f"a directory that holds {count:,} name{'s' if count > 1 else ''}" if count else None

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

    def put_in_place(self, *, replace: bool) -> None:
        """The tree is complete."""
        if replace and self.content() is not None:
            self.path.rename(self.building / _REPLACED)
        elif self.path.is_dir() and not self.path.is_symlink():
            self.path.rmdir()
        (self.building / _TREE).rename(self.path)
        _remove(self.building)


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


@contextlib.contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise AuthenticationError(
            f"{error.filename or path} may not be written by this account: {error.strerror}",
            hint="Run the restore as root, or restore to a directory of yours (--to DIR).",
        ) from error
    except OSError as error:
        raise SourceError(
            f"{error.filename or path}: {error.strerror or error}",
            hint="A mount point cannot be replaced: restore to a directory below it (--to DIR).",
        ) from error
