"""A Qdrant that a restore writes to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from drtool.errors import IncompleteRestoreError, TargetNotEmptyError
from drtool.sources.plain import PlainTarget
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.qdrant.points import Point, point_of
from drtool.sources.qdrant.stores import Writer
from drtool.sources.qdrant.view import QdrantView
from drtool.sources.restoring import Inspection, Loaded, RestoreItem, RestorePlan
from drtool.sources.vectors.joining import Item, Joined

_RENAME = "Restore under another name with --rename OLD=NEW, or elsewhere with --to."
_CLOSE = "Let the application close it, restore under another name with --rename OLD=NEW, or elsewhere with --to."
#: How much is written at a time: points, and bytes of vectors and payload.
_POINTS, _BYTES = 500, 4 << 20


class QdrantTarget(PlainTarget):
    """See ``drtool.sources.restoring.Target``. The mark of a restore holds the collections that it makes, so that what
    an interrupted one left is known as its own. An embedded engine is open only while something is done with it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._users = 0

    def inspect(self, plan: RestorePlan) -> Inspection:
        """See ``Target.inspect``."""
        with self._used():
            return self._inspect(plan)

    def begin(self, plan: RestorePlan) -> None:
        """See ``Target.begin``."""
        with self._used():
            self._begin(plan)

    def load(self, item: RestoreItem, chunks: Iterable[bytes]) -> Loaded:
        """Never called: items come with their vectors."""
        raise AssertionError((item, chunks))

    def load_joined(
        self, item: RestoreItem, chunks: Iterable[bytes], beside: Sequence[tuple[RestoreItem, Iterable[bytes]]]
    ) -> Sequence[Loaded]:
        """See ``Target.load_joined``."""
        [(_, vectors)] = beside
        items = Joined(item.name, chunks, vectors)
        with self._used():
            for points in _batches(items):
                self._writer.upsert(item.name, points)
        return items.loaded

    def finish(self, plan: RestorePlan, progress: Callable[[str], None]) -> Mapping[str, int]:
        """See ``Target.finish``. ``IncompleteRestoreError`` where the engine does not hold what it was given."""
        with self._used():
            for item in _collections(plan):
                self._check_count(item)
                self._writer.finish(item.name, Definition.decode(item.stream.definition), progress)
            marks = self._writer.marks()
            self._writer.keep_marks({marker: names for marker, names in marks.items() if marker != plan.marker})
        return {}

    def read_back(self, plan: RestorePlan) -> QdrantView:
        """See ``Target.read_back``."""
        names = {item.stream.name: item.name for item in _collections(plan)}
        here = set(self._writer.collections())
        there = {name: held for name, held in names.items() if held in here}
        return QdrantView(self._writer.reader(list(there.values())), there)

    def close(self) -> None:
        """See ``Target.close``."""
        self._writer.close()

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._writer.close()

    def _inspect(self, plan: RestorePlan) -> Inspection:
        here = set(self._writer.collections())
        own = set(self._writer.marks().get(plan.marker, ()))
        counts = {name: self._writer.count(name) for name in _names(plan) if name in here and name not in own}
        occupied = {name: _held(name, count) for name, count in counts.items()}
        lasting = tuple(occupied[name] for name, count in counts.items() if count is None)
        notes = tuple(
            f"{name} was left by an unfinished restore of this snapshot, and is begun anew"
            for name in _names(plan)
            if name in here and name in own
        )
        hint = _CLOSE if lasting else _RENAME if occupied else ""
        return Inspection(self._writer.shown, tuple(occupied.values()), notes, hint, lasting)

    def _check_count(self, item: RestoreItem) -> None:
        found = self._writer.count(item.name)
        if found != item.records:
            raise IncompleteRestoreError(
                f"{_held(item.name, found)}, and the snapshot has {item.records:,}",
                hint="Look whether its disk is full or something else writes to it, then restore again.",
            )

    def _begin(self, plan: RestorePlan) -> None:
        found = self._inspect(plan)
        in_the_way = found.lasting if plan.replace else found.occupied
        if in_the_way:
            raise TargetNotEmptyError(f"{found.target} is not empty: {'; '.join(in_the_way[:10])}", hint=found.hint)
        marks = self._writer.marks()
        own = sorted({*marks.get(plan.marker, ()), *_names(plan)})
        self._writer.keep_marks({**marks, plan.marker: own})
        for name in own:
            self._writer.drop(name)
        for item in _collections(plan):
            self._writer.create(item.name, Definition.decode(item.stream.definition))


def _held(name: str, count: int | None) -> str:
    if count is None:
        return f"{name}: a collection that another process has open"
    return f"{name}: {count:,} point{'' if count == 1 else 's'}"


def _collections(plan: RestorePlan) -> Iterator[RestoreItem]:
    return (item for item in plan.items if not item.stream.beside)


def _names(plan: RestorePlan) -> list[str]:
    return [item.name for item in _collections(plan)]


def _batches(items: Iterable[Item]) -> Iterator[list[Point]]:
    batch: list[Point] = []
    size = 0
    for item in items:
        batch.append(point_of(item))
        size += sum(_size(vector) for vector in item.vectors.values()) + _size(item.fields)
        if len(batch) >= _POINTS or size >= _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(value: object) -> int:
    """About how many bytes."""
    if isinstance(value, bytes | str):
        return len(value)
    if isinstance(value, dict):
        return sum(_size(each) for each in value.values())
    if isinstance(value, list):
        return sum(map(_size, value))
    return 8
