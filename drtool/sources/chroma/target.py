"""A Chroma as the target of a restore.

A collection is loaded under a name of its own, which holds a hash of the restore's marker, and gets its name when it is
whole: so nobody searches in half of one, and an interrupted restore knows what it left. While names are given, one more
collection lists, in its metadata, the ids of those that may have theirs already.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from drtool.errors import IncompleteRestoreError, SourceError, TargetNotEmptyError
from drtool.sources.chroma import holders, names, sqlite
from drtool.sources.chroma.address import Address
from drtool.sources.chroma.definitions import Definition
from drtool.sources.chroma.engine import Engine, Found, opened
from drtool.sources.chroma.freezing import of_target
from drtool.sources.chroma.names import Namespace
from drtool.sources.chroma.view import ChromaView
from drtool.sources.plain import PlainTarget
from drtool.sources.restoring import Inspection, Loaded, RestoreItem, RestorePlan
from drtool.sources.vectors.joining import Item, Joined
from drtool.sources.vectors.records import UNNAMED

_BATCH = 1000
_HINT = "Restore under another name (--rename OLD=NEW), or elsewhere (--to)."


class ChromaTarget(PlainTarget):
    """See ``drtool.sources.restoring.Target``."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._stack = contextlib.ExitStack()
        self._opened: Engine | None = None
        self._loading: dict[str, Found] = {}

    def inspect(self, plan: RestorePlan) -> Inspection:
        """See ``Target.inspect``."""
        mark = names.mark_of(plan.marker)
        if self._address.directory is not None:
            holders.require_nobody(self._address.directory)
        there = self._listed(_places(plan))
        own = {*self._finished(there, mark)}
        occupied = []
        for item in _mains(plan):
            place, wanted = names.split(item.name)
            for name, id_ in there.get(place, {}).items():
                if name == wanted and id_ not in own:
                    occupied.append(f"{item.name}: {self._count(place, id_):,} items")
                elif (names.mark_in(name, wanted) or mark) != mark:
                    occupied.append(f"{item.name}: what another restore left unfinished ({name})")
        return Inspection(self._address.shown, tuple(occupied), hint=_HINT if occupied else "")

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``."""
        found = self.inspect(plan)
        if found.occupied and not plan.replace:
            raise TargetNotEmptyError(f"{found.target} is not empty: {'; '.join(found.occupied[:10])}", hint=_HINT)
        mark = names.mark_of(plan.marker)
        own = set(self._finished(self._listed(_places(plan)), mark))
        engine = self._engine()
        for place in _places(plan):
            engine.make(place)
            for one in engine.collections(place):
                if one.id in own or one.name == names.finishing(mark) or _is_left(one.name, place, plan, mark):
                    engine.delete(one)
        for item in _mains(plan):
            place, name = names.split(item.name)
            definition = Definition.decode(item.stream.definition)
            self._loading[item.name] = engine.create(
                place, names.unfinished(name, mark), definition.schema, definition.metadata
            )

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """Never called: every collection has vectors beside it."""
        raise IncompleteRestoreError(f"{item.name} cannot be restored without its vectors", hint=f"{chunks!r}")

    def load_joined(
        self, item: RestoreItem, chunks: Iterable[bytes], beside: Sequence[tuple[RestoreItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """See ``Target.load_joined``."""
        [(_, vectors)] = beside
        engine, one = self._engine(), self._loading[item.name]
        joined = Joined(item.name, chunks, vectors)
        for batch in joined.batches(min(_BATCH, engine.most_items())):
            engine.add(one, _columns(item.name, batch))
        there = engine.count(one)
        if there != joined.loaded[0].records:
            raise IncompleteRestoreError(f"{item.name}: {there} of {joined.loaded[0].records} items are there")
        return joined.loaded

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:  # noqa: ARG002
        """See ``Target.finish``: the collections get their names, which takes no time worth telling."""
        if not self._loading:
            return {}
        mark, engine = names.mark_of(plan.marker), self._engine()
        places = _places(plan)
        listed = {str(one.id): item for item, one in self._loading.items()}
        note = engine.create(places[0], names.finishing(mark), {}, listed)
        in_the_way = {one.place.stream(one.name): one for place in places for one in engine.collections(place)}
        for item in _mains(plan):
            if item.name in in_the_way:  # which the plan allowed to replace, or it would not have begun
                engine.delete(in_the_way[item.name])
            engine.rename(self._loading[item.name], names.split(item.name)[1])
        engine.delete(note)
        self._loading = {}
        return {}

    def read_back(self, plan: RestorePlan) -> ChromaView:
        """See ``Target.read_back``."""
        engine = self._engine()
        original = {item.name: item.stream.name for item in _mains(plan)}
        found = [
            one for place in _places(plan) for one in engine.collections(place) if place.stream(one.name) in original
        ]
        return of_target(engine, found, original, self._address.directory)

    def close(self) -> None:
        """See ``Target.close``."""
        self._opened = None
        self._stack.close()

    def _engine(self) -> Engine:
        if self._opened is None:
            if self._address.directory is not None:
                try:
                    self._address.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                except OSError as error:
                    raise SourceError(f"{self._address.shown} cannot be made: {error.strerror}") from error
            self._opened = self._stack.enter_context(opened(self._address))
        return self._opened

    def _listed(self, places: Sequence[Namespace]) -> dict[Namespace, dict[str, UUID]]:
        """The ids of collections by name. A directory is only looked at: opening it could change it."""
        found: dict[Namespace, dict[str, UUID]] = {}
        directory = self._address.directory
        if directory is None:
            engine = self._engine()
            for place in places:
                found[place] = {one.name: one.id for one in engine.collections(place)}
        elif (directory / sqlite.DATABASE).is_file():
            for place, name, id_ in sqlite.collections(directory):
                found.setdefault(place, {})[name] = id_
        return found

    def _count(self, place: Namespace, id_: UUID) -> int:
        directory = self._address.directory
        if directory is not None:
            return sqlite.count(directory, id_)
        return next((self._engine().count(one) for one in self._engine().collections(place) if one.id == id_), 0)

    def _finished(self, there: Mapping[Namespace, Mapping[str, UUID]], mark: str) -> Iterator[UUID]:
        """The collections to which an interrupted restore of this mark had given their names, or was about to."""
        for place, held in there.items():
            note = held.get(names.finishing(mark))
            if note is None:
                continue
            if self._address.directory is not None:
                listed: Mapping[str, Any] = sqlite.metadata(self._address.directory, note)
            else:
                listed = next((one.metadata or {} for one in self._engine().collections(place) if one.id == note), {})
            yield from map(UUID, listed)


def _columns(name: str, batch: Sequence[Item]) -> dict[str, Any]:
    vectors = [item.vectors.get(UNNAMED, b"") for item in batch]
    if len({len(vector) for vector in vectors}) != 1 or not vectors[0]:
        raise IncompleteRestoreError(f"{name}: not all vectors after {batch[0].id!r} are of one dimension")
    matrix = np.frombuffer(b"".join(vectors), "<f4").reshape(len(batch), -1)
    return {
        "ids": [item.id for item in batch],
        "embeddings": list(matrix),
        "documents": [item.fields.get("document") for item in batch],
        "metadatas": [item.fields.get("metadata") for item in batch],
        "uris": [item.fields.get("uri") for item in batch],
    }


def _mains(plan: RestorePlan) -> list[RestoreItem]:
    return [item for item in plan.items if not item.stream.beside]


def _places(plan: RestorePlan) -> list[Namespace]:
    return sorted({names.split(item.name)[0] for item in _mains(plan)})


def _is_left(name: str, place: Namespace, plan: RestorePlan, mark: str) -> bool:
    """Did this restore leave a collection of that name, or another one that this one replaces?"""
    for item in _mains(plan):
        where, wanted = names.split(item.name)
        found = names.mark_in(name, wanted) if where == place else None
        if found is not None and (found == mark or plan.replace):
            return True
    return False
