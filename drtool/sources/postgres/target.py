"""A PostgreSQL server that a restore writes to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.errors import IncompleteRestoreError, MissingToolError, SourceError, TargetNotEmptyError, UsageError
from drtool.sources.plain import PlainTarget
from drtool.sources.postgres import creating, definitions, large_objects, names, roles, sequences
from drtool.sources.postgres.catalogue import list_relations
from drtool.sources.postgres.connection import connect, major, parameters, translated
from drtool.sources.postgres.definitions import TableDefinition
from drtool.sources.postgres.finishing import execute_entries, finish
from drtool.sources.postgres.freezing import freeze
from drtool.sources.postgres.loading import Ledger, load
from drtool.sources.postgres.planning import Placed, place, roles_item, why_partial
from drtool.sources.postgres.uri import shown
from drtool.sources.postgres.view import PostgresView
from drtool.sources.restoring import Inspection, Loaded, RestoreItem, RestorePlan

if TYPE_CHECKING:
    from drtool.sources.postgres.connection import Session

_RENAME = "Restore under another name with --rename OLD=NEW, or to another server with --to URI."


class PostgresTarget(PlainTarget):
    """A target (``drtool.sources.restoring.Target``).

    Databases are made anew. The marker is the comment on a database, until `finish`. What the sandbox lacks of roles
    that own or may do something is made up there; on any other server it is named before anything is written.
    """

    def __init__(self, uri: str, bin_dir: Path | None, selection: names.Selection | None = None) -> None:
        self._uri, self._bin_dir, self._selection = uri, bin_dir, selection
        self._ledger = Ledger()
        self._lock = threading.Lock()
        self._idle: dict[str, list[Session]] = {}

    def inspect(self, plan: RestorePlan) -> Inspection:
        """What stands in the way: databases of the plan's names that hold anything.

        Raises ``SourceError`` where the target cannot take the plan.
        """
        placed = place(plan)
        with self._server(placed) as session, translated(self._uri, "looking at the target"):
            notes = [note for each in placed for note in why_partial(each)]
            notes += self._check(session, placed, roles_item(plan))
            occupied = list(self._in_the_way(session, placed, plan.marker))
            for each in placed:
                if creating.marker_of(session, each.database) == plan.marker:
                    notes.append(
                        f"{each.database} holds an unfinished restore of this snapshot, which is begun anew:"
                        " what it wrote is replaced"
                    )
        if plan.replace:
            self._refuse_parts(placed)
            notes += [f"{each.database} is dropped and made anew: whatever else is in it goes" for each in placed]
        lasting = tuple(self._unread(placed)) if plan.replace else ()
        swept = tuple(names.part(each.database) for each in placed)
        hint = _RENAME if occupied else ""
        return Inspection(shown(self._uri), (*occupied, *lasting), tuple(notes), hint, lasting, swept)

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``: roles that are missing, databases, and what comes before rows."""
        placed = place(plan)
        with self._server(placed) as session:
            with translated(self._uri, "looking at the target"):
                self._check(session, placed, roles_item(plan))
                occupied = list(
                    self._unread(placed) if plan.replace else self._in_the_way(session, placed, plan.marker)
                )
            if occupied:
                raise TargetNotEmptyError(f"{shown(self._uri)} is not empty: {'; '.join(occupied[:10])}", hint=_RENAME)
            if plan.replace:
                self._refuse_parts(placed)
            self._close_idle()
            self._ledger = Ledger()
            with translated(self._uri, "making roles"):
                self._make_roles(session, placed, roles_item(plan))
            for each in placed:
                self._make(session, each, plan)

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Target.load``. One transaction for each call."""
        if not item.stream.has_records:
            return Loaded(0, 0)
        with self._session(names.split(item.name)[0]) as session, translated(self._uri, f"writing {item.name}"):
            session.execute("BEGIN")
            if item.stream.kind == definitions.TABLE:
                definition = TableDefinition.decode(item.stream.definition)
                loaded = load(session, item.name, definition, chunks, self._ledger)
            else:
                loaded = _load_others(session, item, chunks)
            session.execute("COMMIT")
            return loaded

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """See ``Target.finish``."""
        incomplete = self._ledger.incomplete()
        if incomplete:
            raise IncompleteRestoreError(f"parts of long rows are missing: {', '.join(incomplete)}")
        self._close_idle()
        placed = place(plan)
        for each in placed:
            finish(self._uri, each.database, each.definition.post, whole=not each.left_out, progress=progress)
            with self._server(placed) as session, translated(self._uri, f"finishing {each.database}"):
                self._analyse(each)
                for statement in creating.last_statements(each.database, each.definition):
                    session.execute(statement.encode())
        return {}

    def read_back(self, plan: RestorePlan) -> PostgresView:
        """See ``Target.read_back``."""
        placed = place(plan)
        wanted = {item.stream.name for item in plan.items}
        renamed = {each.database: each.original for each in placed}
        selection = names.Selection(roles=names.ROLES in wanted)
        frozen = freeze(self._uri, [each.database for each in placed], selection)
        return PostgresView(
            self._uri, frozen, selection, bin_dir=self._bin_dir, renamed=renamed, wanted=wanted.__contains__
        )

    def close(self) -> None:
        """Release connections. Safe to call twice."""
        self._close_idle()

    @contextlib.contextmanager
    def _server(self, placed: Sequence[Placed]) -> Iterator[Session]:
        """A session with a database that the plan does not touch: that which the address names, if possible."""
        touched = {each.database for each in placed}
        named = parameters(self._uri)["dbname"]
        session = connect(self._uri, next(each for each in (named, "postgres", "template1") if each not in touched))
        try:
            yield session
        finally:
            session.close()

    @contextlib.contextmanager
    def _session(self, database: str) -> Iterator[Session]:
        """One of those for loading; one that failed is not used again."""
        with self._lock:
            idle = self._idle.setdefault(database, [])
            session = idle.pop() if idle else None
        if session is None:
            session = connect(self._uri, database)
        try:
            yield session
        except BaseException:
            session.close()
            raise
        with self._lock:
            self._idle.setdefault(database, []).append(session)

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, {}
        for session in (session for sessions in idle.values() for session in sessions):
            session.close()

    def _analyse(self, placed: Placed) -> None:
        """The planner knows nothing of restored tables otherwise."""
        if self._is_sandbox:
            return
        with self._session(placed.database) as session:
            for item in placed.tables:
                table = TableDefinition.decode(item.stream.definition)
                session.execute(f"ANALYZE {names.quoted(table.schema)}.{names.quoted(table.name)}".encode())
        self._close_idle()

    @property
    def _is_sandbox(self) -> bool:
        return f"{roles.SANDBOX_OWNER}@" in self._uri or f"user={roles.SANDBOX_OWNER}" in self._uri

    def _in_the_way(self, session: Session, placed: Sequence[Placed], marker: str) -> Iterator[str]:
        for each in placed:
            if not creating.exists(session, each.database):
                continue
            other = creating.marker_of(session, each.database)
            if other == marker:
                continue
            with self._session(each.database) as there:
                relations, others = creating.holds(there)
                found = {names.name(table.schema, table.name) for table in list_relations(there)}
                if sequences.any_of(there):
                    found.add(names.SEQUENCES)
                if large_objects.count(there):
                    found.add(names.LARGE_OBJECTS)
            self._close_idle()
            if other:
                yield from (f"{item.name}: of another restore that did not finish" for item in each.items)
            elif relations or others:
                yield from _held(each, found, f"{relations:,} tables, views and sequences, {others:,} other objects")

    def _unread(self, placed: Sequence[Placed]) -> Iterator[str]:
        """Tables with rows that backups leave out: with their database they would go, and no snapshot holds them."""
        if self._selection is None or not self._selection.exclude:
            return
        for each in placed:
            with self._server(placed) as session:
                if not creating.exists(session, each.database):
                    continue
            with self._session(each.database) as there, translated(self._uri, f"looking into {each.database}"):
                for table in list_relations(there):
                    stream = names.name(each.database, table.schema, table.name)
                    if table.kind != "r" or self._selection.takes(stream):
                        continue
                    place = f"{names.quoted(table.schema)}.{names.quoted(table.name)}"
                    rows = f"SELECT 1 FROM {place} LIMIT 1"  # noqa: S608 - quoted
                    if there.execute(rows.encode()).fetchall():
                        yield f"{stream}: a table whose rows the source's exclude keeps out of backups"
            self._close_idle()

    def _check(self, session: Session, placed: Sequence[Placed], wanted: RestoreItem | None) -> list[str]:
        """What the server lacks: ``MissingToolError`` for extensions, ``SourceError`` for roles. Returns notes."""
        available: dict[str, str] = dict(
            session.execute("SELECT name, default_version FROM pg_catalog.pg_available_extensions").fetchall()
        )
        notes = []
        for each in placed:
            missing = sorted(each.definition.extensions.keys() - available.keys())
            if missing:
                raise MissingToolError(
                    f"{shown(self._uri)} lacks extensions that {each.original} needs: {', '.join(missing)}",
                    hint="Install them on that server first (packages such as postgresql-18-pgvector).",
                )
            notes += [
                f"{each.database}: the extension {name} comes in version {available[name]} instead of {version}"
                for name, version in each.definition.extensions.items()
                if available[name] != version
            ]
            self._check_age(session, each)
            notes += self._check_text(session, each)
        lacking = self._lacking(session, placed, wanted)
        if lacking and not self._is_sandbox:
            raise SourceError(
                f"{shown(self._uri)} lacks roles that own or may do something there: {', '.join(lacking)}",
                hint="Restore the roles, too (--users), if the snapshot holds them, or create them first.",
            )
        return notes

    def _check_age(self, session: Session, placed: Placed) -> None:
        """pg_dump's SQL is for servers of its own version or newer."""
        since = placed.definition.properties.get("server", 0)
        if major(session) < since:
            raise SourceError(
                f"{shown(self._uri)} is PostgreSQL {major(session)}, older than the {since} that {placed.original} was"
                " backed up from: its definitions may not be understood there",
                hint=f"Restore to PostgreSQL {since} or newer.",
            )

    def _check_text(self, session: Session, placed: Placed) -> list[str]:
        """A database that is there, empty, keeps its encoding and locale: the one must be the same."""
        if self._is_sandbox or not creating.exists(session, placed.database):
            return []
        there = creating.text_of(session, placed.database)
        wanted = tuple(placed.definition.properties[key] for key in ("encoding", "collate", "ctype"))
        if there[0] != wanted[0]:
            raise SourceError(
                f"{shown(self._uri)}: the database {placed.database} has the encoding {there[0]}, not {wanted[0]}",
                hint=f"Drop it, if it is empty, and it is made anew; or restore under another name. {_RENAME}",
            )
        if there == wanted:
            return []
        return [f"{placed.database} keeps its locale {there[1]} (the snapshot's was {wanted[1]})"]

    def _lacking(self, session: Session, placed: Sequence[Placed], wanted: RestoreItem | None) -> list[str]:
        made = set() if wanted is None else {role["name"] for role in _roles_of(wanted)}
        needed = {role for each in placed for role in each.definition.needs}
        return sorted(needed - made - roles.existing(session) - {roles.SANDBOX_OWNER})

    def _make_roles(self, session: Session, placed: Sequence[Placed], wanted: RestoreItem | None) -> None:
        for lacking in self._lacking(session, placed, wanted):
            session.execute(f"CREATE ROLE {names.quoted(lacking)} SUPERUSER NOLOGIN".encode())
        if wanted is not None:
            for statement in roles.create_statements(_roles_of(wanted), roles.existing(session)):
                session.execute(statement.encode())

    def _make(self, session: Session, placed: Placed, plan: RestorePlan) -> None:
        with translated(self._uri, f"creating {placed.database}"):
            ours = creating.marker_of(session, placed.database) == plan.marker
            if ours or plan.replace:
                creating.drop(session, placed.database)
            if self._is_sandbox:  # a new cluster has a database postgres, of the sandbox's own locale
                creating.drop(session, placed.database)
            if creating.exists(session, placed.database):
                creating.leave_marker(session, placed.database, plan.marker)
            else:
                creating.create(session, placed.database, placed.definition, plan.marker)
        with self._session(placed.database) as there, translated(self._uri, f"making what {placed.database} holds"):
            execute_entries(there, placed.definition.pre)

    def _refuse_parts(self, placed: Sequence[Placed]) -> None:
        for each in placed:
            if each.left_out:
                raise UsageError(
                    f"in place, {each.database} is replaced as a whole, and {each.left_out[0]} is not restored",
                    hint="Restore the tables beside, without --in-place, and copy them over.",
                )


def _held(placed: Placed, found: Set[str], what: str) -> Iterator[str]:
    """What of a plan's database is there, stream by stream; `found` are names without the database's."""
    for item in placed.items:
        if item.stream.kind == definitions.DEFINITIONS:
            yield f"{item.name}: the database holds {what}"
        elif names.split(item.name)[1] in found:
            yield f"{item.name}: {item.stream.kind}"


def _load_others(session: Session, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
    """Sequences and large objects; again, they become the same."""
    size = count = 0

    def seen() -> Iterator[bytes]:
        nonlocal size
        for chunk in chunks:
            size += len(chunk)
            yield chunk

    if item.stream.kind == definitions.SEQUENCES:
        for standing in sequences.standings(seen()):
            sequences.set_value(session, standing)
            count += 1
    else:
        for oid, part, body in large_objects.pieces(seen()):
            large_objects.write(session, oid, part, body)
            count += 1
    return Loaded(count, size)


def _roles_of(item: RestoreItem) -> Sequence[Mapping[str, object]]:
    found: Sequence[Mapping[str, object]] = definitions.decode(item.stream.definition)["roles"]
    return found
