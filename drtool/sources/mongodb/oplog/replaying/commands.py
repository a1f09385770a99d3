"""Commands of the log, done to the target under its names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import bson
from bson.raw_bson import RawBSONDocument

from drtool.errors import SourceError, TargetNotEmptyError
from drtool.sources.mongodb.connection import RAW, Document
from drtool.sources.mongodb.definitions import Definition, Kind
from drtool.sources.mongodb.names import BUCKETS, split
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.mongodb.oplog.replaying import indexes, views
from drtool.sources.mongodb.oplog.replaying.naming import Naming
from drtool.sources.mongodb.oplog.replaying.parking import Parking
from drtool.sources.mongodb.oplog.replaying.state import State, Tracked

#: What to do about what cannot be done again.
HINT = "Restore to a time before it, or from a snapshot taken after it."
#: What changes nothing that is restored.
_IDLE = frozenset({"startIndexBuild", "setMultikeyMetadata", "dropIdent"})


class Hands(Protocol):
    """Does to the target what a command asks for; whatever was written before is done first."""

    def make_room(self, name: str) -> None:
        """``TargetNotEmptyError`` where the name is taken by what is not this restore's to replace."""

    def create(self, tracked: Tracked) -> None:
        """Make the collection, without indexes and expiry."""

    def drop(self, tracked: Tracked) -> None:
        """Drop it."""

    def rename(self, tracked: Tracked, name: str) -> None:
        """It bears its old name still."""

    def modify(self, tracked: Tracked, options: Document) -> None:
        """``collMod``."""


