"""Chroma as a source: what the configuration names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drtool.errors import MissingToolError
from drtool.sources.base import MISSING, Compared, Probe
from drtool.sources.chroma import definitions, names
from drtool.sources.chroma.address import Address, parse
from drtool.sources.chroma.copying import require_directory
from drtool.sources.chroma.engine import client_version, major, opened
from drtool.sources.chroma.freezing import FUZZY, Selection, freeze
from drtool.sources.comparing import compare_identical
from drtool.sources.cutting import Record
from drtool.sources.exporting import Exporter, ExportPlace
from drtool.sources.plain import PlainSource
from drtool.sources.reading import Consistency, StreamInfo
from drtool.sources.throwaway import throwaway
from drtool.sources.vectors import records as vector_records
from drtool.sources.vectors.comparing import compare_vectors
from drtool.sources.vectors.recall import lost_recall

if TYPE_CHECKING:
    from drtool.sources.chroma.target import ChromaTarget
    from drtool.sources.chroma.view import ChromaView

#: By how many units in the last place a cosine collection's vectors may differ: Chroma keeps them normalised, and
#: multiplies them out again.
_ULPS = 2


class Secret(Protocol):
    """A value that does not show itself."""

    def reveal(self) -> str:
        """The value."""


class Settings(Protocol):
    """The part of the configuration that belongs to this source."""

    @property
    def url(self) -> str | None:
        """A server."""

    @property
    def path(self) -> Path | None:
        """Or the directory of an embedded one."""

    @property
    def token(self) -> Secret | None:
        """For ``Authorization: Bearer``."""

    @property
    def headers(self) -> Mapping[str, Secret]:
        """What else goes with each request."""

    @property
    def tenants(self) -> Sequence[str]:
        """Those to back up."""

    @property
    def databases(self) -> Sequence[str]:
        """Those to back up; empty for all."""

    @property
    def exclude(self) -> Sequence[str]:
        """Collections, TENANT/DATABASE, or globs."""


@dataclass(frozen=True, slots=True)
class Box:
    """A sandbox (``drtool.sources.base.Sandbox``): a directory that goes at the end."""

    uri: str


class ChromaSource(PlainSource):
    """A Chroma server or directory (``drtool.sources.base.Source``). `headers` go with each request to a server."""

    type = "chroma"

    def __init__(
        self, name: str, where: str, *, headers: Mapping[str, str] | None = None, selection: Selection | None = None
    ) -> None:
        self.name = name
        self._headers = headers or {}
        self._address = parse(where, self._headers)
        self._selection = selection or Selection()

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> ChromaSource:
        """From a validated configuration."""
        headers = {key: value.reveal() for key, value in settings.headers.items()}
        if settings.token is not None:
            headers["Authorization"] = f"Bearer {settings.token.reveal()}"
        selection = Selection(tuple(settings.tenants), tuple(settings.databases), tuple(settings.exclude))
        return cls(name, settings.url or str(settings.path), headers=headers, selection=selection)

    def probe(self) -> Probe:
        """See ``Source.probe``."""
        directory = self._address.directory
        if directory is not None:
            require_directory(directory)
            missing = self._selection.missing(self._selection.in_directory(directory))
            return Probe(self.type, client_version(), "embedded", "", Consistency.EXACT, tuple(missing))
        with opened(self._address) as engine:
            missing = self._selection.missing(self._selection.on_server(engine))
            return Probe(self.type, engine.version(), "server", "", Consistency.FUZZY, (FUZZY, *missing))

    def prepare(self, previous: Mapping[str, Any] | None) -> ChromaPrepared:  # noqa: ARG002 - all is read each time
        """See ``Source.prepare``."""
        if self._address.directory is not None:
            require_directory(self._address.directory)
        return ChromaPrepared(self._address, self._selection)

    def matches(self, stream: str, pattern: str) -> bool:
        """See ``Source.matches``."""
        return names.matches(stream, pattern)

    def rename(self, stream: str, old: str, new: str) -> str | None:
        """See ``Source.rename``."""
        return names.rename(stream, old, new)

    def target(self, uri: str | None) -> ChromaTarget:
        """See ``Source.target``: a URL, or a directory. The headers of the source go to its own server only."""
        from drtool.sources.chroma.target import ChromaTarget

        if uri is None:
            return ChromaTarget(self._address)
        address = parse(uri, {})
        same = address.url is not None and self._address.url is not None and address.shown == self._address.shown
        return ChromaTarget(parse(uri, self._headers) if same else address)

    @contextlib.contextmanager
    def sandbox(self, version: str, directory: Path) -> Iterator[Box]:
        """See ``Source.sandbox``: an engine in this process, on a directory below `directory`."""
        self.sandbox_program(version)
        with throwaway(directory, "drtool-chroma-") as home:
            yield Box(str(home))

    def sandbox_program(self, version: str) -> str:
        """See ``Source.sandbox_program``: the embedded engine."""
        has = client_version()
        if major(has) < major(version):
            raise MissingToolError(
                f"the source is Chroma {version}, and chromadb here is {has}: too old to restore it into",
                hint="Upgrade it: pip install --upgrade 'drtool[chroma]'",
            )
        return f"chromadb {has}"

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """See ``Source.differences``."""
        return definitions.differences(expected.definition, actual.definition)

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """See ``Source.describe``."""
        return definitions.describe(definition)

    def compare(self, stream: StreamInfo, expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
        """See ``Source.compare``: byte for byte, but the vectors of cosine collections."""
        if definitions.is_vectors(stream) and definitions.space_of(stream) == "cosine":
            return compare_vectors(expected, restored, _ULPS)
        return compare_identical(expected, restored)

    def regressions(self, before: Mapping[str, Any], restored: Mapping[str, Any]) -> Sequence[str]:
        """See ``Source.regressions``: search that finds less."""
        return lost_recall(before, restored)

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:  # noqa: ARG002
        """See ``Source.values``."""
        return vector_records.values(chunks, path, MISSING)

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """See ``Source.records``."""
        return vector_records.records(chunk)

    def exporter(self, place: ExportPlace) -> Exporter:
        """Parquet."""
        from drtool.sources.vectors.exporting import ParquetExporter

        return ParquetExporter(place, self.type, definitions.shape)


class ChromaPrepared:
    """A source that is ready to fix its instant (``drtool.sources.reading.Prepared``)."""

    def __init__(self, address: Address, selection: Selection) -> None:
        self._address, self._selection = address, selection

    def freeze(self) -> ChromaView:
        """See ``Prepared.freeze``."""
        return freeze(self._address, self._selection)

    def close(self) -> None:
        """Nothing is held: each view has a copy or a connection of its own."""
