"""Fixing an instant: the newest version of every table, all at the same time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from drtool.errors import AuthenticationError, InstantMovedError, SourceError, UnreachableError
from drtool.sources.lancedb.files import SUFFIX, Version, fix, newest
from drtool.sources.lancedb.manifest import VERSIONS, latest

#: How often tables are looked at until none of them got a version between two looks.
_LOOKS = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tables are backed up: names or globs."""

    tables: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Is it one of them?"""
        wanted = not self.tables or any(fnmatchcase(name, pattern) for pattern in self.tables)
        return wanted and not any(fnmatchcase(name, pattern) for pattern in self.exclude)


@dataclass(frozen=True, slots=True)
class Frozen:
    """Tables at one version each. ``apart`` are the seconds between the first and the last look at them, where tables
    were written to all the time; 0 where all versions were the newest ones at one moment."""

    at: datetime
    versions: tuple[Version, ...]
    apart: float = 0.0


def table_names(database: Path, takes: Callable[[str], bool]) -> list[str]:
    """The tables in a database's directory. ``UnreachableError`` where there is no such directory."""
    try:
        return sorted(
            name
            for entry in database.iterdir()
            if (name := entry.name.removesuffix(SUFFIX)) != entry.name
            and takes(name)
            and (entry / VERSIONS).is_dir()
            and latest(entry) is not None
        )
    except FileNotFoundError as error:
        if Path(error.filename) != database:
            raise InstantMovedError(f"{error.filename} was removed while tables were listed") from error
        raise UnreachableError(
            f"{database} does not exist", hint="Set path to the directory that lancedb.connect() is given."
        ) from error
    except NotADirectoryError as error:
        raise UnreachableError(
            f"{database} is no directory", hint="Set path to the directory that lancedb.connect() is given."
        ) from error
    except PermissionError as error:
        raise AuthenticationError(
            f"{error.filename} may not be read", hint="Run drtool as the user who owns the database."
        ) from error
    except OSError as error:
        raise SourceError(f"{error.filename or database}: {error.strerror}") from error


def freeze(database: Path, takes: Callable[[str], bool]) -> Frozen:
    """The newest versions; where they keep changing, those of the last look."""
    found, began = _look(database, takes)
    for _ in range(_LOOKS):
        at = datetime.now(UTC)
        again, again_began = _look(database, takes)
        if again == found:  # so at the moment between, each was the newest
            return Frozen(at, _fixed(database, found))
        found, began = again, again_began
    ended = datetime.now(UTC)
    return Frozen(ended, _fixed(database, found), (ended - began).total_seconds())


def has_namespaces(database: Path) -> bool:
    """Does the database have tables that lie in namespaces?"""
    return any("$" in entry.name and (entry / VERSIONS).is_dir() for entry in database.iterdir())


def _look(database: Path, takes: Callable[[str], bool]) -> tuple[dict[str, int], datetime]:
    began = datetime.now(UTC)
    names = table_names(database, takes)
    return {name: newest(name, database / f"{name}{SUFFIX}") for name in names}, began


def _fixed(database: Path, found: dict[str, int]) -> tuple[Version, ...]:
    return tuple(fix(name, database / f"{name}{SUFFIX}", version) for name, version in found.items())
