"""A MongoDB that a restore writes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from drtool.errors import SourceError, TargetNotEmptyError
from drtool.sources.mongodb import granting
from drtool.sources.mongodb import uri as uris
from drtool.sources.mongodb.accounts import list_accounts
from drtool.sources.mongodb.catalogue import Entry, list_catalogue
from drtool.sources.mongodb.connection import Client, Deployment, connect, inspect_deployment, pin, translated
from drtool.sources.mongodb.creating import create, drop_made, has_marker, leave_marker, remove_marker
from drtool.sources.mongodb.definitions import Definition, Kind
from drtool.sources.mongodb.finishing import expires, finish, without_search
from drtool.sources.mongodb.freezing import freeze
from drtool.sources.mongodb.loading import load, split_documents
from drtool.sources.mongodb.names import MARKER_COLLECTION, is_of_accounts, split
from drtool.sources.mongodb.oplog.replaying.permission import require_right_to_replay
from drtool.sources.mongodb.oplog.replaying.running import Outcome, rehearse, replay
from drtool.sources.mongodb.planning import Placed, check_version, place
from drtool.sources.mongodb.search import Search, SearchIndexes
from drtool.sources.mongodb.view import MongoView
from drtool.sources.plain import PlainTarget
from drtool.sources.reading import StreamInfo
from drtool.sources.restoring import Inspection, Loaded, Rehearsed, Replayed, RestoreItem, RestorePlan, Stop

_RENAME = "Restore under another name with --rename OLD=NEW, or to another server with --to URI."
_NO_USERS = "Drop those users and roles in the target, or leave all of them alone with --no-users."


class MongoTarget(PlainTarget):
    """A target (``drtool.sources.restoring.Target``).

    On a replica set every write waits for the majority: that paces the load to the secondaries, a failover loses
    nothing of it, and with two writers it costs little. The marker is a document in `drtool_restore` of each
    database written to. Users and roles are kept until `finish`, so that nobody logs in before the data is there.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client: Client = connect(uri)
        self._known: Deployment | None = None
        self._placed: dict[str, Placed] = {}
        self._held: dict[str, list[bytes]] = {}
        self._outcome: Outcome | None = None

    def inspect(self, plan: RestorePlan) -> Inspection:
        """What stands in the way: collections of the plan's names, anything in a database that is to be new, users and
        roles that are not the plan's.

        Raises ``SourceError`` where the target cannot take the plan.
        """
        placed = place(plan)
        check_version(placed, self._writable().version)
        with translated(self._uri, "looking at users and roles"):
            granting.check_takes_accounts(self._client, uris.shown(self._uri), _accounts(placed))
            lacking = tuple(granting.lacking(self._client, _accounts(placed)))
        notes = (*self._unfinished(plan.marker, placed), *_notes(placed), *self._without_search(placed), *lacking)
        collections, others = list(self._in_the_way(plan, placed)), list(self._others(placed))
        hints = [hint for found, hint in ((collections, _RENAME), (others, _NO_USERS)) if found]
        return Inspection(uris.shown(self._uri), (*collections, *others), notes, " ".join(hints), tuple(others))

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``. What an earlier attempt of the same restore left is dropped. Users and roles are never
        replaced."""
        placed = place(plan)
        check_version(placed, self._deployment().version)
        self._refuse(self._others(placed), _NO_USERS)
        if not plan.replace:
            self._refuse(self._in_the_way(plan, placed), _RENAME)
        self._outcome = None
        with translated(self._uri, "creating collections"):
            for database in _by_database(placed):
                drop_made(self._client, database, plan.marker)
            leave_marker(self._client, _by_database(placed), plan.marker)
            for each in placed:
                if each.is_of_accounts:
                    self._held[each.item.name] = []
                elif each.definition.kind is Kind.VIEW:
                    self._client[each.database].drop_collection(each.collection)
                else:
                    create(self._client, each)
        self._placed = {each.item.name: each for each in placed}

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """See ``Target.load``."""
        if not item.stream.has_records:
            return Loaded(0, 0)
        placed = self._placed.get(item.name) or Placed(item, Definition.decode(item.stream.definition))
        if placed.is_of_accounts:
            return self._hold(item.name, chunks)
        deployment = self._deployment()
        with translated(self._uri, f"writing {item.name}"):
            return load(self._client, deployment, placed, chunks)

    def rehearse(
        self,
        plan: RestorePlan,
        since: Mapping[str, Any],
        entries: Iterable[bytes],
        stop: Stop | None,
        others: Sequence[StreamInfo] = (),
    ) -> Rehearsed:
        """See ``Target.rehearse``: what `replay` raises, but for what only the server can say."""
        databases = _by_database(place(plan)).keys()
        self._require_right_to_replay(databases)
        found = rehearse(plan, since, entries, stop, others)
        self._require_right_to_replay(_made(found).keys() - databases)
        return found

    def replay(
        self, plan: RestorePlan, since: Mapping[str, Any], entries: Iterable[bytes], stop: Stop | None
    ) -> Replayed:
        """See ``Target.replay``. `entries` are oplog entries back to back.

        Where the records are of different instants, `since` is the point of the oldest, and ``overlay_until`` in it
        ([seconds, increment]) the instant of the newest, to which the plan's definitions belong: up to there commands
        are passed over, and an update of a record that is not there is none. After it, that is an error.
        Users and roles stay as they were in the snapshot. Raises ``OplogTruncatedError`` for a transaction that begins
        before `entries`, ``IncompleteRestoreError`` for what does not fit the records, ``SourceError`` for what cannot
        be done again.
        """
        deployment = self._deployment()
        with translated(self._uri, "replaying the oplog"):
            self._outcome = replay(self._client, deployment, plan, since, entries, stop)
        return self._outcome.replayed

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """See ``Target.finish``."""
        outcome = self._outcome
        placed = place(plan if outcome is None else outcome.plan)
        databases = _by_database(placed) if outcome is None else outcome.databases
        with translated(self._uri, "restoring users and roles"):
            there = granting.merge(self._client, self._deployment(), _accounts(placed), self._held, progress)
        with translated(self._uri, "building indexes and views"):
            finish(self._client, [each for each in placed if not each.is_of_accounts], progress)
            remove_marker(self._client, databases, plan.marker)
        return there

    def read_back(self, plan: RestorePlan) -> MongoView:
        """See ``Target.read_back``."""
        original = {item.name: item.stream.name for item in plan.items}
        databases = sorted({split(name)[0] for name in original if not is_of_accounts(name)})
        has_accounts = any(map(is_of_accounts, original))
        client, deployment, uri = pin(self._uri)

        def list_entries() -> Sequence[Entry]:
            accounts = list_accounts(client, original.__contains__) if has_accounts else []
            return [*list_catalogue(client, databases, original.__contains__), *accounts]

        try:
            with translated(uri, "fixing an instant"):
                frozen = freeze(client, deployment, list_entries)
        except BaseException:
            client.close()
            raise
        return MongoView(client, uri, frozen, list_entries, names=original)

    def digests(self, plan: RestorePlan) -> Mapping[str, str]:
        """MD5 over each stream's records, as the command dbHash computes it (it locks the database meanwhile)."""
        result: dict[str, str] = {}
        with translated(self._uri, "computing dbHash"):
            for database, placed in _by_database(place(plan)).items():
                keyed = [each for each in placed if each.definition.keyed]
                command = {"dbHash": 1, "collections": [each.records_in for each in keyed]}
                found = self._client[database].command(command)["collections"]
                result |= {each.item.stream.name: found[each.records_in] for each in keyed if each.records_in in found}
        return result

    def close(self) -> None:
        """Release connections. Safe to call twice."""
        self._client.close()

    def _deployment(self) -> Deployment:
        if self._known is None:
            with translated(self._uri):
                self._known = inspect_deployment(self._client)
        return self._known

    def _writable(self) -> Deployment:
        deployment = self._deployment()
        if not deployment.writable and deployment.topology == "replica-set":
            raise SourceError(f"{uris.shown(self._uri)} is not the primary and takes no writes")
        return deployment

    def _require_right_to_replay(self, databases: Set[str]) -> None:
        if databases:
            self._writable()
            with translated(self._uri, "asking whether the account may replay"):
                require_right_to_replay(self._client, sorted(databases))

    def _hold(self, name: str, chunks: Iterable[bytes]) -> Loaded:
        """Keep users or roles for `finish`; again when they come again."""
        held = [document for chunk in chunks for document in split_documents(chunk)]
        self._held[name] = held
        return Loaded(len(held), sum(map(len, held)))

    def _others(self, placed: Sequence[Placed]) -> Iterator[str]:
        with translated(self._uri, "looking at users and roles"):
            yield from granting.in_the_way(self._client, _accounts(placed))

    def _without_search(self, placed: Sequence[Placed]) -> Iterator[str]:
        with translated(self._uri, "looking for search indexes"):
            for each in placed:
                offered = SearchIndexes(self._client)
                if each.definition.search_indexes and offered.offered(each.database, each.collection) is Search.NONE:
                    yield without_search(each)

    def _refuse(self, in_the_way: Iterable[str], hint: str) -> None:
        occupied = list(in_the_way)
        if occupied:
            raise TargetNotEmptyError(
                f"{uris.shown(self._uri)} is not empty: {'; '.join(occupied[:10])}",
                hint=hint,
            )

    def _in_the_way(self, plan: RestorePlan, placed: Sequence[Placed]) -> Iterator[str]:
        here, made = _by_database(placed), _made(plan.rehearsed)
        with translated(self._uri, "looking at what the target holds"):
            for database in dict.fromkeys([*here, *made]):
                if not has_marker(self._client, database, plan.marker):
                    yield from self._occupied(database, here.get(database, []), made.get(database, set()))

    def _unfinished(self, marker: str, placed: Sequence[Placed]) -> Iterator[str]:
        with translated(self._uri, "looking at what the target holds"):
            for database in _by_database(placed):
                if has_marker(self._client, database, marker):
                    yield (
                        f"{database} holds an unfinished restore of this snapshot, which is begun anew:"
                        " what it wrote is replaced"
                    )

    def _occupied(self, database: str, placed: Sequence[Placed], made: Set[str]) -> Iterator[str]:
        """Sentences about what is in the way in one database: of what is planned and of what a replay makes."""
        existing = {found["name"]: found["type"] for found in self._client[database].list_collections()}
        planned = {each.collection for each in placed} | made
        new = bool(placed) and all(split(each.item.stream.name)[0] != database for each in placed)
        whole = new and all(split(each.item.stream.name)[1] == each.collection for each in placed)
        for name in sorted(existing):
            if name in planned or (whole and not name.startswith("system.")):
                yield f"{database}.{name}: {self._holds(database, name, existing[name])}"

    def _holds(self, database: str, name: str, kind: str) -> str:
        if name == MARKER_COLLECTION:
            return "the marker of another restore that did not finish"
        if kind != "collection":
            return f"a {kind}"
        count = int(self._client[database].command({"count": name})["n"])
        return f"{count:,} document{'' if count == 1 else 's'}"


def _by_database(placed: Iterable[Placed]) -> dict[str, list[Placed]]:
    """What has records in a database of its own: all but users and roles."""
    result: dict[str, list[Placed]] = {}
    for each in placed:
        if not each.is_of_accounts:
            result.setdefault(each.database, []).append(each)
    return result


def _made(rehearsed: Rehearsed | None) -> dict[str, set[str]]:
    """What a replay is going to make, by database."""
    result: dict[str, set[str]] = {}
    for name in rehearsed.made.values() if rehearsed is not None else ():
        database, collection = split(name)
        result.setdefault(database, set()).add(collection)
    return result


def _accounts(placed: Iterable[Placed]) -> list[Placed]:
    return [each for each in placed if each.is_of_accounts]


def _notes(placed: Iterable[Placed]) -> Iterator[str]:
    for each in placed:
        if expires(each.definition):
            yield f"{each.item.name}: records expire here; those past their time go soon after the restore is done"
