"""Restoring trees: each is built in a directory of its own beside its place, which nobody else may enter, and gets its
name when it is complete. So what stands under its name is never half of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from drtool.errors import AuthenticationError, SourceError, TargetNotEmptyError
from drtool.sources.files.definitions import Definition, group_name, user_name
from drtool.sources.files.memory import Memory
from drtool.sources.files.naming import place_of, refuse_overlaps
from drtool.sources.files.patterns import Excluded, either, excluder
from drtool.sources.files.placing import Place
from drtool.sources.files.reading import Moves
from drtool.sources.files.records import decode, split
from drtool.sources.files.site import HINT, TREE, Site
from drtool.sources.files.staying import mounted_at_or_below
from drtool.sources.files.syncing import sync
from drtool.sources.files.view import FilesView
from drtool.sources.files.walking import Tree, shown
from drtool.sources.plain import PlainTarget
from drtool.sources.reading import Proof
from drtool.sources.restoring import Inspection, Loaded, RestoreItem, RestorePlan


class FilesTarget(PlainTarget):
    """Trees at their paths, or below `directory` (``drtool.sources.restoring.Target``). `strict`: owners and attributes
    that cannot be set are an error where the snapshot declares the proof identical, and nobody waits for the disk. What
    is `excluded`, or was left out of the snapshot, stays where a tree is replaced."""

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
        return Inspection(target, tuple(occupied), tuple(dict.fromkeys(notes)), HINT, tuple(lasting))

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``."""
        self._let_go()
        found = self.inspect(plan)
        occupied = found.lasting if plan.replace else found.occupied
        if occupied:
            raise TargetNotEmptyError(f"there is something already: {'; '.join(occupied)}", hint=HINT)
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
        if not self._strict:
            self._sync(plan)
        for item in plan.items:
            stays = either(self._excluded, excluder(Definition.decode(item.stream.definition).exclude))
            with _named_errors(self._site(item).path):
                kept = self._site(item).put_in_place(stays, replace=plan.replace)
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

    def _sync(self, plan: RestorePlan) -> None:
        """What is to be replaced goes only when what replaces it is on its disk."""
        for item in plan.items:
            site = self._site(item)
            with _named_errors(site.path):
                sync(site.building)

    def _let_go(self) -> None:
        while self._locks:
            os.close(self._locks.pop())

    def _site(self, item: RestoreItem) -> Site:
        path = place_of(item.name, self._directory)
        # As where it is read: a path that is a link stands for what it leads to.
        return Site(Path(os.path.realpath(path)) if self._directory is None and path.is_symlink() else path)

    def _placed(self, item: RestoreItem) -> Place:
        if item.name not in self._places:
            self._places[item.name] = self._place(item, self._site(item))
        return self._places[item.name]

    def _place(self, item: RestoreItem, site: Site) -> Place:
        holder = os.open(site.building, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        strict = self._strict and item.stream.proof is Proof.IDENTICAL
        return Place(holder, os.fsencode(TREE), str(site.path), strict=strict)

    def _occupied(self, item: RestoreItem, plan: RestorePlan) -> Iterator[str]:
        site = self._site(item)
        with _named_errors(site.path):
            if (found := site.content()) is not None:
                yield f"{item.name}: {found}" + (f" at {site.path}" if str(site.path) != item.name else "")
        yield from self._lasting(item, plan)

    def _lasting(self, item: RestoreItem, plan: RestorePlan) -> Iterator[str]:
        site = self._site(item)
        with _named_errors(site.path):
            if site.is_of_another(plan.marker) and not (plan.replace and site.is_abandoned()):
                yield (
                    f"{item.name}: another restore to it has not ended; if none is running, {site.first()}remove"
                    f" {site.building}"
                )
            for point in mounted_at_or_below(site.path):
                yield f"{item.name}: {point} is {'a mount point' if point == str(site.path) else 'mounted inside'}"


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
