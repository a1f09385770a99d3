"""MongoDB as a source: what the configuration names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drtool.errors import ConfigError, UsageError
from drtool.sources.bandwidth import Bandwidth
from drtool.sources.base import Lack, Probe, Sandbox
from drtool.sources.cutting import Record
from drtool.sources.mongodb import accounts, definitions, names, roles
from drtool.sources.mongodb import uri as uris
from drtool.sources.mongodb.catalogue import Entry, database_names, list_catalogue
from drtool.sources.mongodb.connection import Client, Deployment, connect, pin, translated
from drtool.sources.mongodb.freezing import freeze
from drtool.sources.mongodb.granted import find_restore_lacks
from drtool.sources.mongodb.lacking import find_lacks, unseen
from drtool.sources.mongodb.oplog.archiving import MongoLog
from drtool.sources.mongodb.records import records
from drtool.sources.mongodb.sandbox import sandbox, sandbox_program
from drtool.sources.mongodb.sessions import NO_RESTRAINT, Restraint
from drtool.sources.mongodb.splitting import PART_BYTES
from drtool.sources.mongodb.view import MongoView
from drtool.sources.plain import PlainSource
from drtool.sources.reading import Consistency, StreamInfo

if TYPE_CHECKING:
    from drtool.sources.exporting import Exporter, ExportPlace
    from drtool.sources.mongodb.target import MongoTarget
    from drtool.sources.restoring import StreamDigest

_OLD = (
    "This server is older than MongoDB 5.0: it cannot be read at one instant, so the backup is fuzzy. "
    "Upgrade it to make it exact."
)
_FUZZY = {
    "standalone": (
        "This is a standalone server: it cannot be read at one instant, so the backup is fuzzy. "
        "Run it as a replica set of one node (--replSet, then rs.initiate()) to make it exact."
    ),
    "sharded": (
        "This is a sharded cluster read through mongos: that is untested, and the backup is fuzzy. "
        "Back up each shard's replica set for an exact one of each."
    ),
}


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
    def read_uri(self) -> Secret | None:
        """Where to read, if elsewhere."""

    @property
    def databases(self) -> Sequence[str]:
        """Those to back up; empty for all of applications."""

    @property
    def exclude(self) -> Sequence[str]:
        """``db``, ``db.collection`` or globs."""

    @property
    def users(self) -> str | None:
        """Which users and roles to back up: ``all``, ``databases``, ``none``."""

    @property
    def max_time(self) -> float | None:
        """The longest that a query may take of the server's time, in seconds."""

    @property
    def bandwidth(self) -> int | None:
        """The most to read, in bytes per second."""

    @property
    def mongod(self) -> Path | str | None:
        """The mongod for sandboxes."""


