"""Redis as a source: what the configuration names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from drtool.errors import AuthenticationError, SourceError
from drtool.sources.base import Compared, Lack, Probe, Sandbox
from drtool.sources.cutting import Record
from drtool.sources.exporting import Exporter, ExportPlace
from drtool.sources.extras import require
from drtool.sources.plain import PlainSource
from drtool.sources.reading import Consistency, StreamInfo
from drtool.sources.redis import privileges
from drtool.sources.redis import uri as uris
from drtool.sources.redis.connection import Client, Server, connect, inspect_server, translated
from drtool.sources.redis.definitions import Definition
from drtool.sources.redis.naming import FUNCTIONS, stream_of, whole
from drtool.sources.redis.reading import Selection, read_keys
from drtool.sources.redis.records import split
from drtool.sources.redis.replication import NoDumpError, begin, prefers_no_disk
from drtool.sources.redis.view import RedisView

if TYPE_CHECKING:
    from drtool.sources.redis.target import RedisTarget

_STALE = "The replica has lost its primary and holds what was true then."
_SCANNED = (
    "Keys are read one by one, not at one instant, so the backup is fuzzy. Grant PSYNC (drtool doctor"
    " --print-roles SOURCE) to make it exact, where the server offers it."
)


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
    def databases(self) -> Sequence[int]:
        """Those to back up; empty for all."""

    @property
    def exclude(self) -> Sequence[str]:
        """Patterns of keys to leave out."""

    @property
    def method(self) -> str:
        """``auto``, ``rdb`` or ``scan``."""

    @property
    def server(self) -> Path | str | None:
        """The redis-server for sandboxes."""


class RedisSource(PlainSource):
    """A Redis server (``drtool.sources.base.Source``)."""

    type = "redis"

    def __init__(
        self,
        name: str,
        *,
        uri: str,
        databases: Sequence[int] = (),
        exclude: Sequence[str] = (),
        method: str = "auto",
        server: Path | str | None = None,
    ) -> None:
        self.name = name
        self._uri, self._method = uri, method
        self._program = None if server is None else Path(server)
        self._selection = Selection(tuple(sorted(set(databases))), tuple(exclude))

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> RedisSource:
        """From a validated configuration."""
        return cls(
            name,
            uri=settings.uri.reveal(),
            databases=tuple(settings.databases),
            exclude=tuple(settings.exclude),
            method=settings.method,
            server=settings.server,
        )

    def probe(self) -> Probe:
        """See ``Source.probe``."""
        client = connect(self._uri)
        try:
            server = self._usable(client)
            with translated(self._uri, "asking what the account may do"):
                fuzzy = self._method == "scan" or (
                    self._method == "auto" and privileges.why_no_dump(client, server) != ""
                )
        finally:
            client.close()
        consistency = Consistency.FUZZY if fuzzy else Consistency.EXACT
        warnings = (*([_SCANNED] if fuzzy else []), *self._missing(server))
        return Probe(self.type, server.version, server.role, "", consistency, warnings)

    def lacks(self) -> Sequence[Lack]:
        """See ``Source.lacks``."""
        client = connect(self._uri)
        try:
            server = inspect_server(client, self._uri)
            with translated(self._uri, "asking what the account may do"):
                return tuple(privileges.lacks(client, server, self._method))
        finally:
            client.close()

    def restore_lacks(self, to: str | None) -> Sequence[Lack]:
        """See ``Source.restore_lacks``. ``MissingToolError`` where this host lacks what a restore needs."""
        require("anycrc", "redis")
        uri = to or self._uri
        client = connect(uri)
        try:
            server = inspect_server(client, uri)
            with translated(uri, "asking what the account may do"):
                return tuple(privileges.restore_lacks(client, server))
        finally:
            client.close()

    def roles(self) -> Mapping[str, str]:
        """See ``Source.roles``: for redis-cli."""
        return privileges.roles()

    def prepare(self, previous: Mapping[str, Any] | None) -> RedisPrepared:  # noqa: ARG002 - read whole each time
        """See ``Source.prepare``."""
        client = connect(self._uri)
        try:
            server = self._usable(client)
            with translated(self._uri, "asking how it writes dumps"):
                no_disk = prefers_no_disk(client, server)
            clock = _clock(client, self._uri)
        finally:
            client.close()
        return RedisPrepared(
            self._uri, self._method, self._selection, server, no_disk, clock, tuple(self._missing(server))
        )

    def matches(self, stream: str, pattern: str) -> bool:
        """``db0``, ``0`` or a pattern."""
        return super().matches(stream, whole(pattern))

    def rename(self, stream: str, old: str, new: str) -> str | None:
        """``db0=db5`` or ``0=5``."""
        return super().rename(stream, whole(old), whole(new))

    def left_out(
        self, streams: Mapping[str, str], *, only: Sequence[str], users: bool | None, elsewhere: bool
    ) -> Mapping[str, str]:
        """Functions are the whole server's: beside the original there is no place for them."""
        del users
        name = streams.get(FUNCTIONS, FUNCTIONS)
        if elsewhere or name == FUNCTIONS or FUNCTIONS in only:
            return {}
        return {FUNCTIONS: "functions belong to the whole server: --only functions restores them there"}

    def target(self, uri: str | None) -> RedisTarget:
        """See ``Source.target``."""
        # Here, like the exporters below: a backup needs neither, nor the package for checksums.
        from drtool.sources.redis.target import RedisTarget

        return RedisTarget(self._uri, unread=self._selection.exclude) if uri is None else RedisTarget(uri)

    def sandbox(self, version: str, directory: Path) -> AbstractContextManager[Sandbox]:
        """See ``Source.sandbox``."""
        from drtool.sources.redis.sandbox import sandbox

        return sandbox(self._program, version, directory)

    def sandbox_program(self, version: str) -> str:
        """See ``Source.sandbox_program``."""
        from drtool.sources.redis.sandbox import sandbox_program

        return str(sandbox_program(self._program, version))

    def differences(self, expected: StreamInfo, actual: StreamInfo) -> Sequence[str]:
        """A database has nothing but its keys."""
        return () if expected.kind == actual.kind else (f"{actual.kind} instead of {expected.kind}",)

    def describe(self, definition: bytes) -> Mapping[str, Any]:
        """See ``Source.describe``."""
        return Definition.decode(definition).shown()

    def compare(self, stream: StreamInfo, expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
        """See ``Source.compare``: sets, sorted sets and hashes in whatever order, small collections however packed."""
        if stream.kind == FUNCTIONS:
            return super().compare(stream, expected, restored)
        from drtool.sources.redis.comparing import compare

        return compare(expected, restored)

    def values(self, stream: StreamInfo, chunks: Iterable[bytes], path: str) -> Iterator[Any]:
        """``key``; ``value`` of strings; any other path is a field of hashes."""
        from drtool.sources.redis.looking import values

        return values(stream, chunks, path)

    @staticmethod
    def records(chunk: bytes) -> Iterator[Record]:
        """See ``Source.records``."""
        return split(chunk)

    def exporter(self, place: ExportPlace) -> Exporter:
        """A directory with a dump that redis-server starts on, or one file for redis-cli --pipe."""
        from drtool.sources.redis.exporting import CommandsExporter, DumpExporter

        if place.directory is not None:
            return DumpExporter(place.directory, place.shown)
        assert place.archive is not None
        return CommandsExporter(place.archive, place.shown)

    def _usable(self, client: Client) -> Server:
        server = inspect_server(client, self._uri)
        if server.link_down:
            raise SourceError(
                f"{uris.shown(self._uri)}: {_STALE}", hint="Read from the primary, or when the link is up again."
            )
        return server

    def _missing(self, server: Server) -> Iterator[str]:
        for number in self._selection.databases:
            if number not in server.databases:
                yield f"The configuration names the database {stream_of(number)}, which holds nothing."


class RedisPrepared:
    """A source that is ready to fix its instant (``drtool.sources.reading.Prepared``)."""

    def __init__(
        self,
        uri: str,
        method: str,
        selection: Selection,
        server: Server,
        no_disk: bool,
        clock: timedelta,
        warnings: tuple[str, ...],
    ) -> None:
        self._uri, self._method, self._selection, self._server = uri, method, selection, server
        self._no_disk, self._clock, self._warnings = no_disk, clock, warnings

    def freeze(self) -> RedisView:
        """See ``Prepared.freeze``: the server forks, and the dump is on its way."""
        if self._method != "scan":
            try:
                download = begin(self._uri, no_disk=self._no_disk, left_out=self._selection.left_out)
            except NoDumpError:
                if self._method == "rdb":
                    raise
            else:
                return RedisView(self._selection, download=download, clock=self._clock, warnings=self._warnings)
        warnings = (_SCANNED, *self._warnings)
        return RedisView(self._selection, read_keys=self._read_keys, warnings=warnings)

    def close(self) -> None:
        """Nothing is held: each view has a connection of its own."""

    def _read_keys(self) -> Any:
        client = connect(self._uri)
        try:
            databases = self._selection.databases or tuple(sorted(inspect_server(client, self._uri).databases))
        finally:
            client.close()
        return read_keys(self._uri, self._server, self._selection, databases)


def _clock(client: Client, uri: str) -> timedelta:
    """How far the server's clock is ahead of this host's; nothing where it may not be asked."""
    require("redis", "redis")
    try:
        with translated(uri, "asking the time"):
            seconds, micros = client.time()
    except AuthenticationError:
        return timedelta()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros) - datetime.now(UTC)
