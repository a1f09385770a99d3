"""Places for an export: a new directory, a new file, or standard output.

What is not complete never bears its name: it grows as ``NAME.partial``, is synced, then renamed, and removed after an
error. It is for its owner's eyes only.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drtool.errors import ExportError, RefusedError
from drtool.sources.exporting import ExportPlace

STANDARD_OUTPUT = "-"
_PARTIAL = ".partial"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_HINT = "Name a new directory, or an empty one."


class Descriptor:
    """Writes to a file descriptor, without a buffer that could hold back an error."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes, /) -> None:
        """Write all of it. Raises ``OSError``."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


def check(path: Path, *, is_file: bool) -> None:
    """``RefusedError`` where something is there, which an export never replaces. An empty directory may be."""
    with _explained(path):
        if os.path.lexists(path):
            _refuse_existing(path, is_file)
        partial = partial_of(path)
        if os.path.lexists(partial):
            raise RefusedError(
                f"{partial} is there: an export has not ended yet, or was killed",
                hint="If none is running, remove it.",
            )


def _refuse_existing(path: Path, is_file: bool) -> None:
    if is_file:
        raise RefusedError(f"{path} exists", hint="Name a new file, or remove this one first.")
    if path.is_symlink() or not path.is_dir():
        raise RefusedError(f"{path} exists and is no directory", hint=_HINT)
    if any(path.iterdir()):
        raise RefusedError(f"{path} is not empty", hint=_HINT)
    if (is_mount := path.absolute().is_mount()) or path.samefile(Path.cwd()):
        what = "a mount point" if is_mount else "the working directory"
        raise RefusedError(f"{path} is {what} and cannot be replaced", hint=f"Name one below it: {path / 'dump'}")


def free_bytes(path: Path) -> int:
    """How much fits where `path` will be. Raises ``ExportError`` where its directory does not exist."""
    with _explained(path):
        return shutil.disk_usage(path.absolute().parent).free


def partial_of(path: Path) -> Path:
    """What it is called while it grows."""
    whole = path.absolute()
    return whole.with_name(whole.name + _PARTIAL)


@contextmanager
def new_directory(path: Path, version: str) -> Iterator[ExportPlace]:
    """A directory that gets the name `path` when the block ends well."""
    check(path, is_file=False)
    partial = partial_of(path)
    with _explained(path):
        partial.mkdir(mode=0o700)
        try:
            yield ExportPlace(str(path), version, directory=partial)
            _sync_tree(partial)
            partial.rename(path)
            _sync(path.absolute().parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def below(place: ExportPlace, name: str, version: str) -> ExportPlace:
    """A new directory in the one that `place` is, for a system of `version`."""
    assert place.directory is not None
    with _explained(place.directory):
        (place.directory / name).mkdir(mode=0o700)
    return ExportPlace(f"{place.shown}/{name}", version, directory=place.directory / name)


@contextmanager
def new_file(path: Path, version: str) -> Iterator[ExportPlace]:
    """A file that gets the name `path` when the block ends well."""
    check(path, is_file=True)
    partial = partial_of(path)
    with _explained(path):
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                yield ExportPlace(str(path), version, archive=Descriptor(descriptor))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if os.path.lexists(path):
                raise RefusedError(f"{path} has come into being meanwhile", hint="Run it again, with another name.")
            partial.rename(path)
            _sync(path.absolute().parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def standard_output(descriptor: int, version: str) -> Iterator[ExportPlace]:
    """The pipe that standard output is."""
    with _explained(Path("standard output")):
        yield ExportPlace(STANDARD_OUTPUT, version, archive=Descriptor(descriptor))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ExportError(
                f"no space left for {path}: what was written of it is removed", hint="Free some, or name another disk."
            ) from error
        if error.errno == errno.EPIPE:
            raise ExportError(f"{path}: the program that read it has ended") from error
        raise ExportError(f"cannot write {path}: {error.strerror or error}") from error


def _sync_tree(directory: Path) -> None:
    for parent, _, names in os.walk(directory, topdown=False):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():  # opening a pipe would wait for ever
                _sync(path)
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
