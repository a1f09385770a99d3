"""What there is in the target while it follows the log: collections, their indexes, views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import bson
from bson.raw_bson import RawBSONDocument

from drtool.sources.mongodb.connection import RAW, Document
from drtool.sources.mongodb.definitions import Definition, Kind, decoded
from drtool.sources.mongodb.names import BUCKETS, is_of_restores, split
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.reading import Proof, StreamInfo
from drtool.sources.restoring import RestoreItem, RestorePlan

_OF_RECORDS = (Kind.COLLECTION, Kind.CLUSTERED, Kind.TIMESERIES, Kind.CAPPED, Kind.SYSTEM_JS)


@dataclass(slots=True, eq=False)
class Tracked:
    """A collection: ``source`` is what the log calls it just now, ``name`` what the target does.

    A time series bears its users' name. ``definition`` is as it was made; ``options`` and ``indexes`` (by name) follow
    the log. A ``staged`` one is not wanted, unless it is renamed to what is.
    """

    source: str
    name: str
    definition: Definition
    options: Document
    indexes: dict[str, Document] = field(default_factory=dict)
    item: RestoreItem | None = None
    staged: bool = False

    @classmethod
    def of(cls, definition: Definition, name: str) -> Tracked:
        """From a definition that bears the source's name."""
        indexes = {str(spec["name"]): decoded(spec) for spec in definition.indexes}
        return cls(definition.name, name, definition, decoded(definition.options), indexes)

    @property
    def kind(self) -> Kind:
        """What it is."""
        return self.definition.kind

    @property
    def database(self) -> str:
        """The target's."""
        return split(self.name)[0]

    @property
    def collection(self) -> str:
        """The name in it."""
        return split(self.name)[1]

    @property
    def records_in(self) -> str:
        """The collection of the target's database that holds its records."""
        return (BUCKETS if self.kind is Kind.TIMESERIES else "") + self.collection

    def planned(self) -> RestoreItem:
        """As it is to be completed."""
        definition = replace(
            self.definition,
            name=self.source,
            options=_raw(self.options),
            indexes=tuple(_raw(spec) for spec in self.indexes.values()),
        )
        return _item(definition, self.name, self.item)


@dataclass(slots=True)
class View:
    """A view: `options` as ``create`` takes them, with the source's names."""

    source: str
    name: str
    options: Document
    item: RestoreItem | None = None

    def planned(self) -> RestoreItem:
        """As it is to be made."""
        return _item(Definition(self.source, Kind.VIEW, "", _raw(self.options), None, ()), self.name, self.item)


class State:
    """All of it. Collections are found by UUID, by name only where neither the log nor the plan knows theirs."""

    def __init__(self, plan: RestorePlan) -> None:
        self.views: dict[str, View] = {}
        self._by_uuid: dict[bytes, Tracked] = {}
        self._nameless: list[Tracked] = []
        self._others: list[RestoreItem] = []
        for item in plan.items:
            definition = Definition.decode(item.stream.definition)
            if definition.kind is Kind.VIEW:
                self.views[item.stream.name] = View(item.stream.name, item.name, decoded(definition.options), item)
            elif definition.kind in _OF_RECORDS:
                tracked = Tracked.of(definition, item.name)
                tracked.item, tracked.staged = item, is_of_restores(item.name)
                self.add(tracked, bytes.fromhex(item.stream.identity))
            else:
                self._others.append(item)

    def find(self, operation: Operation) -> Tracked | None:
        """The collection that an operation is about: of a command on one, name it through `named`."""
        if operation.uuid is not None:
            return self._by_uuid.get(operation.uuid)
        return self.named(operation.ns)

    def with_uuid(self, uuid: bytes) -> Tracked | None:
        """The collection with this UUID in the source."""
        return self._by_uuid.get(uuid)

    def named(self, namespace: str) -> Tracked | None:
        """The collection that the source calls so, or whose buckets it does."""
        database, collection = split(namespace)
        name = f"{database}.{collection.removeprefix(BUCKETS)}"
        return next((each for each in self.collections() if each.source == name), None)

    def collections(self) -> Iterator[Tracked]:
        """All of them, staged ones, too."""
        yield from self._by_uuid.values()
        yield from self._nameless

    def add(self, tracked: Tracked, uuid: bytes | None) -> None:
        """There is one more."""
        if uuid:
            self._by_uuid[uuid] = tracked
        else:
            self._nameless.append(tracked)

    def remove(self, tracked: Tracked) -> None:
        """There is one less."""
        self._by_uuid = {uuid: each for uuid, each in self._by_uuid.items() if each is not tracked}
        self._nameless = [each for each in self._nameless if each is not tracked]

    def holder(self, name: str) -> Tracked | View | None:
        """What bears a name in the target."""
        everything: Iterable[Tracked | View] = (*self.collections(), *self.views.values())
        return next((each for each in everything if each.name == name), None)

    def made(self, plan: RestorePlan) -> dict[str, str]:
        """See ``Rehearsed.made``."""
        planned = {item.stream.name for item in plan.items}
        return {item.stream.name: item.name for item in self.plan(plan).items if item.stream.name not in planned}

    def plan(self, plan: RestorePlan) -> RestorePlan:
        """The plan as it stands now: what is to be completed."""
        collections = [each.planned() for each in self.collections() if not each.staged]
        views = [each.planned() for each in self.views.values()]
        return replace(plan, items=(*collections, *views, *self._others))


def _item(definition: Definition, name: str, known: RestoreItem | None) -> RestoreItem:
    stream = StreamInfo(
        name=definition.name,
        kind=str(definition.kind),
        proof=Proof.IDENTICAL,
        definition=definition.encode(),
        identity=definition.uuid,
        keyed=definition.keyed,
        has_records=definition.kind is not Kind.VIEW,
    )
    if known is None:
        return RestoreItem(stream, name, 0, 0)
    return replace(known, stream=stream, name=name)


def _raw(document: Document) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document), RAW)
