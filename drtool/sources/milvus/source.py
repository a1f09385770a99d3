"""Milvus as a source: what the configuration names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Protocol

from drtool.errors import UsageError
from drtool.sources.base import MISSING, Probe, Sandbox
from drtool.sources.cutting import Record
from drtool.sources.exporting import Exporter, ExportPlace
from drtool.sources.milvus.address import Address
from drtool.sources.milvus.connection import Connection, other_databases, version_of
from drtool.sources.milvus.definitions import DENSE, SPARSE, VECTORS, Definition, differences
from drtool.sources.milvus.freezing import Selection, freeze, names
from drtool.sources.milvus.rows import kept_name
from drtool.sources.milvus.sandbox import sandbox, sandbox_program
from drtool.sources.milvus.target import MilvusTarget
from drtool.sources.milvus.view import MilvusView
from drtool.sources.plain import PlainSource
from drtool.sources.reading import Consistency, StreamInfo
from drtool.sources.vectors import records as vector_records
from drtool.sources.vectors.exporting import ParquetExporter, Shape, VectorKind
from drtool.sources.vectors.recall import lost_recall

_FUZZY = (
    "Clients of a Milvus server cannot read several collections at one instant: the backup is fuzzy. Stop writing while"
    " it runs to make it exact. Milvus servers were never tried with this version of drtool, only Milvus Lite was."
)
_METRICS = {"L2": "l2", "COSINE": "cosine", "IP": "ip"}
_KINDS = {DENSE: VectorKind.DENSE, SPARSE: VectorKind.SPARSE}


class Secret(Protocol):
    """A value that does not show itself."""

    def reveal(self) -> str:
        """The value."""


class Settings(Protocol):
    """The part of the configuration that belongs to this source."""

    @property
    def uri(self) -> str:
        """A server's address, or a path."""

    @property
    def token(self) -> Secret | None:
        """What a server asks for."""

    @property
    def db_name(self) -> str:
        """The server's database."""

    @property
    def collections(self) -> Sequence[str]:
        """Names or globs; empty for all."""

    @property
    def exclude(self) -> Sequence[str]:
        """Names or globs."""


class MilvusSource(PlainSource):
    """A database of a Milvus server, or a Milvus Lite database (``drtool.sources.base.Source``)."""

    type = "milvus"

    def __init__(
        self, name: str, *, address: Address, collections: Sequence[str] = (), exclude: Sequence[str] = ()
    ) -> None:
        self.name = name
        self._address = address
        self._selection = Selection(tuple(collections), tuple(exclude))

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> MilvusSource:
        """From a validated configuration."""
        token = "" if settings.token is None else settings.token.reveal()
        address = Address(settings.uri, token, settings.db_name)
        return cls(name, address=address, collections=settings.collections, exclude=settings.exclude)

    def probe(self) -> Probe:
        """See ``Source.probe``."""
        with closing(Connection(self._address)) as connection:
            version = version_of(connection)
            found = names(connection, self._selection.takes)
            others = [] if self._address.path is None else other_databases(connection)
        warnings = [] if found else [f"There are no collections in {self._address.shown}, so nothing is backed up."]
        warnings += [
            f"The configuration names the collection {name}, which does not exist."
            for name in self._selection.collections
            if not any(self.matches(each, name) for each in found)
        ]
        if others:
            warnings.append(
                f"The Milvus Lite has more databases, which this source leaves out: {', '.join(others)} (db_name)."
            )
        topology = "server" if self._address.path is None else "lite"
        if topology == "server":
            warnings.insert(0, _FUZZY)
        return Probe(self.type, version, topology, "", self._consistency, tuple(warnings))

    def prepare(self, previous: Mapping[str, Any] | None) -> MilvusPrepared:  # noqa: ARG002 - read whole each time
        """See ``Source.prepare``."""
        return MilvusPrepared(self._address, self._selection, self._consistency)

    def target(self, uri: str | None) -> MilvusTarget:
        """See ``Source.target``: another database is addressed with the same token."""
        if uri is None or uri == self._address.uri:
            return MilvusTarget(self._address)
        if "://" not in uri and not uri.endswith(".db"):
            raise UsageError(
                f"{uri} is no address of a Milvus", hint="Name http://HOST:PORT, or a path that ends with .db"
            )
        return MilvusTarget(Address(uri, self._address.token, self._address.database))

    def sandbox(self, version: str, directory: Path) -> AbstractContextManager[Sandbox]:  # noqa: ARG002
        """See ``Source.sandbox``: always Milvus Lite, whose versions are other ones than a server's."""
        return sandbox(directory)

    def sandbox_program(self, version: str) -> str:  # noqa: ARG002
        """See ``Source.sandbox_program``."""
        return sandbox_program()

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """See ``Source.differences``."""
        return [] if expected.beside else differences(expected.definition, actual.definition)

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """See ``Source.describe``."""
        return {} if definition == b"{}" else Definition.decode(definition).values

    def regressions(self, before: Mapping[str, Any], restored: Mapping[str, Any]) -> Sequence[str]:
        """See ``Source.regressions``."""
        return lost_recall(before, restored)

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
        """See ``Source.values``: `path` is a field (the one of the ids, too), or one and what is below it."""
        if stream.beside:
            raise UsageError(f"{stream.name} holds vectors, and relations are about fields of {stream.beside}")
        primary = Definition.decode(stream.definition).primary["name"]
        first, dot, below = path.partition(".")
        wanted = "_id" if path == primary else f"{kept_name(first)}{dot}{below}"
        return vector_records.values(chunks, wanted, MISSING)

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """See ``Source.records``."""
        return vector_records.records(chunk)

    def exporter(self, place: ExportPlace) -> Exporter:
        """See ``Source.exporter``: Parquet."""
        return ParquetExporter(place, self.type, _shape)

    @property
    def _consistency(self) -> Consistency:
        # Nobody else opens a Milvus Lite database while it is open here.
        return Consistency.FUZZY if self._address.path is None else Consistency.EXACT


class MilvusPrepared:
    """A source that is ready to fix its instant (``drtool.sources.reading.Prepared``)."""

    def __init__(self, address: Address, selection: Selection, consistency: Consistency) -> None:
        self._address, self._selection, self._consistency = address, selection, consistency

    def freeze(self) -> MilvusView:
        """See ``Prepared.freeze``."""
        connection = Connection(self._address)
        try:
            return MilvusView(connection, freeze(connection, self._selection.takes), self._consistency)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Nothing is held: each view has a connection of its own."""


def _shape(stream: StreamInfo) -> Shape:
    definition = Definition.decode(stream.definition)
    vectors = {str(field["name"]): field for field in definition.stored if field["type"] in VECTORS}
    dense = [field for field in vectors.values() if field["type"] == DENSE]
    metrics = {index["field_name"]: index["metric_type"] for index in definition.indexes}
    first = dense[0] if dense else None
    told = metrics.get(first["name"], "") if first is not None else ""
    return Shape(
        vectors={name: _KINDS.get(field["type"], VectorKind.OTHER) for name, field in vectors.items()},
        metric=_METRICS.get(told, told),
        dimensions=int(first["params"]["dim"]) if first is not None else -1,
    )
