"""LanceDB as a source: what the configuration names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from drtool.errors import UsageError
from drtool.sources.base import Lack, Probe, Sandbox
from drtool.sources.cutting import Record
from drtool.sources.exporting import Exporter, ExportPlace
from drtool.sources.lancedb import engine
from drtool.sources.lancedb.definitions import Definition, differences
from drtool.sources.lancedb.exporting import LanceExporter
from drtool.sources.lancedb.freezing import Selection, freeze, has_namespaces, table_names
from drtool.sources.lancedb.records import records
from drtool.sources.lancedb.sandbox import sandbox, sandbox_program
from drtool.sources.lancedb.target import LanceTarget
from drtool.sources.lancedb.values import values
from drtool.sources.lancedb.view import PART_BYTES, LanceView
from drtool.sources.plain import PlainSource
from drtool.sources.reading import Consistency, StreamInfo
from drtool.sources.vectors.recall import lost_recall

_EMPTY = "There are no tables in {}, so nothing is backed up. Is it the right directory, and its volume mounted?"
_NAMESPACES = (
    "Tables that lie in namespaces are not backed up. Move what must be kept to the database's root, or back up the"
    " whole directory as files while nobody writes."
)


class Settings(Protocol):
    """The part of the configuration that belongs to this source."""

    @property
    def path(self) -> Path:
        """The database's directory."""

    @property
    def tables(self) -> Sequence[str]:
        """Names or globs; empty for all."""

    @property
    def exclude(self) -> Sequence[str]:
        """Names or globs."""


class LanceSource(PlainSource):
    """A LanceDB database in a local directory (``drtool.sources.base.Source``)."""

    type = "lancedb"

    def __init__(
        self,
        name: str,
        *,
        path: Path,
        tables: Sequence[str] = (),
        exclude: Sequence[str] = (),
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.name = name
        self._database = path
        self._selection = Selection(tuple(tables), tuple(exclude))
        self._part_bytes = part_bytes

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> LanceSource:
        """From a validated configuration."""
        return cls(name, path=settings.path, tables=settings.tables, exclude=settings.exclude)

    def probe(self) -> Probe:
        """See ``Source.probe``. The version is that of the engine on this host."""
        found = table_names(self._database, self._selection.takes)
        missing = [name for name in self._selection.tables if not any(self.matches(each, name) for each in found)]
        warnings = [] if found else [_EMPTY.format(self._database)]
        warnings += [f"The configuration names the table {name}, which does not exist." for name in missing]
        if has_namespaces(self._database):
            warnings.append(_NAMESPACES)
        return Probe(self.type, engine.installed(), "directory", "", Consistency.EXACT, tuple(warnings))

    def restore_lacks(self, to: str | None) -> Sequence[Lack]:
        """See ``Source.restore_lacks``."""
        place = self._database if to is None else Path(to)
        while not place.exists():
            place = place.parent
        if os.access(place, os.W_OK | os.X_OK):
            return ()
        return (Lack(f"write to {place}", "tables cannot be restored there", fatal=True),)

    def prepare(self, previous: Mapping[str, Any] | None) -> LancePrepared:
        """See ``Source.prepare``."""
        engine.installed()
        return LancePrepared(self._database, self._selection, previous, self._part_bytes)

    def target(self, uri: str | None) -> LanceTarget:
        """See ``Source.target``: a directory."""
        if uri is not None and "://" in uri:
            raise UsageError(f"{uri} is no local directory", hint="Restore to a directory and copy that.")
        return LanceTarget(self._database if uri is None else Path(uri).absolute())

    def sandbox(self, version: str, directory: Path) -> AbstractContextManager[Sandbox]:
        """See ``Source.sandbox``."""
        return sandbox(version, directory)

    def sandbox_program(self, version: str) -> str:
        """See ``Source.sandbox_program``."""
        return sandbox_program(version)

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """See ``Source.differences``."""
        return differences(expected.definition, actual.definition)

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """See ``Source.describe``."""
        return Definition.decode(definition).shown()

    def regressions(self, before: Mapping[str, Any], restored: Mapping[str, Any]) -> Sequence[str]:
        """See ``Source.regressions``."""
        return lost_recall(before, restored)

    def values(self, stream: StreamInfo, chunks: Any, path: str) -> Iterator[Any]:
        """See ``Source.values``: `path` is a column, or one and fields below it."""
        return values(stream, chunks, path)

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """See ``Source.records``."""
        return records(chunk)

    def exporter(self, place: ExportPlace) -> Exporter:
        """See ``Source.exporter``: a directory that LanceDB opens."""
        if place.directory is None:
            raise UsageError("a LanceDB database is exported to a directory, not to an archive")
        return LanceExporter(place.directory, place.shown)


class LancePrepared:
    """A source that is ready to fix its instant (``drtool.sources.reading.Prepared``)."""

    def __init__(
        self, database: Path, selection: Selection, previous: Mapping[str, Any] | None, part_bytes: int
    ) -> None:
        self._database, self._selection = database, selection
        self._previous, self._part_bytes = previous, part_bytes

    def freeze(self) -> LanceView:
        """See ``Prepared.freeze``."""
        frozen = freeze(self._database, self._selection.takes)
        return LanceView(frozen, previous=self._previous, part_bytes=self._part_bytes)

    def close(self) -> None:
        """Nothing is held."""