class Commands:
    """Follows commands in `state`, and has `hands` do what cannot wait until the end."""

    def __init__(self, state: State, naming: Naming, hands: Hands, parking: Parking) -> None:
        self._state, self._naming, self._hands, self._parking = state, naming, hands, parking
        self._by_name: Mapping[str, Callable[[Operation, Document], None]] = {
            "create": self._create,
            "drop": self._drop,
            "dropDatabase": self._drop_database,
            "renameCollection": self._rename,
            "collMod": self._modify,
            "createIndexes": self._create_index,
            "commitIndexBuild": self._commit_indexes,
            "abortIndexBuild": self._abort_indexes,
            "dropIndexes": self._drop_index,
            "deleteIndexes": self._drop_index,
        }

    def do(self, operation: Operation) -> bool:
        """Do one; False where it is about nothing that is restored. ``SourceError`` for one that is not known."""
        name = operation.command
        if name in _IDLE:
            return False
        concerns = self._concerns(operation)
        if name in self._by_name:
            self._by_name[name](operation, operation.decoded())
        elif concerns:
            raise SourceError(
                f"the oplog holds the command {name} on {split(operation.ns)[0]}, which cannot be done again",
                hint=HINT,
            )
        return concerns

    def _concerns(self, operation: Operation) -> bool:
        database = split(operation.ns)[0]
        if self._naming.concerns(f"{database}.$cmd"):
            return True
        first = next(iter(operation.decoded().values()), None)
        return isinstance(first, str) and self._naming.concerns(first if "." in first else f"{database}.{first}")

    def _found(self, operation: Operation, collection: object) -> Tracked | None:
        if operation.uuid is not None:
            return self._state.with_uuid(operation.uuid)
        return self._state.named(f"{split(operation.ns)[0]}.{collection}")

    def _create(self, operation: Operation, o: Document) -> None:
        database, collection = split(operation.ns)[0], str(o.pop("create"))
        if operation.uuid is not None and self._state.with_uuid(operation.uuid) is not None:
            return
        source = f"{database}.{collection.removeprefix(BUCKETS)}"
        name = self._naming.of(source)
        is_series = collection.startswith(BUCKETS)
        staged = name is None
        if staged and (is_series or not self._naming.may_get_another(source)):
            return
        definition = _definition(source, o, operation.uuid, is_series=is_series)
        if name is None:
            name = self._parking.place(definition)
        if name is None:
            return
        tracked = Tracked.of(definition, name)
        tracked.staged = staged
        if staged:
            self._hands.make_room(name)
        else:
            self.make_room(name, source)
        self._hands.create(tracked)
        self._state.add(tracked, operation.uuid)

    def make_room(self, name: str, source: str) -> None:
        """For what the source came to call `source`. ``TargetNotEmptyError`` where the name is taken."""
        holder = self._state.holder(name)
        if holder is not None:
            raise TargetNotEmptyError(
                f"{source} was created after the snapshot, or got its name then: it and {holder.source} would both be"
                f" restored as {name}",
                hint="Choose other names with --rename.",
            )
        self._hands.make_room(name)

    def _drop(self, operation: Operation, o: Document) -> None:
        if o["drop"] == views.COLLECTION:
            views.drop_all(self._state, split(operation.ns)[0])
            return
        tracked = self._found(operation, o["drop"])
        if tracked is not None:
            self._remove(tracked)

    def _remove(self, tracked: Tracked) -> None:
        self._hands.drop(tracked)
        self._state.remove(tracked)

    def _drop_database(self, operation: Operation, o: Document) -> None:  # noqa: ARG002 - it has nothing to say
        """Each collection was dropped before."""
        database = split(operation.ns)[0]
        views.drop_all(self._state, database)
        for tracked in [each for each in self._state.collections() if split(each.source)[0] == database]:
            self._remove(tracked)

    def _rename(self, operation: Operation, o: Document) -> None:
        source, to = str(o["renameCollection"]), str(o["to"])
        tracked = self._found(operation, split(source)[1])
        self._drop_target(o.get("dropTarget"), to)
        name = self._naming.of(to)
        if tracked is None:
            if name is not None:
                if is_of_resharding(source):
                    raise resharded(to)
                raise SourceError(
                    f"{source}, which this restore does not bring back, was renamed to {to}, which it does",
                    hint=f"Restore {source} as well (--only), or to a time before that.",
                )
            return
        if name is None and not tracked.staged:
            # It was asked for by its old name, and keeps the one that it was given where no other suggests itself.
            name = self._naming.beside(to) or tracked.name
        if name is not None and tracked.staged:
            self._parking.left(tracked, name)
        if name is not None and name != tracked.name:
            self.make_room(name, to)
            self._hands.rename(tracked, name)
            tracked.name, tracked.staged = name, False
        tracked.source = to

    def _drop_target(self, target: object, name: str) -> None:
        if isinstance(target, bytes):
            replaced = self._state.with_uuid(bytes(target))
        else:
            replaced = self._state.named(name) if target else None
        if replaced is not None:
            self._remove(replaced)

    def _modify(self, operation: Operation, o: Document) -> None:
        tracked = self._found(operation, o.pop("collMod"))
        if tracked is None:
            return
        index = o.pop("index", None)
        if index is not None:
            indexes.modify(tracked, index)
        expiry = o.pop("expireAfterSeconds", None)
        if expiry == "off":
            tracked.options.pop("expireAfterSeconds", None)
        elif expiry is not None:
            tracked.options["expireAfterSeconds"] = expiry
        if o:
            self._hands.modify(tracked, o)

    def _create_index(self, operation: Operation, o: Document) -> None:
        tracked = self._found(operation, o.pop("createIndexes"))
        if tracked is not None:
            indexes.create(tracked, [o])

    def _commit_indexes(self, operation: Operation, o: Document) -> None:
        tracked = self._found(operation, o["commitIndexBuild"])
        if tracked is not None:
            indexes.create(tracked, o["indexes"])

    def _abort_indexes(self, operation: Operation, o: Document) -> None:
        """The snapshot may have listed an index that was being built."""
        tracked = self._found(operation, o["abortIndexBuild"])
        if tracked is not None:
            indexes.drop(tracked, [spec["name"] for spec in o["indexes"]])

    def _drop_index(self, operation: Operation, o: Document) -> None:
        tracked = self._found(operation, next(iter(o.values())))
        if tracked is not None:
            indexes.drop(tracked, o["index"])


def is_of_resharding(namespace: str) -> bool:
    """Does the server put a collection's records there while it reshards it?"""
    return split(namespace)[1].startswith("system.resharding.")


def resharded(namespace: str) -> SourceError:
    """That a collection of this database was."""
    return SourceError(f"a collection of {split(namespace)[0]} was resharded, which cannot be done again", hint=HINT)


def _definition(source: str, o: Document, uuid: bytes | None, *, is_series: bool) -> Definition:
    """From the options of a ``create`` entry."""
    id_index = o.pop("idIndex", None)
    if is_series:
        for internal in ("validator", "clusteredIndex"):
            o.pop(internal, None)
        kind = Kind.TIMESERIES
    elif split(source)[1] == "system.js":
        kind = Kind.SYSTEM_JS
    elif o.get("capped"):
        kind = Kind.CAPPED
    else:
        kind = Kind.CLUSTERED if o.get("clusteredIndex") else Kind.COLLECTION
    return Definition(
        name=source,
        kind=kind,
        uuid="" if uuid is None else uuid.hex(),
        options=RawBSONDocument(bson.encode(o), RAW),
        id_index=None if id_index is None else RawBSONDocument(bson.encode(id_index), RAW),
        indexes=(),
    )
