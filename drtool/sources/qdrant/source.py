"""Qdrant as a source: what the configuration names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drtool.sources.base import MISSING, Compared, Probe, Sandbox
from drtool.sources.comparing import compare_in_order
from drtool.sources.cutting import Record
from drtool.sources.exporting import Exporter, ExportPlace
from drtool.sources.plain import PlainSource
from drtool.sources.qdrant import definitions
from drtool.sources.qdrant.addresses import Address, Kind, parse
from drtool.sources.qdrant.opening import missing, open_reader, open_writer, probe
from drtool.sources.qdrant.sandbox import kind_of_sandbox, sandbox, sandbox_program
from drtool.sources.qdrant.stores import Selection
from drtool.sources.reading import StreamInfo
from drtool.sources.vectors import records as vector_records

if TYPE_CHECKING:
    from drtool.sources.qdrant.target import QdrantTarget
    from drtool.sources.qdrant.view import QdrantView


class Secret(Protocol):
    """A value that does not show itself."""

    def reveal(self) -> str:
        """The value."""


class Settings(Protocol):
    """The part of the configuration that belongs to this source."""

    @property
    def url(self) -> str | None:
        """A server's."""

    @property
    def api_key(self) -> Secret | None:
        """The server's."""

    @property
    def prefer_grpc(self) -> bool:
        """Over gRPC where possible?"""

    @property
    def path(self) -> Path | None:
        """A directory of local mode."""

    @property
    def edge(self) -> Path | None:
        """A directory of embedded shards."""

    @property
    def collections(self) -> Sequence[str]:
        """Those to back up; empty for all."""

    @property
    def exclude(self) -> Sequence[str]:
        """Those to leave out."""


class QdrantSource(PlainSource):
    """A Qdrant (``drtool.sources.base.Source``)."""

    type = "qdrant"

    def __init__(
        self, name: str, address: Address, *, collections: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> None:
        self.name = name
        self._address = address
        self._selection = Selection(tuple(collections), tuple(exclude))

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> QdrantSource:
        """From a validated configuration."""
        if settings.url is not None:
            key = None if settings.api_key is None else settings.api_key.reveal()
            address = Address(Kind.SERVER, settings.url, key, settings.prefer_grpc)
        elif settings.path is not None:
            address = Address(Kind.LOCAL, str(settings.path))
        else:
            address = Address(Kind.EDGE, str(settings.edge))
        return cls(name, address, collections=tuple(settings.collections), exclude=tuple(settings.exclude))

    def probe(self) -> Probe:
        """See ``Source.probe``."""
        return probe(self._address, self._selection)

    def prepare(self, previous: Mapping[str, Any] | None) -> QdrantPrepared:  # noqa: ARG002 - read whole each time
        """See ``Source.prepare``."""
        return QdrantPrepared(self._address, self._selection)

    def target(self, uri: str | None) -> QdrantTarget:
        """See ``Source.target``: a URL, ``edge:DIRECTORY``, ``path:DIRECTORY``, or a directory alone."""
        from drtool.sources.qdrant.target import QdrantTarget

        return QdrantTarget(open_writer(self._addressed(uri)))

    def sandbox(self, version: str, directory: Path) -> AbstractContextManager[Sandbox]:
        """See ``Source.sandbox``."""
        return sandbox(self._address.kind, version, directory)

    def sandbox_program(self, version: str) -> str:
        """See ``Source.sandbox_program``."""
        return sandbox_program(self._address.kind, version)

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """See ``Source.differences``."""
        return definitions.differences(expected.definition, actual.definition)

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """See ``Source.describe``."""
        return definitions.describe(definition)

    def compare(self, stream: StreamInfo, expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
        """See ``Source.compare``."""
        from drtool.sources.qdrant.comparing import compare, is_exact

        definition = definitions.Definition.decode(stream.definition)
        if stream.beside and not is_exact(definition):
            return compare(definition, expected, restored)
        return compare_in_order(self.records, expected, restored)

    def regressions(self, before: Mapping[str, Any], restored: Mapping[str, Any]) -> Sequence[str]:
        """See ``Source.regressions``."""
        from drtool.sources.vectors.recall import lost_recall

        return lost_recall(before, restored)

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:  # noqa: ARG002
        """See ``Source.values``: ``id``, or ``payload.FIELD``."""
        return vector_records.values(chunks, path, MISSING)

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """See ``Source.records``."""
        return vector_records.records(chunk)

    def exporter(self, place: ExportPlace) -> Exporter:
        """See ``Source.exporter``: Parquet."""
        from drtool.sources.qdrant.exporting import exporter

        return exporter(place)

    def _addressed(self, uri: str | None) -> Address:
        if uri is None:
            return self._address
        found = parse(uri, kind_of_sandbox(self._address.kind))
        return self._address.with_key_for(found)


class QdrantPrepared:
    """See ``drtool.sources.reading.Prepared``."""

    def __init__(self, address: Address, selection: Selection) -> None:
        self._address, self._selection = address, selection

    def freeze(self) -> QdrantView:
        """See ``Prepared.freeze``: of an embedded one a copy is made."""
        from drtool.sources.qdrant.view import QdrantView

        reader = open_reader(self._address, self._selection)
        try:
            return QdrantView(reader, warnings=missing(self._selection, list(reader.collections())))
        except BaseException:
            reader.close()
            raise

    def close(self) -> None:
        """Nothing is held."""
