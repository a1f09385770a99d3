"""A source in memory whose instants pass away when a test says so, and that tells, or does not, what changed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from drtool.errors import InstantMovedError, WindowPassedError
from drtool.operations.backup.backup import back_up
from drtool.operations.backup.committing import BackupResult
from drtool.operations.backup.inheriting import Thoroughness
from drtool.operations.budget import Budget
from drtool.operations.contents import Contents
from drtool.operations.reporting import Silent
from drtool.repository.chain import Snapshot, read_catalogue
from drtool.repository.manifests import StreamEntry
from drtool.repository.packs import PACK_BYTES
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.sources.base import Probe
from drtool.sources.cutting import Chunk, CutRule, cut_part
from drtool.sources.plain import PlainSource
from drtool.sources.reading import Base, Changes, Consistency, KeyRange, Proof, ReadAgainError, Settled, StreamInfo

Key = tuple[str, bytes]
"""A stream's identity and a record's key."""
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
Moved = type[InstantMovedError]
"""How an instant passes."""


@dataclass
class MemorySource(PlainSource):
    """``held`` are streams by name, each with an identity and its records by key. `window` gives the number of chunks
    that a view (counted from 1) can be read before its instant passes, None for all; `meanwhile` is called then.
    `failing` are errors by when they come: at ``probe``, ``prepare``, ``freeze``, ``read`` (of a chunk), ``settle``.
    `astray` are records, by stream, that do not lie where they belong: the first view leaves them out of their part and
    meets them at the end of the last one, as who reads a collection as it lies does."""

    name: str = "app"
    type: str = "memory"
    held: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    consistency: Consistency = Consistency.EXACT
    full_because: str = ""
    window: Callable[[int], int | None] = lambda view: None
    meanwhile: Callable[[], None] = lambda: None
    error: Moved = WindowPassedError
    history: list[tuple[Key, bytes | None]] = field(default_factory=list)
    views: int = 0
    chunks_read: int = 0
    failing: dict[str, Exception] = field(default_factory=dict)
    memory: Path | None = None
    follows: bool = False
    asked: list[tuple[int, int]] = field(default_factory=list)
    astray: dict[str, set[bytes]] = field(default_factory=dict)

    def put(self, stream: str, key: bytes, data: bytes | None, *, logged: bool = True) -> None:
        """Write or (None) delete a record; without a trace in the log where it is not to be `logged`."""
        self.identities.setdefault(stream, f"id-{stream}")
        records = self.held.setdefault(stream, {})
        if data is None:
            records.pop(key, None)
        else:
            records[key] = data
        if logged:
            self.history.append(((self.identities[stream], key), data))

    def rename_stream(self, old: str, new: str) -> None:
        """Rename a stream; its identity stays."""
        self.held[new] = self.held.pop(old)
        self.identities[new] = self.identities.pop(old)

    def probe(self) -> Probe:
        """See ``Source.probe``."""
        self.fail("probe")
        return Probe(self.type, "1.0", "memory", "", self.consistency)

    def prepare(self, previous: Mapping[str, Any] | None) -> MemorySource:
        """See ``Source.prepare``."""
        self.fail("prepare")
        return self

    def remember_in(self, directory: Path) -> None:
        """See ``Source.remember_in``."""
        self.memory = directory

    def log(self) -> Any:
        """See ``Source.log``: something, where it `follows`."""
        return self.history if self.follows else None

    def fail(self, when: str) -> None:
        """Raise the error that is to come here, if there is one."""
        if when in self.failing:
            raise self.failing[when]

    def freeze(self) -> MemoryView:
        """See ``Prepared.freeze``."""
        self.fail("freeze")
        self.views += 1
        return MemoryView(self, self.views)

    def close(self) -> None:
        """Nothing is held."""


class MemoryView:
    """A copy of the source (``drtool.sources.reading.View``)."""

    def __init__(self, source: MemorySource, number: int) -> None:
        self._source = source
        self.instant = _BEGINNING + timedelta(seconds=number)
        self._held = {name: dict(records) for name, records in source.held.items()}
        self._identities = dict(source.identities)
        self._time = len(source.history)
        self._left = source.window(number)
        self._lock = threading.Lock()
        self._astray = {name: set(keys) for name, keys in source.astray.items()} if number == 1 else {}

    @property
    def point(self) -> Mapping[str, Any]:
        """How long the log is."""
        return {"cluster_time": [self._time, 0]}

    def streams(self) -> Sequence[StreamInfo]:
        """See ``View.streams``."""
        return [
            StreamInfo(
                name,
                "collection",
                Proof.IDENTICAL,
                name.encode(),
                self._identities[name],
                estimated_records=len(self._held[name]),
                estimated_bytes=sum(map(len, self._held[name].values())),
            )
            for name in sorted(self._held)
        ]

    def split(self, stream: StreamInfo, parts: int) -> Sequence[KeyRange]:
        """Even ranges, of 20 records or more."""
        keys = sorted(self._held[stream.name])
        count = max(1, min(parts, len(keys) // 20))
        bounds = [keys[number * len(keys) // count] for number in range(1, count)]
        together = stream.name in self._astray
        borders = zip([None, *bounds], [*bounds, None], strict=True)
        return [KeyRange(lower, upper, together=together) for lower, upper in borders]

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """See ``View.chunks``."""
        if stream.kind == "oplog":
            yield from self._overlay_chunks(rule)
            return
        ends = part.upper is None or part.strict
        beyond = iter(()) if ends else self._records(stream.name, part.upper, None)
        astray = self._astray.get(stream.name, set()) if part.together else set()
        own = ((key, data) for key, data in self._records(stream.name, part.lower, part.upper) if key not in astray)
        for chunk in cut_part(own, beyond, rule):
            self._count()
            yield chunk
        if astray and part.upper is None:
            del self._astray[stream.name]
            raise ReadAgainError(stream.name)

    def changes(self, since: Mapping[str, Any], bases: Mapping[str, Base]) -> Changes:
        """See ``View.changes``."""
        if self._source.full_because:
            return Changes(full_because=self._source.full_because)
        start = since["cluster_time"][0]
        self._source.asked.append((start, self._time))
        touched: dict[str, dict[int, Set[int]]] = {}
        for name, base in bases.items():
            found: dict[int, set[int]] = {}
            for (identity, key), _ in self._source.history[start : self._time]:
                if identity == self._identities[name]:
                    group = _last_at_or_before(base.firsts(), key)
                    found.setdefault(group, set()).add(_last_at_or_before(base.bounds(group), key))
            if found:
                touched[name] = dict(found)
        return Changes(touched)

    def overlay(self, since: Mapping[str, Any]) -> StreamInfo:
        """See ``View.overlay``."""
        self._overlay = self._source.history[since["cluster_time"][0] : self._time]
        return StreamInfo("$oplog", "oplog", Proof.IDENTICAL, b"", keyed=False)

    def cancel(self) -> None:
        """Nobody waits."""

    def settle(self) -> Settled:
        """See ``View.settle``."""
        self._source.fail("settle")
        return Settled(self._source.consistency)

    def close(self) -> None:
        """Nothing is held."""

    def _records(self, stream: str, lower: bytes | None, upper: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self._held[stream]):
            if (lower is None or key >= lower) and (upper is None or key < upper):
                yield key, self._held[stream][key]

    def _overlay_chunks(self, rule: CutRule) -> Iterator[Chunk]:
        records = (
            (b"%08d" % number, b"%s %s %s\n" % (identity.encode(), key.hex().encode(), (data or b"").hex().encode()))
            for number, ((identity, key), data) in enumerate(self._overlay)
        )
        yield from cut_part(records, iter(()), rule)

    def _count(self) -> None:
        self._source.fail("read")
        with self._lock:
            self._source.chunks_read += 1
            if self._left is None:
                return
            self._left -= 1
            if self._left < 0:
                if self._left == -1:
                    self._source.meanwhile()
                raise self._source.error("the instant passed")


def _last_at_or_before(keys: Sequence[bytes], key: bytes) -> int:
    return max((number for number, first in enumerate(keys) if first <= key), default=0)


def small_chunks() -> contextlib.AbstractContextManager[Any]:
    """Inside, chunks are a few hundred bytes and pages a few chunks, so that little data makes many of them."""
    stack = contextlib.ExitStack()
    limits = {"MIN_BYTES": 200, "MAX_BYTES": 2000, "SPREAD_BYTES": 300}
    names = {f"cutting.{name}": value for name, value in limits.items()}
    names |= {f"mongodb.batches.{name}": value for name, value in limits.items() if name != "SPREAD_BYTES"}
    for name, value in names.items():
        stack.enter_context(mock.patch(f"drtool.sources.{name}", value))
    for name, value in (("MIN_ENTRIES", 3), ("MAX_ENTRIES", 12), ("_CUT_BELOW", (1 << 64) // 4)):
        stack.enter_context(mock.patch(f"drtool.repository.pages.{name}", value))
    return stack


class Host:
    """A host that backs sources up into a repository, with small chunks."""

    def __init__(self, repository: Repository, source: Any, *others: Any) -> None:
        self.repository, self.source, self.others = repository, source, others
        self.told = Silent()
        self.pack_bytes = PACK_BYTES

    def backup(self, *, full: bool = False, check: float = 0.0, full_every: int | None = None) -> BackupResult:
        """Take a snapshot."""
        sources: list[Any] = [self.source, *self.others]
        with small_chunks():
            return back_up(
                self.repository,
                "nightly",
                sources,
                Budget(2, 2, 1, 8_000_000, self.pack_bytes),
                self.told,
                Thoroughness(full, full_every, check),
            )

    def snapshots(self) -> Sequence[Snapshot]:
        """All of them."""
        return read_catalogue(self.repository).snapshots

    def newest(self) -> Snapshot:
        """The newest."""
        return max(self.snapshots(), key=lambda snapshot: snapshot.manifest.number)

    def streams(self) -> dict[str, StreamEntry]:
        """The streams of the newest snapshot."""
        with contextlib.closing(ChunkReader(self.repository)) as reader:
            return {entry.name: entry for entry in Contents(reader, self.newest().manifest).streams()}

    def roots(self) -> dict[str, Any]:
        """What is to be the same for an increment and a full read: page trees."""
        return {name: entry.root for name, entry in self.streams().items()}

    def data(self, reader_repository: Repository, stream: str) -> bytes:
        """All records of a stream of the newest snapshot, read with an identity."""
        with contextlib.closing(ChunkReader(reader_repository)) as reader:
            return b"".join(Contents(reader, self.newest().manifest).records(self.streams()[stream]))