class MongoSource(PlainSource):
    """A MongoDB deployment (``drtool.sources.base.Source``).

    `read_uri` names a member to read from instead (a hidden secondary, with ``directConnection=true``); it must
    belong to the same replica set. `part_bytes` is the least size of a part that gets a reader of its own.
    """

    type = "mongodb"
    shares_views = True

    def __init__(
        self,
        name: str,
        *,
        uri: str,
        databases: Sequence[str] = (),
        exclude: Sequence[str] = (),
        users: str | None = None,
        read_uri: str | None = None,
        restraint: Restraint = NO_RESTRAINT,
        mongod: Path | str | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.name = name
        self._uri, self._read_uri, self._mongod = uri, read_uri, None if mongod is None else Path(mongod)
        self._selection = names.Selection(tuple(databases), tuple(exclude), users)
        self._part_bytes = part_bytes
        self._restraint = restraint

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> MongoSource:
        """From a validated configuration."""
        return cls(
            name,
            uri=settings.uri.reveal(),
            databases=tuple(settings.databases),
            exclude=tuple(settings.exclude),
            users=settings.users,
            read_uri=None if settings.read_uri is None else settings.read_uri.reveal(),
            restraint=Restraint(
                max_time=settings.max_time,
                bandwidth=None if settings.bandwidth is None else Bandwidth(settings.bandwidth),
            ),
            mongod=settings.mongod,
        )

    def probe(self) -> Probe:
        """See ``Source.probe``."""
        client, found, uri = self._pinned()
        with client, translated(uri, "listing databases"):
            existing = set(database_names(client))
            about_users = _about_users(client, self._selection)
            missing = (*_missing(self._selection, existing), *unseen(client, self._selection))
        consistency = Consistency.EXACT if found.has_instants else Consistency.FUZZY
        warnings = (*_why_fuzzy(found), *missing, *about_users)
        return Probe(self.type, found.version, found.topology, found.identity, consistency, warnings)

    def lacks(self) -> Sequence[Lack]:
        """See ``Source.lacks``. Each is found by trying."""
        client, deployment, uri = self._pinned()
        with client, translated(uri, "trying what the account may do"):
            return find_lacks(client, deployment, self._selection)

    def restore_lacks(self, to: str | None) -> Sequence[Lack]:
        """See ``Source.restore_lacks``: as the server tells the account's privileges."""
        uri = to or self._uri
        with connect(uri) as client, translated(uri, "asking what the account may do"):
            return find_restore_lacks(client)

    def roles(self) -> Mapping[str, str]:
        """See ``Source.roles``: for mongosh."""
        return roles.commands(self._selection.databases, users=self._selection.users != "none")

    def prepare(self, previous: Mapping[str, Any] | None) -> MongoPrepared:  # noqa: ARG002 - a view asks the oplog
        """See ``Source.prepare``."""
        client, deployment, uri = self._pinned()
        client.close()
        return MongoPrepared(deployment, uri, self._selection, self._part_bytes, self._restraint)

    def log(self) -> MongoLog:
        """See ``Source.log``."""
        return MongoLog(self._pinned)

    def name_of_restored(self, stream: str, suffix: str) -> str:
        """``app.users`` → ``app_<suffix>.users``."""
        return names.beside(stream, suffix)

    def matches(self, stream: str, pattern: str) -> bool:
        """See ``Source.matches``."""
        return names.matches(stream, pattern)

    def rename(self, stream: str, old: str, new: str) -> str | None:
        """See ``Source.rename``."""
        return names.rename(stream, old, new)

    def left_out(
        self, streams: Mapping[str, str], *, only: Sequence[str], users: bool | None, elsewhere: bool
    ) -> Mapping[str, str]:
        """See ``Source.left_out``."""
        return accounts.left_out(streams, only, users, elsewhere=elsewhere)

    def target(self, uri: str | None) -> MongoTarget:
        """See ``Source.target``."""
        # Here, like the exporters below: a backup needs neither, and their modules take time to start.
        from drtool.sources.mongodb.target import MongoTarget

        return MongoTarget(uri or self._uri)

    def sandbox(self, version: str, directory: Path) -> AbstractContextManager[Sandbox]:
        """See ``Source.sandbox``."""
        return sandbox(self._mongod, version, directory)

    def sandbox_program(self, version: str) -> str:
        """See ``Source.sandbox_program``."""
        return str(sandbox_program(self._mongod, version))

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """See ``Source.differences``."""
        return definitions.differences(expected.definition, actual.definition)

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """See ``Source.describe``."""
        return definitions.describe(definition)

    def digest(self, definition: bytes) -> StreamDigest | None:
        """The MD5 that dbHash gives: over all records in ``_id`` order. A capped collection is not read in that
        order."""
        return md5(usedforsecurity=False) if definitions.Definition.decode(definition).keyed else None

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
        """See ``Source.values``."""
        from drtool.sources.mongodb.values import values

        if definitions.Definition.decode(stream.definition).kind is definitions.Kind.TIMESERIES:
            raise UsageError(f"{stream.name}: relations cannot look into time series, whose records are buckets")
        return values(chunks, path)

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """See ``Source.records``."""
        return records(chunk)

    def exporter(self, place: ExportPlace) -> Exporter:
        """mongorestore's directory or archive."""
        from drtool.sources.mongodb.exporting import ArchiveExporter, DirectoryExporter

        if place.directory is not None:
            return DirectoryExporter(place.directory, place.version, place.shown)
        assert place.archive is not None
        return ArchiveExporter(place.archive, place.version, place.shown)

    def _pinned(self) -> tuple[Client, Deployment, str]:
        """A client for the member to read from."""
        client, found, uri = pin(self._read_uri or self._uri)
        if self._read_uri is not None:
            try:
                self._check_same_set(found)
            except BaseException:
                client.close()
                raise
        return client, found, uri

    def _check_same_set(self, found: Deployment) -> None:
        client, main, _ = pin(self._uri)
        client.close()
        if not main.same_set(found):
            raise ConfigError(
                f"source {self.name}: read_uri ({uris.shown(self._read_uri or '')}) is of another replica set than uri"
            )


class MongoPrepared:
    """A source that is ready to fix its instant (``drtool.sources.reading.Prepared``)."""

    def __init__(
        self, deployment: Deployment, uri: str, selection: names.Selection, part_bytes: int, restraint: Restraint
    ) -> None:
        self._deployment, self._uri = deployment, uri
        self._selection, self._part_bytes, self._restraint = selection, part_bytes, restraint
        self._freezes = 0

    def freeze(self) -> MongoView:
        """See ``Prepared.freeze``."""
        client = connect(self._uri)
        try:
            with translated(self._uri, "fixing an instant"):
                with_accounts = self._selection.users != "none" and not accounts.why_unreadable(client)
                list_now = partial(_list, client, self._selection, with_accounts)
                frozen = freeze(client, self._deployment, list_now)
        except BaseException:
            client.close()
            raise
        missing = _missing(self._selection, {entry.database for entry in frozen.entries})
        warnings = (*_why_fuzzy(self._deployment), *missing)
        self._freezes += 1
        return MongoView(
            client,
            self._uri,
            frozen,
            list_now,
            part_bytes=self._part_bytes,
            warnings=warnings,
            restraint=self._restraint,
            # What was begun so is lost when the instant passes; from then on what was read counts.
            as_it_lies=self._freezes == 1,
        )

    def close(self) -> None:
        """Nothing is held: each view has a connection of its own."""


def _list(client: Client, selection: names.Selection, with_accounts: bool) -> Sequence[Entry]:
    databases = selection.of([] if selection.databases else database_names(client))
    found = list_catalogue(client, databases, selection.takes)
    return [*found, *accounts.list_accounts(client, selection.takes_accounts)] if with_accounts else found


def _about_users(client: Client, selection: names.Selection) -> list[str]:
    """What a backup lacks of users and roles without anybody having said so."""
    if selection.users == "none":
        return []
    sentence = accounts.why_unreadable(client) or accounts.left_behind(client, selection)
    return [sentence] if sentence else []


def _why_fuzzy(deployment: Deployment) -> list[str]:
    return [] if deployment.has_instants else [_FUZZY.get(deployment.topology, _OLD)]


def _missing(selection: names.Selection, existing: set[str]) -> list[str]:
    return [
        f"The configuration names the database {database}, which does not exist or holds nothing to back up."
        for database in selection.databases
        if database in selection.of(()) and database not in existing
    ]
