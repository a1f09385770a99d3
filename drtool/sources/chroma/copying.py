"""A private copy of an embedded Chroma's directory while others write to it: one instant of all that is in it.

The directory holds a SQLite database (collections, documents, metadata, and a log of writes) and, for each collection,
the files of its index, which take over a run of the log at a time. So a copy is whole if the index files stood still
from before the database was copied (with SQLite's backup API, which is one transaction) until after they were: then
what they lack is in the log. Opening a live directory instead would make a second engine, which may overwrite the
first one's index.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from drtool.errors import SourceError, UnreachableError
from drtool.sources.chroma.address import Address
from drtool.sources.chroma.sqlite import DATABASE, connected
from drtool.sources.chroma.translating import translated

_HINT = "Correct the source's path: the directory that the application gives to chromadb.PersistentClient."
_ATTEMPTS = 50
_PAUSE_SECONDS = 0.1
#: A file that was written so short ago may be written again without its time telling: clocks tick in steps.
_TICK_NS = 20_000_000

_Fingerprint = Mapping[Path, tuple[int, int, int, int]]


def require_directory(directory: Path) -> None:
    """``UnreachableError`` unless there is an embedded Chroma."""
    try:
        there = (directory / DATABASE).is_file()
    except OSError as error:
        raise UnreachableError(f"{directory} cannot be read: {error.strerror}", hint=_HINT) from error
    if not there:
        raise UnreachableError(f"{directory} holds no Chroma: there is no {DATABASE} in it", hint=_HINT)


def copy(directory: Path, to: Path) -> datetime:
    """Copy what is in `directory` to the empty directory `to`; returns the instant that the copy belongs to.

    ``SourceError`` where its index files never stood still for as long as copying them takes.
    """
    require_directory(directory)
    for _ in range(_ATTEMPTS):
        try:
            before = _settled(directory)
            if before is not None:
                instant = datetime.now(UTC)
                _copy_database(directory, to)
                _copy_files(directory, before, to)
                if _fingerprint(directory) == before:
                    return instant
        except FileNotFoundError:  # a collection was deleted, or its index written anew
            pass
        except OSError as error:
            raise SourceError(
                f"{directory} cannot be copied to {to}: {error.filename or ''} {error.strerror or error}",
                hint="Run drtool as the user who owns it, with TMPDIR set to a directory that has room for a copy.",
            ) from error
        _empty(to)
        time.sleep(_PAUSE_SECONDS)
    raise SourceError(
        f"{directory} was written to all the time: none of {_ATTEMPTS} copies of its index files is of one instant",
        hint="Back it up at a quieter time, or through its server (url instead of path).",
    )


def _copy_database(directory: Path, to: Path) -> None:
    with (
        connected(directory) as live,
        contextlib.closing(sqlite3.connect(to / DATABASE)) as private,
        translated(Address(directory=directory), "copying its database"),
    ):
        live.backup(private)


def _copy_files(directory: Path, files: _Fingerprint, to: Path) -> None:
    for file in files:
        target = to / file.relative_to(directory)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _settled(directory: Path) -> _Fingerprint | None:
    """The fingerprint, unless something was written a moment ago."""
    found = _fingerprint(directory)
    newest = max((each[0] for each in found.values()), default=0)
    return found if time.time_ns() - newest > _TICK_NS else None


def _fingerprint(directory: Path) -> _Fingerprint:
    """What changes when an index file does: times in ns, size and inode, of all files in the directories of indexes."""
    found = {}
    for index in sorted(path for path in directory.iterdir() if path.is_dir()):
        for file in sorted(path for path in index.rglob("*") if path.is_file()):
            stat = file.stat()
            found[file] = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
    return found


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
