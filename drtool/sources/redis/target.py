"""A Redis server that a restore writes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from drtool.errors import IncompleteRestoreError, SourceError, TargetNotEmptyError
from drtool.sources.plain import PlainTarget
from drtool.sources.redis import uri as uris
from drtool.sources.redis.connection import Server, connect, inspect_server, translated
from drtool.sources.redis.definitions import Definition
from drtool.sources.redis.expiry import as_at_source, later
from drtool.sources.redis.loading import Halves, load
from drtool.sources.redis.naming import FUNCTIONS
from drtool.sources.redis.places import Place, clear, mark, places, unmark, unsaved
from drtool.sources.redis.rdb.types import loads, server_of
from drtool.sources.redis.reading import Selection, read_keys
from drtool.sources.redis.records import entries, shown
from drtool.sources.redis.replication import NoDumpError, begin
from drtool.sources.redis.view import RedisView
from drtool.sources.restoring import Inspection, Loaded, RestoreItem, RestorePlan

_RENAME = "Restore into another database with --rename db0=dbN, or to another server with --to URI."
_UNREAD = "Take the pattern out of the source's exclude for this restore, or restore beside, without --in-place."


class RedisTarget(PlainTarget):
    """A target (``drtool.sources.restoring.Target``).

    ``dbN`` goes to database N; any other name to a database that is empty, which keeps that name in the key
    ``drtool:restore``. While a restore is on its way the same key says of which one. Functions belong to the whole
    server, whatever name they are given, and are loaded last. Keys that fit a pattern of `unread` are in no safety
    snapshot: in place they stay, and where the snapshot may hold such keys they are in the way.
    """

    def __init__(self, uri: str, *, unread: Sequence[str] = ()) -> None:
        self._uri, self._unread = uri, tuple(unread)
        _, self._is_sandbox = uris.address(uri)
        self._placed: dict[str, Place] = {}
        self._halves = Halves()
        self._functions: dict[bytes, bytes] = {}

    def inspect(self, plan: RestorePlan) -> Inspection:
        """What stands in the way: keys in the plan's databases, functions. Raises ``SourceError`` where the target
        cannot take the plan."""
        server = self._server(plan)
        placed = self._places(plan, server)
        occupied = tuple(self._in_the_way(plan, server, placed))
        lasting = tuple(self._unsaved(plan, placed)) if plan.replace else ()
        notes = tuple(self._notes(plan, server, placed))
        hint = _UNREAD if lasting else _RENAME
        return Inspection(uris.shown(self._uri), (*occupied, *lasting), notes, hint, lasting)

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``. What an earlier attempt of the same restore left is removed."""
        server = self._server(plan)
        placed = self._places(plan, server)
        occupied = list(self._unsaved(plan, placed) if plan.replace else self._in_the_way(plan, server, placed))
        if occupied:
            hint = _UNREAD if plan.replace else _RENAME
            raise TargetNotEmptyError(f"{uris.shown(self._uri)} is not empty: {'; '.join(occupied[:10])}", hint=hint)
        self._halves.forget()
        self._functions = {}
        with translated(self._uri, "clearing databases"):
            for place in placed:
                if place.keys or place.is_marked:
                    clear(self._uri, place, self._unread)
                mark(self._uri, place, plan.marker)
        self._placed = {place.item.name: place for place in placed}

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Target.load``."""
        if item.stream.kind == FUNCTIONS:
            return self._hold(chunks)
        place = self._placed[item.name]
        client = connect(self._uri, database=place.database)
        try:
            with translated(self._uri, f"writing {item.name}"):
                return load(client, self._uri, item.name, chunks, self._halves, later if self._is_sandbox else None)
        finally:
            client.close()

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """See ``Target.finish``."""
        self._halves.require_none()
        self._load_functions()
        server = inspect_server_of(self._uri)
        with translated(self._uri, "ending the restore"):
            for place in self._places(plan, server):
                unmark(self._uri, place)
                if place.is_beside:
                    progress(f"{place.item.name} is database {place.database}")
        return {}

    def read_back(self, plan: RestorePlan) -> RedisView:
        """See ``Target.read_back``."""
        server = inspect_server_of(self._uri)
        placed = self._places(plan, server)
        names = {place.database: place.item.stream.name for place in placed}
        functions = next((item.stream.name for item in plan.items if item.stream.kind == FUNCTIONS), None)
        exclude = next((place.definition.exclude for place in placed), ())
        selection = Selection(tuple(names), exclude)
        change = as_at_source if self._is_sandbox else None
        try:
            download = begin(self._uri, no_disk=True, left_out=selection.left_out)
        except NoDumpError:
            return RedisView(
                selection,
                read_keys=lambda: read_keys(self._uri, server, selection, list(names)),
                names=names,
                functions=functions,
                change=change,
            )
        return RedisView(selection, download=download, names=names, functions=functions, change=change)

    def close(self) -> None:
        """Connections are held by nobody between calls."""

    def _places(self, plan: RestorePlan, server: Server) -> list[Place]:
        with translated(self._uri, "looking at what the target holds"):
            return places(self._uri, server, [item for item in plan.items if item.stream.kind != FUNCTIONS])

    def _server(self, plan: RestorePlan) -> Server:
        """The server, which can take the plan."""
        server = inspect_server_of(self._uri)
        where = uris.shown(self._uri)
        if server.role == "replica":
            raise SourceError(f"{where} is a replica and takes no writes", hint="Name its primary with --to URI.")
        newest = loads(server.numbers, valkey=server.valkey)
        for item in plan.items:
            definition = Definition.decode(item.stream.definition)
            if definition.version > newest:
                oldest = server_of(definition.version)
                raise SourceError(
                    f"{item.stream.name} holds values ({', '.join(definition.types)}) as {oldest} and newer write them:"
                    f" {where} is {server.name} and cannot load them",
                    hint=f"Restore to {oldest} or newer with --to URI.",
                )
        return server

    def _in_the_way(self, plan: RestorePlan, server: Server, placed: Sequence[Place]) -> Iterator[str]:
        for place in placed:
            if place.marker == plan.marker:
                continue
            where = f" in database {place.database}" if place.is_beside else ""
            if place.marker:
                yield f"{place.item.name}: another restore that did not finish, {place.keys:,} keys{where}"
            elif place.keys or place.is_marked:
                yield f"{place.item.name}: {place.keys:,} key{'' if place.keys == 1 else 's'}{where}"
        is_own = any(place.marker == plan.marker for place in placed)
        for item in plan.items:
            if item.stream.kind == FUNCTIONS and not is_own and (libraries := self._libraries(server)):
                yield f"{item.name}: {len(libraries)} libraries ({', '.join(libraries[:5])})"

    def _unsaved(self, plan: RestorePlan, placed: Sequence[Place]) -> Iterator[str]:
        for place in placed:
            if place.marker == plan.marker:  # looked for before it was begun
                continue
            with translated(self._uri, f"looking for keys of {place.item.name} that backups leave out"):
                key = unsaved(self._uri, place, self._unread)
            if key is not None:
                yield (
                    f"{place.item.name}: {shown(key)} is there, which the source's exclude keeps out of backups, and"
                    " the snapshot may hold it"
                )

    def _notes(self, plan: RestorePlan, server: Server, placed: Sequence[Place]) -> Iterator[str]:
        for place in placed:
            if place.marker == plan.marker:
                yield (
                    f"{place.item.name} holds an unfinished restore of this snapshot, which is begun anew:"
                    " what it wrote is replaced"
                )
            if place.is_beside:
                yield f"{place.item.name} is going to be database {place.database} of {uris.shown(self._uri)}"
            expiring = place.definition.expiring
            if expiring and not self._is_sandbox:
                what = "1 key expires" if expiring == 1 else f"{expiring:,} keys expire"
                yield f"{place.item.name}: {what}: what is past its time does not come back"
        size = sum(item.bytes for item in plan.items)
        if server.max_memory and server.used_memory + size > server.max_memory:
            what = "it evicts other keys then" if server.evicts else "it refuses writes then"
            yield f"the server's maxmemory ({server.max_memory:,} bytes) is nearly reached: {what}"

    def _libraries(self, server: Server) -> list[str]:
        if server.numbers < (7,):
            return []
        client = connect(self._uri)
        try:
            with translated(self._uri, "listing functions"):
                found = client.execute_command("FUNCTION LIST")
        finally:
            client.close()
        return [dict(zip(each[::2], each[1::2], strict=True))[b"library_name"].decode() for each in found]

    def _hold(self, chunks: Iterable[bytes]) -> Loaded:
        """Keep functions for `finish`."""
        chunks = list(chunks)
        found = {entry.key: entry.value for entry in entries(chunks)}
        self._functions |= found
        return Loaded(len(found), sum(map(len, chunks)))

    def _load_functions(self) -> None:
        if not self._functions:
            return
        errors_of = f"{uris.shown(self._uri)} does not take the functions"
        client = connect(self._uri)
        try:
            for name, code in self._functions.items():
                try:
                    with translated(self._uri, "loading functions"):
                        client.execute_command("FUNCTION LOAD", "REPLACE", code)
                except SourceError as error:
                    raise IncompleteRestoreError(f"{errors_of} {name.decode()}: {error.message}") from error
        finally:
            client.close()


def inspect_server_of(uri: str) -> Server:
    """Connect, ask, and end the connection."""
    client = connect(uri)
    try:
        return inspect_server(client, uri)
    finally:
        client.close()
