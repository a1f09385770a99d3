"""A database that a restore writes to."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from drtool.errors import (
    AuthenticationError,
    IncompleteRestoreError,
    SourceError,
    TargetNotEmptyError,
    UsageError,
)
from drtool.sources.lancedb import engine
from drtool.sources.lancedb.definitions import Definition, differences
from drtool.sources.lancedb.files import SUFFIX, fix, newest
from drtool.sources.lancedb.freezing import freeze
from drtool.sources.lancedb.manifest import VERSIONS
from drtool.sources.lancedb.staging import Staging, others
from drtool.sources.lancedb.view import LanceView
from drtool.sources.lancedb.writing import sync, write
from drtool.sources.plain import PlainTarget
from drtool.sources.restoring import Inspection, Loaded, RestoreItem, RestorePlan

_RENAME = "Restore under another name with --rename OLD=NEW, or to another directory with --to DIR."
#: What LanceDB takes as a name.
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class LanceTarget(PlainTarget):
    """A target (``drtool.sources.restoring.Target``): tables get their names when all of them are whole and were
    read."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def inspect(self, plan: RestorePlan) -> Inspection:
        """See ``Target.inspect``. ``MissingToolError`` without the engine: what is restored is read once by it."""
        engine.installed()
        for item in plan.items:
            if not _NAME.fullmatch(item.name):
                raise UsageError(
                    f"{item.name!r} is no name of a table", hint="LanceDB takes letters, digits, and . _ - in names."
                )
        occupied = tuple(self._in_the_way(plan))
        lasting = tuple(self._no_tables(plan))
        return Inspection(str(self._database), occupied, hint=_RENAME if occupied else "", lasting=lasting)

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``."""
        self._require_room(plan)
        self._staging = Staging.of(self._database, plan.marker)
        with self._explained("writing"):
            for item in plan.items:
                self._staging.withdraw(item.name, self._place(item.name))
        self._require_room(plan)
        with self._explained("writing"):
            self._staging.begin(plan.marker, [item.name for item in plan.items])

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Target.load``."""
        with self._explained(f"writing {item.name}"):
            return write(self._staging.table(item.name), chunks)

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """See ``Target.finish``: every table is read once, whole, then all get their names."""
        staging = Staging.of(self._database, plan.marker)
        for item in plan.items:
            progress(f"{item.name}: reading all of it")
            _check(staging, item)
        with self._explained("moving tables into place"):
            for item in plan.items:
                sync(staging.table(item.name))
            staging.whole()
            for item in plan.items:
                place = self._place(item.name)
                if place.exists() and not plan.replace:
                    raise TargetNotEmptyError(f"{place} has come into being meanwhile", hint=_RENAME)
                staging.publish(item.name, place)
            staging.end()
        return {}

    def read_back(self, plan: RestorePlan) -> LanceView:
        """See ``Target.read_back``."""
        original = {item.name: item.stream.name for item in plan.items}
        return LanceView(freeze(self._database, original.__contains__), names=original)

    def close(self) -> None:
        """Nothing is held."""

    def _place(self, name: str) -> Path:
        return self._database / f"{name}{SUFFIX}"

    def _require_room(self, plan: RestorePlan) -> None:
        for sentence in self._no_tables(plan) if plan.replace else self._in_the_way(plan):
            raise TargetNotEmptyError(f"{self._database} is not empty: {sentence}", hint=_RENAME)

    def _in_the_way(self, plan: RestorePlan) -> Iterator[str]:
        with self._explained("looking for tables"):
            begun = set(others(self._database, plan.marker))
            own = Staging.of(self._database, plan.marker)
            for item in plan.items:
                if own.published(item.name):
                    continue  # an earlier attempt of this restore did that
                if item.name in begun:
                    yield f"{item.name}: another restore of it has begun and not ended"
                elif (self._place(item.name) / VERSIONS).is_dir():
                    yield f"{item.name}: {self._held(item.name)}"
        yield from self._no_tables(plan)

    def _no_tables(self, plan: RestorePlan) -> Iterator[str]:
        """What drtool never removes."""
        for place in (self._place(item.name) for item in plan.items):
            if os.path.lexists(place) and not (place / VERSIONS).is_dir():
                yield f"{place} is there and is no table"

    def _held(self, name: str) -> str:
        with engine.translated(f"looking at table {name}"):
            return f"{engine.open_table(self._database, name).count_rows():,} rows"

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise AuthenticationError(
                f"{self._database}: {doing} is not permitted ({error.filename})",
                hint="Run drtool as the user who owns the database, or restore elsewhere with --to DIR.",
            ) from error
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise IncompleteRestoreError(
                f"{self._database}: {doing} failed: {error.strerror}",
                hint="Free some space and run the same command again." if full else "",
            ) from error


def _check(staging: Staging, item: RestoreItem) -> None:
    """The table is as it was: its definition, and as many rows, each of which can be read."""
    directory = staging.table(item.name)
    try:
        version = fix(item.name, directory, newest(item.name, directory))
    except SourceError as error:
        raise IncompleteRestoreError(f"{item.name}: not every file came back: {error.message}") from error
    manifest = version.manifest
    found = engine.describe(staging.directory, item.name, manifest.version, manifest.storage, manifest.writer)
    wrong = differences(item.stream.definition, found.encode())
    if wrong:
        raise IncompleteRestoreError(f"{item.name}: {wrong[0]}")
    wanted = Definition.decode(item.stream.definition).rows
    rows = engine.read_through(staging.directory, item.name, version.bytes)
    if rows != wanted:
        raise IncompleteRestoreError(f"{item.name}: {rows:,} of {wanted:,} rows can be read")
