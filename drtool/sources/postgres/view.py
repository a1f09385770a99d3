"""A server's databases at one instant."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drtool.sources.cutting import Chunk, CutRule, cut
from drtool.sources.plain import PlainView
from drtool.sources.postgres import definitions, large_objects, names, roles, sequences
from drtool.sources.postgres.catalogue import Relation
from drtool.sources.postgres.connection import major, translated
from drtool.sources.postgres.definitions import TableDefinition
from drtool.sources.postgres.describing import describe_database
from drtool.sources.postgres.dumping import dump_definitions
from drtool.sources.postgres.freezing import Frozen, FrozenDatabase
from drtool.sources.postgres.reading import Sessions, TableReader
from drtool.sources.postgres.tools import find, version_of_program
from drtool.sources.reading import WHOLE, Consistency, KeyRange, Proof, Settled, StreamInfo

if TYPE_CHECKING:
    from collections.abc import Callable

#: Smaller parts are not worth their joints: each reads on by about half a chunk.
PART_BYTES = 24 * 1024 * 1024
_SAMPLED_FROM = 1024 * 1024


class PostgresView(PlainView):
    """A view (``drtool.sources.reading.View``).

    `wanted` says which streams are read back of a restored copy (None: all that the selection takes); `renamed` gives
    databases other names than the server's (a restored copy under its original one).
    """

    def __init__(
        self,
        uri: str,
        frozen: Frozen,
        selection: names.Selection,
        *,
        bin_dir: Path | None,
        part_bytes: int = PART_BYTES,
        renamed: Mapping[str, str] | None = None,
        wanted: Callable[[str], bool] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        self._uri, self._frozen, self._selection = uri, frozen, selection
        self._bin_dir, self._part_bytes, self._warnings = bin_dir, part_bytes, tuple(warnings)
        self._renamed = renamed or {}
        self._wanted = wanted or (lambda _: True)
        self._sessions = {each.name: Sessions(uri, each) for each in frozen.databases}
        self._tables: dict[str, tuple[FrozenDatabase, Relation]] = {}
        self._databases = {self._shown(each.name): each for each in frozen.databases}
        self._lock = threading.Lock()
        self._listed: tuple[StreamInfo, ...] | None = None

    @property
    def instant(self) -> datetime:
        """When the last of the databases was fixed, by the server's clock."""
        return self._frozen.at

    @property
    def point(self) -> Mapping[str, Any]:
        """``visible``: what transactions are visible, as pg_current_snapshot() says it, by database."""
        pairs = zip(self._frozen.databases, self._frozen.visible, strict=True)
        return {"visible": {each.name: visible for each, visible in pairs}}

    def streams(self) -> Sequence[StreamInfo]:
        """Tables and materialised views, and of each database its definitions, sequences and large objects."""
        with self._lock:
            if self._listed is None:
                found = [stream for each in self._frozen.databases for stream in self._of_database(each)]
                if self._selection.roles and self._frozen.databases:
                    found.append(self._roles())
                kept = [stream for stream in found if self._wanted(stream.name)]
                self._listed = tuple(sorted(kept, key=lambda stream: stream.name))
            return self._listed

    def split(self, stream: StreamInfo, parts: int) -> Sequence[KeyRange]:
        """Ranges of the key, each of 24 MiB or more (unless told otherwise)."""
        if stream.kind != definitions.TABLE or not stream.keyed:
            return [WHOLE]
        return self._reader(stream).split(min(parts, stream.estimated_bytes // self._part_bytes))

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """See ``View.chunks``."""
        if stream.kind == definitions.TABLE:
            yield from self._reader(stream).chunks(part, rule)
        elif stream.kind == definitions.SEQUENCES:
            yield from cut(sequences.each_record(self._database(stream).sequences), rule)
        elif stream.kind == definitions.LARGE_OBJECTS:
            sessions = self._sessions[self._database(stream).name]
            with sessions.one() as session, translated(self._uri, f"reading {stream.name}"):
                yield from cut(large_objects.each_record(session), rule)

    def settle(self) -> Settled:
        """See ``View.settle``: a snapshot and the locks on its tables hold to the end."""
        if self._frozen.common:
            return Settled(Consistency.EXACT, {}, self._warnings)
        apart = (
            f"The databases are each exact in itself, but up to {self._frozen.distance * 1000:.0f} ms apart:"
            " transactions were committed all the while. A quieter time would do."
        )
        return Settled(Consistency.FUZZY, {}, (*self._warnings, apart))

    def cancel(self) -> None:
        """See ``View.cancel``."""
        for sessions in self._sessions.values():
            sessions.cancelled.set()

    def close(self) -> None:
        """Release the snapshots and the locks. Safe to call twice."""
        for sessions in self._sessions.values():
            sessions.close()

    def _shown(self, database: str) -> str:
        return self._renamed.get(database, database)

    def _database(self, stream: StreamInfo) -> FrozenDatabase:
        return self._databases[names.split(stream.name)[0]]

    def _reader(self, stream: StreamInfo) -> TableReader:
        frozen, relation = self._tables[stream.name]
        return TableReader(self._uri, self._sessions[frozen.name], relation, stream.name)

    def _of_database(self, frozen: FrozenDatabase) -> Iterator[StreamInfo]:
        shown = self._shown(frozen.name)
        held = []
        for relation in frozen.relations:
            stream = names.name(shown, relation.schema, relation.name)
            if relation.kind == "S" or not self._selection.takes(stream):
                continue
            if relation.kind == "r":
                held.append(names.split(stream)[1])
            if not self._wanted(stream):
                continue
            if relation.kind == "m":
                content = definitions.encode({"kind": definitions.VIEW, "populated": relation.populated})
                yield _without_records(stream, definitions.VIEW, content, f"{frozen.name}.{relation.oid}")
            else:
                self._tables[stream] = (frozen, relation)
                yield self._table(stream, frozen, relation)
        yield from self._of_whole(frozen, shown, tuple(held))

    def _of_whole(self, frozen: FrozenDatabase, shown: str, held: tuple[str, ...]) -> Iterator[StreamInfo]:
        if frozen.sequences:
            yield StreamInfo(
                name=names.special(shown, names.SEQUENCES),
                kind=definitions.SEQUENCES,
                proof=Proof.IDENTICAL,
                definition=definitions.encode({"kind": definitions.SEQUENCES}),
                estimated_records=len(frozen.sequences),
                estimated_bytes=len(frozen.sequences) * sequences.ABOUT_BYTES,
                ancillary=True,
            )
        with translated(self._uri, f"looking for large objects in {frozen.name}"):
            count = large_objects.count(frozen.session)
        if count:
            yield StreamInfo(
                name=names.special(shown, names.LARGE_OBJECTS),
                kind=definitions.LARGE_OBJECTS,
                proof=Proof.IDENTICAL,
                definition=definitions.encode({"kind": definitions.LARGE_OBJECTS}),
                estimated_records=count,
                estimated_bytes=count * large_objects.ABOUT_BYTES,
            )
        stream = names.special(shown, names.DEFINITIONS)
        if self._wanted(stream):
            yield self._definitions(stream, frozen, held)

    def _definitions(self, stream: str, frozen: FrozenDatabase, held: tuple[str, ...]) -> StreamInfo:
        program = find("pg_dump", major(frozen.session), self._bin_dir)
        sql = dump_definitions(program, self._uri, frozen.name, frozen.snapshot, frozen.encoding)
        with translated(self._uri, f"reading the properties of {frozen.name}"):
            found = describe_database(frozen.session, sql, held, version_of_program(program))
        return _without_records(stream, definitions.DEFINITIONS, found.encode(), "")

    def _table(self, stream: str, frozen: FrozenDatabase, relation: Relation) -> StreamInfo:
        rows, size = relation.rows, relation.bytes
        if not rows and size >= _SAMPLED_FROM:  # never analysed
            rows = size / max(1.0, TableReader(self._uri, self._sessions[frozen.name], relation, stream).average())
        return StreamInfo(
            name=stream,
            kind=definitions.TABLE,
            proof=Proof.IDENTICAL if relation.plain and relation.key else Proof.CANONICAL,
            definition=TableDefinition.of(relation, frozen.encoding).encode(),
            identity=f"{frozen.name}.{relation.oid}",
            keyed=relation.key > 0,
            estimated_records=max(int(rows), 1 if size else 0),
            estimated_bytes=size,
        )

    def _roles(self) -> StreamInfo:
        with translated(self._uri, "reading roles"):
            found = roles.list_roles(self._frozen.databases[0].session)
        content = definitions.encode({"kind": definitions.ROLES, "roles": found})
        return _without_records(names.ROLES, definitions.ROLES, content, "")


def _without_records(stream: str, kind: str, definition: bytes, identity: str) -> StreamInfo:
    return StreamInfo(
        name=stream,
        kind=kind,
        proof=Proof.IDENTICAL,
        definition=definition,
        identity=identity,
        keyed=False,
        has_records=False,
    )
