"""MongoDB at one instant: the streams of a catalogue, read through one pinned member."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from bson.timestamp import Timestamp

from drtool.errors import InstantMovedError
from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.mongodb import splitting
from drtool.sources.mongodb.batches import Documents, cut_batches, cut_documents
from drtool.sources.mongodb.capped import touched_after
from drtool.sources.mongodb.catalogue import Entry, Size
from drtool.sources.mongodb.connection import Client, connect, translated
from drtool.sources.mongodb.cursors import Collection, Reader
from drtool.sources.mongodb.definitions import Definition, Kind
from drtool.sources.mongodb.freezing import Frozen, last_applied, list_patiently
from drtool.sources.mongodb.insertion import laying, scattered
from drtool.sources.mongodb.insertion.window import OutOfOrderError
from drtool.sources.mongodb.names import split
from drtool.sources.mongodb.oplog.changes import find_changes
from drtool.sources.mongodb.oplog.overlay import overlay, read_overlay
from drtool.sources.mongodb.oplog.reading import Oplog
from drtool.sources.mongodb.sessions import NO_RESTRAINT, Restraint, Sessions
from drtool.sources.reading import (
    WHOLE,
    Base,
    Changes,
    Consistency,
    KeyRange,
    Proof,
    ReadAgainError,
    Settled,
    StreamInfo,
)

#: Larger collections are not read as they lie: should it come to nothing, at the end or because the instant passed, all
#: of it is read twice.
_MOST_AS_IT_LIES = 4_000_000_000
#: Nor are those of larger documents: they cost the server the same in either order, and it reads hundreds of them to
#: find each border.
_LARGEST_AS_IT_LIES = 16_000
#: Into so many parts a stream is split to see how it lies.
_PARTS = 8


class MongoView:
    """A view (``drtool.sources.reading.View``).

    `list_now` lists the catalogue again; `names` gives streams other names than the server's (a restored copy under
    its original ones). Capped collections have no history: they are read as they are right after the instant, and
    `settle` asks the oplog whether they changed meanwhile. With `as_it_lies` collections are read in the order of
    insertion where that helps (``insertion``).
    """

    def __init__(
        self,
        client: Client,
        uri: str,
        frozen: Frozen,
        list_now: Callable[[], Sequence[Entry]],
        *,
        names: Mapping[str, str] | None = None,
        part_bytes: int = splitting.PART_BYTES,
        warnings: Sequence[str] = (),
        restraint: Restraint = NO_RESTRAINT,
        as_it_lies: bool = False,
    ) -> None:
        self._client, self._uri, self._frozen, self._list_now = client, uri, frozen, list_now
        self._names, self._restraint = names, restraint
        self._as_it_lies = as_it_lies and frozen.instant is not None
        self._stretches: dict[str, Mapping[KeyRange, laying.Stretch]] = {}
        #: Whether streams are sorted here, of those that were looked at.
        self._sorted_here: dict[str, bool] = {}
        self._part_bytes, self._warnings = part_bytes, tuple(warnings)
        names = names or {}
        self._entries = {names.get(entry.name, entry.name): entry for entry in frozen.entries}
        self._streams = tuple(
            sorted(
                (stream_info(entry.definition.renamed(names), frozen.sizes[entry.name]) for entry in frozen.entries),
                key=lambda stream: stream.name,
            )
        )
        self._sessions = Sessions(client, restraint)
        self._reader = Reader(client, uri, self._sessions, frozen.instant)
        self._lock = threading.Lock()
        self._read_at_instant: set[str] = set()
        self._read_until: dict[str, Timestamp] = {}
        self._fuzzy_until: Timestamp | None = None

    @property
    def instant(self) -> datetime:
        """The cluster time, to the second; where there is none the time of `freeze`."""
        return self._frozen.at

    @property
    def point(self) -> Mapping[str, Any]:
        """``cluster_time`` and ``replay_from`` as [seconds, increment], ``term``, ``set_id``, ``member``,
        ``version``; after `settle` also ``read_until`` where a capped collection may be of a time up to that one."""
        until = self._fuzzy_until
        read_until = {} if until is None else {"read_until": [until.time, until.inc]}
        return {**self._frozen.point, **read_until}

    def streams(self) -> Sequence[StreamInfo]:
        """Collections, views, users and roles, by name."""
        return self._streams

    def split(self, stream: StreamInfo, parts: int) -> Sequence[KeyRange]:
        """Ranges of ``_id``, each of 24 MiB or more (unless told otherwise)."""
        if not stream.keyed or not stream.has_records:
            return [WHOLE]
        entry = self._entries[stream.name]
        worth = min(parts, self._frozen.sizes[entry.name].bytes // self._part_bytes)
        with translated(self._uri, f"sampling {stream.name}"):
            ranges = splitting.split(self._client, self._collection(entry), worth, self._sessions.restraint)
        return self._lay(stream, entry, ranges) or ranges

    def sorts(self, stream: StreamInfo) -> bool:
        """See ``SortingView.sorts``."""
        entry = self._entries[stream.name]
        looked_at = stream.name in self._sorted_here
        if self._as_it_lies and not looked_at and scattered.may_help(self._frozen.sizes[entry.name]):
            self.split(stream, _PARTS)
        return self._sorted_here.get(stream.name, False)

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """See ``View.chunks``."""
        if stream.kind == Kind.OPLOG:
            uuids = {entry.uuid for entry in self._entries.values() if entry.uuid is not None}
            yield from read_overlay(self._oplog, stream, uuids, rule)
            return
        entry = self._entries[stream.name]
        if not entry.records_in:
            return
        collection, instant = self._collection(entry), self._frozen.instant
        if entry.definition.kind.is_of_accounts:
            yield from cut_batches(self._reader.defined_in(split(stream.name)[0], collection), (), rule)
        elif entry.definition.keyed:
            rest = KeyRange(lower=part.upper)
            ends = part.upper is None or part.strict
            beyond = iter(()) if ends else self._reader.in_key_order(collection, rest)
            as_they_lie = self._as_they_lie(stream, collection, part)
            if as_they_lie is None:
                yield from cut_batches(self._reader.in_key_order(collection, part), beyond, rule)
            else:
                try:
                    yield from cut_documents(as_they_lie, beyond, rule)
                except OutOfOrderError as error:
                    self._by_index(stream)
                    raise ReadAgainError(stream.name) from error
        elif entry.definition.kind is Kind.CAPPED and instant is not None:
            yield from cut_batches(self._reader.in_natural_order_after(collection, instant), (), rule)
            self._note_end(entry)
            return
        else:
            yield from cut_batches(self._reader.in_natural_order(collection), (), rule)
        if instant is not None:
            with self._lock:
                self._read_at_instant.add(entry.name)

    def elsewhere(self) -> Callable[[], MongoView] | None:
        """See ``SharedView.elsewhere``. A limit of the bandwidth is for all readers together, so they stay together."""
        if self._frozen.instant is None or self._restraint.bandwidth is not None:
            return None
        return partial(
            _opened, self._uri, self._frozen, self._names, self._restraint, self._stretches, self._sorted_here
        )

    def read_elsewhere(self, stream: StreamInfo, ended_by: Exception | None) -> None:
        """See ``SharedView.read_elsewhere``."""
        if isinstance(ended_by, ReadAgainError):
            self._by_index(stream)
        elif ended_by is None:
            with self._lock:
                self._read_at_instant.add(self._entries[stream.name].name)

    def changes(self, since: Mapping[str, Any], bases: Mapping[str, Base]) -> Changes:
        """See ``View.changes``."""
        return find_changes(self._oplog, since, self._frozen.point, self._entries, bases)

    def overlay(self, since: Mapping[str, Any]) -> StreamInfo:
        """See ``View.overlay``: the oplog's entries (``oplog.overlay``)."""
        return overlay(self._oplog, since, self._frozen.point)

    def settle(self) -> Settled:
        """See ``View.settle``. What was read at the instant needs no second look; the rest must still be there."""
        self._check_still_there()
        weaker: dict[str, Consistency] = {}
        warnings = list(self._warnings)
        for name, entry in self._entries.items():
            until = self._read_until.get(entry.name)
            if self._frozen.instant is None or until is None:
                continue
            with translated(self._uri, f"looking for changes of {entry.name} in the oplog"):
                doubt = touched_after(self._client, entry, self._frozen.instant, until, self._sessions.restraint)
            if doubt:
                weaker[name] = Consistency.FUZZY
                self._fuzzy_until = max(until, self._fuzzy_until or until)
                warnings.append(f"{name}: capped collections cannot be read at an instant, and {doubt}")
        return Settled(self._frozen.consistency, weaker, tuple(warnings))

    def cancel(self) -> None:
        """See ``View.cancel``."""
        self._sessions.cancel()

    def close(self) -> None:
        """Give up cursors, sessions and the connection. Safe to call twice."""
        self._sessions.close()
        self._client.close()

    @property
    def _oplog(self) -> Oplog:
        return Oplog(self._client, self._uri, self._sessions)

    def _collection(self, entry: Entry) -> Collection:
        # mongos knows no UUIDs
        sharded = self._frozen.point.get("topology") == "sharded"
        return Collection(entry.database, entry.records_in, None if sharded else entry.uuid)

    def _lay(self, stream: StreamInfo, entry: Entry, ranges: Sequence[KeyRange]) -> Sequence[KeyRange]:
        """Ranges to be read as their records lie; none where that does not help."""
        self._sorted_here[stream.name] = False
        if not self._as_it_lies or entry.definition.kind is not Kind.COLLECTION:
            return ()
        size, collection = self._frozen.sizes[entry.name], self._collection(entry)
        if size.bytes <= min(_MOST_AS_IT_LIES, _LARGEST_AS_IT_LIES * size.records):
            self._stretches[stream.name] = laying.lay(self._reader, collection, ranges)
            if self._stretches[stream.name]:
                return tuple(self._stretches[stream.name])
        # What is read slowly may not be read before the instant passes; then it was in vain.
        is_slow = self._restraint.bandwidth is not None
        helps = scattered.may_help(size) and not (entry.definition.has_collation or is_slow)
        self._sorted_here[stream.name] = helps and scattered.lies_anywhere(self._reader, collection, size, ranges)
        return scattered.few(ranges) if self._sorted_here[stream.name] else ()

    def _as_they_lie(self, stream: StreamInfo, collection: Collection, part: KeyRange) -> Iterator[Documents] | None:
        """The documents of a part, in order all the same; None where they are to be had by the index."""
        stretch = self._stretches.get(stream.name, {}).get(part)
        if stretch is not None:
            return laying.read(self._reader, collection, part, stretch)
        if part.together and self._sorted_here.get(stream.name):
            return scattered.read(self._reader, collection, part)
        return None

    def _by_index(self, stream: StreamInfo) -> None:
        """From now on."""
        self._stretches.pop(stream.name, None)
        self._sorted_here[stream.name] = False

    def _note_end(self, entry: Entry) -> None:
        with translated(self._uri, f"reading {entry.name}"):
            now = last_applied(self._client)
        with self._lock:
            self._read_until[entry.name] = max(now, self._read_until.get(entry.name, now))

    def _check_still_there(self) -> None:
        with translated(self._uri, "listing the catalogue again"):
            now = {entry.name: entry.uuid for entry in list_patiently(self._list_now)}
        for name, entry in self._entries.items():
            if entry.name in self._read_at_instant or not entry.records_in:
                continue
            if entry.name not in now:
                raise InstantMovedError(f"{name}: it was dropped or renamed while the source was read")
            if now[entry.name] != entry.uuid:
                raise InstantMovedError(f"{name}: it was replaced by another collection while the source was read")


def _opened(
    uri: str,
    frozen: Frozen,
    names: Mapping[str, str] | None,
    restraint: Restraint,
    stretches: Mapping[str, Mapping[KeyRange, laying.Stretch]],
    sorted_here: Mapping[str, bool],
) -> MongoView:
    """A view of the same instant, for its chunks only."""
    view = MongoView(connect(uri), uri, frozen, lambda: (), names=names, restraint=restraint)
    view._stretches.update(stretches)
    view._sorted_here.update(sorted_here)
    return view


def stream_info(definition: Definition, size: Size) -> StreamInfo:
    """The stream of a definition."""
    return StreamInfo(
        name=definition.name,
        kind=str(definition.kind),
        proof=Proof.IDENTICAL,
        definition=definition.encode(),
        identity=definition.uuid,
        keyed=definition.keyed,
        has_records=definition.kind is not Kind.VIEW,
        estimated_records=size.records,
        estimated_bytes=size.bytes,
        ancillary=definition.kind.is_of_accounts,
    )
