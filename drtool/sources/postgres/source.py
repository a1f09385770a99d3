"""PostgreSQL as a source: what the configuration names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drtool.errors import SourceError, UsageError
from drtool.sources.base import Compared, Lack, Probe, Sandbox
from drtool.sources.comparing import compare_as_multiset, compare_in_order
from drtool.sources.cutting import Record
from drtool.sources.exporting import Exporter, ExportPlace
from drtool.sources.plain import PlainSource
from drtool.sources.postgres import definitions, lacking, names, records
from drtool.sources.postgres.connection import OLDEST, connect, major, translated, version_of
from drtool.sources.postgres.definitions import TableDefinition
from drtool.sources.postgres.freezing import freeze
from drtool.sources.postgres.sandbox import sandbox, sandbox_program
from drtool.sources.postgres.tools import find
from drtool.sources.postgres.uri import shown
from drtool.sources.postgres.values import values
from drtool.sources.postgres.view import PART_BYTES, PostgresView
from drtool.sources.reading import Consistency, Proof, StreamInfo

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session
    from drtool.sources.postgres.target import PostgresTarget

_DATABASES = """
SELECT datname, has_database_privilege(oid, 'CONNECT') FROM pg_catalog.pg_database
WHERE datallowconn AND NOT datistemplate ORDER BY datname
"""
_IDENTITY = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"


class Secret(Protocol):
    """A value that does not show itself."""

    def reveal(self) -> str:
        """The value."""


class Settings(Protocol):
    """The part of the configuration that belongs to this source."""

    @property
    def uri(self) -> Secret:
        """Where to connect."""

    @property
    def databases(self) -> Sequence[str]:
        """Those to back up; empty for all."""

    @property
    def exclude(self) -> Sequence[str]:
        """``database``, ``database.schema``, ``database.schema.table`` or globs."""

    @property
    def bin_dir(self) -> Path | None:
        """Where PostgreSQL's programs are."""

    @property
    def roles(self) -> str:
        """``all`` or ``none``."""


