"""The files of one version of a table, and reading them part by part."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import AuthenticationError, InstantMovedError, SourceError
from drtool.sources.cutting import Record
from drtool.sources.lancedb.manifest import Manifest, latest, manifest_path, read_manifest
from drtool.sources.lancedb.records import PART_BYTES, Part, encode, key_of
from drtool.sources.reading import WHOLE, KeyRange

SUFFIX = ".lance"


@dataclass(frozen=True, slots=True)
class File:
    """A file: its path below the table's directory, and its size in bytes."""

    path: str
    size: int

    def offsets(self) -> range:
        """Where its parts begin."""
        return range(0, max(1, self.size), PART_BYTES)


@dataclass(frozen=True, slots=True)
class Version:
    """A table at one version: its directory, its files sorted by record key, and a digest of what it consists of."""

    name: str
    directory: Path
    manifest: Manifest
    digest: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.size for file in self.files)

    @property
    def parts(self) -> int:
        """How many records they make."""
        return sum(len(file.offsets()) for file in self.files)


def newest(name: str, directory: Path) -> int:
    """A table's newest version. ``InstantMovedError`` where the table is gone."""
    try:
        version = latest(directory)
    except OSError as error:
        raise _explained(name, error) from error
    if version is None:
        raise InstantMovedError(f"table {name}: it was dropped while it was looked at")
    return version


def fix(name: str, directory: Path, version: int) -> Version:
    """The files of a version. ``InstantMovedError`` where one is gone already, ``SourceError`` where one is damaged."""
    try:
        path = manifest_path(directory, version)
        data = (directory / path).read_bytes()
        manifest = read_manifest(data, name)
        sizes = {path: len(data)}
        for named in manifest.files:
            sizes[named.path] = size = (directory / named.path).stat().st_size
            if named.size is not None and named.size != size:
                raise SourceError(
                    f"table {name}: {named.path} is damaged: it has {size:,} bytes, and {named.size:,} were written",
                    hint="Restore the table, or an older version of it, before the next backup.",
                )
        for each in (*manifest.directories, *manifest.optional):
            sizes |= _sizes_of(directory, each)
    except OSError as error:
        raise _lost(name, directory, version, error) from error
    ordered = sorted(sizes.items(), key=lambda one: key_of(one[0], 0))
    files = tuple(File(path, size) for path, size in ordered)
    return Version(name, directory, manifest, _digest(data, files), files)


def read(version: Version, part: KeyRange) -> Iterator[Record]:
    """The records of a part. ``InstantMovedError`` where a cleanup took a file away."""
    for file in version.files:
        wanted = [offset for offset in file.offsets() if _within(key_of(file.path, offset), part)]
        if not wanted:
            continue
        try:
            with (version.directory / file.path).open("rb", buffering=PART_BYTES) as stream:
                size = os.fstat(stream.fileno()).st_size
                if size != file.size:
                    raise SourceError(
                        f"table {version.name}: {file.path} changed from {file.size:,} to {size:,} bytes while it was"
                        " read",
                        hint="Something other than LanceDB writes there: its own files never change.",
                    )
                for offset in wanted:
                    stream.seek(offset)
                    yield encode(Part(file.path, offset, size, stream.read(min(PART_BYTES, size - offset))))
        except OSError as error:
            raise _explained(version.name, error) from error


def split(version: Version, parts: int, part_bytes: int) -> Sequence[KeyRange]:
    """At most `parts` ranges of about the same size, of `part_bytes` or more."""
    worth = min(parts, version.bytes // part_bytes)
    if worth <= 1:
        return [WHOLE]
    bounds: list[bytes] = []
    step, passed = version.bytes / worth, 0
    for file in version.files:
        for offset in file.offsets():
            if passed >= step * (len(bounds) + 1) and len(bounds) < worth - 1:
                bounds.append(key_of(file.path, offset))
            passed += min(PART_BYTES, file.size - offset)
    lowers: list[bytes | None] = [None, *bounds]
    uppers: list[bytes | None] = [*bounds, None]
    return [KeyRange(lower, upper) for lower, upper in zip(lowers, uppers, strict=True)]


def _digest(manifest: bytes, files: Sequence[File]) -> str:
    digest = hashlib.sha256(manifest)
    for file in files:
        digest.update(key_of(file.path, file.size))
    return digest.hexdigest()[:32]


def _within(key: bytes, part: KeyRange) -> bool:
    return (part.lower is None or part.lower <= key) and (part.upper is None or key < part.upper)


def _sizes_of(table: Path, place: str) -> dict[str, int]:
    """A file, or all files of a directory; nothing where neither is there."""
    if (table / place).is_file():
        return {place: (table / place).stat().st_size}
    sizes: dict[str, int] = {}
    for parent, _, names in os.walk(table / place, onerror=_unless_absent):
        for name in names:
            path = Path(parent, name)
            sizes[path.relative_to(table).as_posix()] = path.stat().st_size
    return sizes


def _unless_absent(error: OSError) -> None:
    """What `os.walk` cannot list it would leave out."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _lost(name: str, directory: Path, version: int, error: OSError) -> SourceError:
    """A file that the newest version needs was not cleaned up: it is lost."""
    manifest = directory / manifest_path(directory, version)
    if isinstance(error, FileNotFoundError) and manifest.exists() and latest(directory) == version:
        return SourceError(
            f"table {name} is damaged: {error.filename}, which its newest version needs, is not there",
            hint="Restore the table, or leave it out with exclude.",
        )
    return _explained(name, error)


def _explained(name: str, error: OSError) -> SourceError:
    if isinstance(error, FileNotFoundError):
        return InstantMovedError(f"table {name}: {error.filename} was removed while it was read")
    if isinstance(error, PermissionError):
        return AuthenticationError(
            f"table {name}: {error.filename} may not be read",
            hint="Run drtool as the user who owns the database, or give its user the right to read it.",
        )
    return SourceError(f"table {name}: {error.filename}: {error.strerror}")
