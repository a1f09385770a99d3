"""Trees of files as a source: what the configuration names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drtool.errors import UsageError
from drtool.sources.base import MISSING, Compared, Lack, Probe, Sandbox
from drtool.sources.comparing import compare_identical, compare_in_order
from drtool.sources.cutting import Record
from drtool.sources.files.definitions import Definition
from drtool.sources.files.lacking import find_lacks
from drtool.sources.files.memory import Memory
from drtool.sources.files.patterns import excluder
from drtool.sources.files.reading import Moves
from drtool.sources.files.records import FILE, decode, records
from drtool.sources.files.view import FilesView
from drtool.sources.files.walking import Tree, gone, unreadable
from drtool.sources.plain import PlainSource
from drtool.sources.reading import Consistency, Proof, StreamInfo

if TYPE_CHECKING:
    from drtool.sources.exporting import Exporter, ExportPlace
    from drtool.sources.files.target import FilesTarget


class Settings(Protocol):
    """The part of the configuration that belongs to this source."""

    @property
    def paths(self) -> Sequence[Path]:
        """Trees or files."""

    @property
    def exclude(self) -> Sequence[str]:
        """Patterns as in .gitignore."""

    @property
    def one_file_system(self) -> bool:
        """Are other file systems that are mounted inside left out?"""

    @property
    def cache(self) -> bool:
        """May this host remember what it read?"""


class FilesSource(PlainSource):
    """Trees of files (``drtool.sources.base.Source``): one stream for each path."""

    type = "files"

    def __init__(
        self,
        name: str,
        *,
        paths: Sequence[Path],
        exclude: Sequence[str] = (),
        one_file_system: bool = False,
        cache: bool = True,
    ) -> None:
        self.name = name
        self._paths, self._exclude, self._one_file_system = tuple(paths), tuple(exclude), one_file_system
        self._cache = cache
        self._memory: Path | None = None
        self._sandboxes: set[str] = set()

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> FilesSource:
        """From a validated configuration."""
        return cls(
            name,
            paths=settings.paths,
            exclude=settings.exclude,
            one_file_system=settings.one_file_system,
            cache=settings.cache,
        )

    def probe(self) -> Probe:
        """See ``Source.probe``. The version is the kernel's."""
        warnings = []
        for tree in self._trees():
            try:
                if os.path.isdir(tree.root) and not os.listdir(tree.root):  # noqa: PTH112, PTH208 - bytes
                    warnings.append(f"{tree.name} is empty: is its volume mounted?")
                os.lstat(tree.root)
            except FileNotFoundError:
                raise gone(tree) from None
            except OSError as error:
                raise unreadable(tree.root, error) from error
        topology = "1 tree" if len(self._paths) == 1 else f"{len(self._paths)} trees"
        return Probe(self.type, os.uname().release, topology, "", Consistency.EXACT, tuple(warnings))

    def lacks(self) -> Sequence[Lack]:
        """See ``Source.lacks``. Walks the trees, but for root, who may read everything."""
        return find_lacks(self._trees())

    def remember_in(self, directory: Path) -> None:
        """See ``Source.remember_in``."""
        self._memory = directory if self._cache else None

    def prepare(self, previous: Mapping[str, Any] | None) -> FilesPrepared:
        """See ``Source.prepare``."""
        memory = Memory(self._memory)
        memory.forget_all_but(str((previous or {}).get("reading")))
        return FilesPrepared(self._trees(), memory)

    def target(self, uri: str | None) -> FilesTarget:
        """See ``Source.target``: the paths themselves, or a directory that they go below."""
        from drtool.sources.files.target import FilesTarget

        if uri is None:
            return FilesTarget(None, excluded=excluder(self._exclude))
        return FilesTarget(Path(uri).absolute(), strict=uri in self._sandboxes)

    @contextlib.contextmanager
    def _sandbox(self, directory: Path) -> Iterator[Sandbox]:
        from drtool.sources.files.sandbox import sandbox

        with sandbox(directory) as box:
            self._sandboxes.add(box.uri)
            try:
                yield box
            finally:
                self._sandboxes.discard(box.uri)

    def sandbox(self, version: str, directory: Path) -> AbstractContextManager[Sandbox]:  # noqa: ARG002 - the contract's
        """See ``Source.sandbox``: a directory that only this account may enter."""
        return self._sandbox(directory)

    def sandbox_program(self, version: str) -> str:  # noqa: ARG002 - the contract's
        """See ``Source.sandbox_program``: none is needed."""
        return "a temporary directory"

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:  # noqa: ARG002 - the contract's
        """See ``Source.differences``: all that is restored of a tree is in its records."""
        return ()

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """See ``Source.describe``."""
        return Definition.decode(definition).describe()

    def compare(self, stream: StreamInfo, expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
        """See ``Source.compare``. Where the backup was not root's, owners and what else only root can restore do not
        count."""
        if stream.proof is Proof.IDENTICAL:
            return compare_identical(expected, restored)
        from drtool.sources.files.comparing import without_owners

        return compare_in_order(records, expected, restored, without_owners)

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
        """See ``Source.values``: of each file its ``path`` relative to the tree, its ``full_path``, its ``name``."""
        if path not in ("path", "full_path", "name"):
            raise UsageError(
                f"{stream.name}: files have no field {path!r}", hint="Relations can use path, full_path and name."
            )
        for chunk in chunks:
            for _, data in records(chunk):
                document = decode(data)
                inside = os.fsdecode(document["_id"])
                if document.get("type") != FILE:
                    yield MISSING
                elif path == "path":
                    yield inside
                else:
                    full = os.path.join(stream.name, inside) if inside else stream.name  # noqa: PTH118
                    yield full if path == "full_path" else os.path.basename(full)  # noqa: PTH119

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """See ``Source.records``."""
        return records(chunk)

    def exporter(self, place: ExportPlace) -> Exporter:
        """Plain files in a directory."""
        from drtool.sources.files.exporting import FilesExporter

        if place.directory is None:
            raise UsageError(
                "files are exported to a directory, not to an archive",
                hint="drtool export SNAPSHOT DIR, then tar that directory.",
            )
        return FilesExporter(place.directory)

    def _trees(self) -> tuple[Tree, ...]:
        excluded = excluder(self._exclude)
        return tuple(
            # A path that is a link stands for what it leads to (a release that is current, say).
            Tree(str(path), os.fsencode(os.path.realpath(path)), excluded, self._one_file_system, self._exclude)
            for path in self._paths
        )


class FilesPrepared:
    """Trees that are ready to be walked (``drtool.sources.reading.Prepared``)."""

    def __init__(self, trees: Sequence[Tree], memory: Memory) -> None:
        self._trees, self._memory, self._moves = trees, memory, Moves()

    def freeze(self) -> FilesView:
        """See ``Prepared.freeze``."""
        proof = Proof.IDENTICAL if os.geteuid() == 0 else Proof.CANONICAL
        return FilesView(self._trees, self._memory, proof, self._moves)

    def close(self) -> None:
        """See ``Prepared.close``."""
        self._memory.close()