class PostgresSource(PlainSource):
    """A PostgreSQL server (``drtool.sources.base.Source``). `part_bytes` is the least size of a part that gets a reader
    of its own."""

    type = "postgres"

    def __init__(
        self,
        name: str,
        *,
        uri: str,
        databases: Sequence[str] = (),
        exclude: Sequence[str] = (),
        bin_dir: Path | None = None,
        roles: bool = True,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.name = name
        self._uri, self._bin_dir, self._part_bytes = uri, bin_dir, part_bytes
        self._selection = names.Selection(tuple(databases), tuple(exclude), roles)

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> PostgresSource:
        """From a validated configuration."""
        return cls(
            name,
            uri=settings.uri.reveal(),
            databases=tuple(settings.databases),
            exclude=tuple(settings.exclude),
            bin_dir=settings.bin_dir,
            roles=settings.roles == "all",
        )

    def probe(self) -> Probe:
        """See ``Source.probe``. Looks for pg_dump, too: there is no backup without it."""
        session = connect(self._uri)
        try:
            with translated(self._uri, "looking at the server"):
                self._check_age(session)
                _, warnings = self._databases(session)
                identity = _identity(session)
                [(standby,)] = session.execute("SELECT pg_is_in_recovery()").fetchall()
                if self._selection.roles:
                    warnings += lacking.about_passwords(session)
            find("pg_dump", major(session), self._bin_dir)
            topology = "standby" if standby else "primary"
            return Probe(self.type, version_of(session), topology, identity, Consistency.EXACT, tuple(warnings))
        finally:
            session.close()

    def lacks(self) -> Sequence[Lack]:
        """See ``Source.lacks``."""
        session = connect(self._uri)
        try:
            with translated(self._uri, "asking what the account may do"):
                taken, _ = self._databases(session)
        finally:
            session.close()
        return [lack for database in taken for lack in lacking.find_lacks(self._uri, database, self._selection)]

    def restore_lacks(self, to: str | None) -> Sequence[Lack]:
        """See ``Source.restore_lacks``."""
        return lacking.find_restore_lacks(to or self._uri)

    def roles(self) -> Mapping[str, str]:
        """See ``Source.roles``: for psql."""
        return lacking.commands()

    def prepare(self, previous: Mapping[str, Any] | None) -> PostgresPrepared:  # noqa: ARG002 - a view asks nothing of it
        """See ``Source.prepare``."""
        session = connect(self._uri)
        try:
            with translated(self._uri, "listing databases"):
                self._check_age(session)
                taken, warnings = self._databases(session)
        finally:
            session.close()
        if not taken:
            raise SourceError(
                f"{shown(self._uri)} has none of the databases that are to be backed up",
                hint="drtool doctor lists what is missing; check databases and exclude of the source.",
            )
        return PostgresPrepared(self._uri, taken, self._selection, self._bin_dir, self._part_bytes, warnings)

    def name_of_restored(self, stream: str, suffix: str) -> str:
        """``app.public.users`` → ``app_<suffix>.public.users``."""
        return names.beside(stream, suffix)

    def matches(self, stream: str, pattern: str) -> bool:
        """See ``Source.matches``."""
        return names.matches(stream, pattern)

    def goes_along(self, stream: str, pattern: str) -> bool:
        """See ``Source.goes_along``."""
        return names.goes_along(stream, pattern)

    def rename(self, stream: str, old: str, new: str) -> str | None:
        """See ``Source.rename``."""
        return names.rename(stream, old, new)

    def left_out(
        self, streams: Mapping[str, str], *, only: Sequence[str], users: bool | None, elsewhere: bool
    ) -> Mapping[str, str]:
        """See ``Source.left_out``."""
        return names.left_out(streams, only, users, elsewhere=elsewhere)

    def target(self, uri: str | None) -> PostgresTarget:
        """See ``Source.target``."""
        # Here, like the exporter below: a backup needs neither, and their modules take time to start.
        from drtool.sources.postgres.target import PostgresTarget

        return PostgresTarget(uri or self._uri, self._bin_dir, self._selection if uri is None else None)

    def sandbox(self, version: str, directory: Path) -> AbstractContextManager[Sandbox]:
        """See ``Source.sandbox``."""
        return sandbox(self._bin_dir, version, directory)

    def sandbox_program(self, version: str) -> str:
        """See ``Source.sandbox_program``."""
        return str(sandbox_program(self._bin_dir, version))

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """See ``Source.differences``."""
        return definitions.differences(expected.definition, actual.definition)

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """See ``Source.describe``."""
        return definitions.describe(definition)

    def compare(self, stream: StreamInfo, expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
        """See ``Source.compare``: in key order; rows of a table without a key in whatever order they lie."""
        how = compare_in_order if stream.keyed or stream.proof is Proof.IDENTICAL else compare_as_multiset
        return how(records.records, expected, restored)

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
        """See ``Source.values``: a column, and within JSON what follows its name."""
        if stream.kind != definitions.TABLE:
            raise UsageError(f"{stream.name} is no table: relations look into tables only")
        return values(stream.name, TableDefinition.decode(stream.definition), chunks, path)

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """See ``Source.records``."""
        return records.records(chunk)

    def exporter(self, place: ExportPlace) -> Exporter:
        """A directory that psql reads."""
        from drtool.sources.postgres.exporting import SqlExporter

        if place.directory is None:
            raise UsageError("a PostgreSQL snapshot is exported to a directory, not to one archive")
        return SqlExporter(place.directory)

    def _check_age(self, session: Session) -> None:
        if major(session) < OLDEST:
            raise SourceError(
                f"{shown(self._uri)} is PostgreSQL {major(session)}: older than {OLDEST}, the oldest known"
            )

    def _databases(self, session: Session) -> tuple[list[str], list[str]]:
        """Those to back up, and what to know about others."""
        rows = session.execute(_DATABASES).fetchall()
        allowed = [name for name, may in rows if may]
        taken = self._selection.of(allowed)
        warnings = [
            f"Not in the backup, as the account may not connect to it: the database {name}. Exclude it, or let it."
            for name, may in rows
            if not may and self._selection.of([name])
        ]
        warnings += [
            f"The configuration names the database {name}, which does not exist or takes no connections."
            for name in self._selection.databases
            if name not in {row[0] for row in rows}
        ]
        return taken, warnings


def _identity(session: Session) -> str:
    """The number that initdb gave the cluster; empty where the account may not see it."""
    [(may,)] = session.execute("SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')").fetchall()
    if not may:
        return ""
    [(identity,)] = session.execute(_IDENTITY).fetchall()
    return str(identity)


class PostgresPrepared:
    """A source that is ready to fix its instant (``drtool.sources.reading.Prepared``)."""

    def __init__(
        self,
        uri: str,
        databases: Sequence[str],
        selection: names.Selection,
        bin_dir: Path | None,
        part_bytes: int,
        warnings: Sequence[str],
    ) -> None:
        self._uri, self._databases, self._selection = uri, databases, selection
        self._bin_dir, self._part_bytes, self._warnings = bin_dir, part_bytes, warnings

    def freeze(self) -> PostgresView:
        """See ``Prepared.freeze``."""
        frozen = freeze(self._uri, self._databases, self._selection)
        return PostgresView(
            self._uri,
            frozen,
            self._selection,
            bin_dir=self._bin_dir,
            part_bytes=self._part_bytes,
            warnings=self._warnings,
        )

    def close(self) -> None:
        """Nothing is held: each view has connections of its own."""
