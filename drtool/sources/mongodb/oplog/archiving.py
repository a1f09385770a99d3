"""The oplog as a log that is archived: where to go on, and pieces of it up to the majority commit point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from drtool.errors import SourceError
from drtool.sources.cutting import Chunk, CutRule, Cutter
from drtool.sources.log import Anchor, At, LogEvent, LogPiece, LogPosition, Resumed, is_same
from drtool.sources.mongodb import names
from drtool.sources.mongodb.batches import documents
from drtool.sources.mongodb.connection import Client, Deployment, translated
from drtool.sources.mongodb.freezing import majority_point
from drtool.sources.mongodb.keys import elements, find_element, int32
from drtool.sources.mongodb.oplog.entries import Entry
from drtool.sources.mongodb.oplog.events import events
from drtool.sources.mongodb.oplog.reading import Oplog, shown
from drtool.sources.mongodb.oplog.skimming import Skimmer
from drtool.sources.mongodb.sessions import Sessions

Pin = Callable[[], tuple[Client, Deployment, str]]
"""A client for one member, what that is, and its URI."""

_DATE = 0x09
_NO_OP = b"n"
#: The server's own bookkeeping, written every few minutes on an idle server.
_SESSIONS = b"config.system.sessions"
_START = Timestamp(0, 1)
#: Headers of the elements ``ts`` and ``t``, which follow each other.
_TS, _TERM = b"\x11ts\0", b"\x12t\0"


class MongoLog:
    """The oplog of a replica set, whole: a transaction's entry holds what it did to all databases
    (``drtool.sources.log.Log``)."""

    def __init__(self, pin: Pin) -> None:
        self._pin = pin

    def open(self) -> MongoLiveLog:
        """See ``Log.open``."""
        client, deployment, uri = self._pin()
        if deployment.topology != "replica-set":
            client.close()
            raise SourceError(
                f"a {deployment.topology} deployment has no oplog that could be archived",
                hint="Run the server as a replica set of one node (--replSet, then rs.initiate()); of a sharded"
                " cluster, each shard's replica set is a source of its own.",
            )
        return MongoLiveLog(client, deployment, uri)

    def anchor(self, point: Mapping[str, Any]) -> Anchor | None:
        """See ``Log.anchor``."""
        if "cluster_time" not in point or "replay_from" not in point:
            return None
        at = LogPosition(_pair(point["cluster_time"]), int(point["term"]))
        since = _pair(point.get("overlay_since", point)["replay_from"])
        identity = str(point.get("set_id", ""))
        # A set's name stands there where its id could not be seen, and two sets may share that.
        known = identity if ObjectId.is_valid(identity) else ""
        read_until = point.get("read_until")
        return Anchor(at, since, known, None if read_until is None else _pair(read_until))

    def entry(self, chunk: bytes, at: At) -> LogPosition | None:
        """See ``Log.entry``."""
        for raw in _entries(chunk):
            if _at(raw) == at:
                return _position(raw)
        return None

    def positions(self, chunk: bytes) -> Iterator[LogPosition]:
        """See ``Log.positions``."""
        return map(_position, _entries(chunk))

    def events(self, chunks: Iterable[bytes], ops: Set[str], matches: Callable[[str], bool]) -> Iterator[LogEvent]:
        """See ``Log.events``."""
        skimmer = Skimmer(ops, matches)
        return events(Entry.parse(raw) for chunk in chunks for raw in skimmer.picked(chunk))

    def passes_over(self, stream: str, pattern: str) -> bool:
        """See ``Log.passes_over``."""
        return names.passes_over(stream, pattern)


class MongoLiveLog:
    """The oplog of one member (``drtool.sources.log.LiveLog``)."""

    def __init__(self, client: Client, deployment: Deployment, uri: str) -> None:
        self._client, self._uri = client, uri
        self._sessions = Sessions(client)
        self._oplog = Oplog(client, uri, self._sessions)
        self.identity = deployment.set_id

    def newest(self) -> LogPosition:
        """See ``LiveLog.newest``."""
        return self._newest(_START)

    def resume(self, last: LogPosition, identity: str) -> Resumed:
        """See ``LiveLog.resume``.

        ``SourceError`` where the member has not caught up with what was archived: it then cannot say whether that is
        its history.
        """
        if identity and self.identity and identity != self.identity:
            return Resumed(None, why="the source is another replica set than the one that was archived")
        at = Timestamp(*last.at)
        self._newest(at)
        found = self._oplog.at(at)
        if found is not None:
            here = _position(found.raw)
            if is_same(last, here):
                return Resumed(here)
            return Resumed(None, why=f"the oplog holds another entry at {shown(at)} than the one that was archived")
        oldest = self._oplog.fetch(self._oplog.oldest())
        if oldest.ts < at or oldest.term < last.term:
            return Resumed(None, why=f"the oplog does not hold the last archived entry, at {shown(at)}")
        lost = (
            f"the oplog begins at {shown(oldest.ts)} and was archived up to {shown(at)}:"
            " no moment between the two can be reached any more"
        )
        return Resumed(_position(oldest.raw), lost=lost)

    def begin(self, anchors: Sequence[Anchor]) -> LogPosition:
        """See ``LiveLog.begin``."""
        oldest = self._oplog.oldest()
        for anchor in anchors:
            if anchor.identity and self.identity and anchor.identity != self.identity:
                continue
            since = Timestamp(*anchor.since)
            if oldest < since and self._holds(anchor.at):
                first = self._oplog.at(since)
                return LogPosition(_before(anchor.since), -1 if first is None else first.term)
        newest = self.newest()
        return LogPosition(_before(newest.at), newest.term)

    def lacks(self, positions: Sequence[LogPosition]) -> list[LogPosition]:
        """See ``LiveLog.lacks``."""
        oldest, newest = self._oplog.oldest(), self.newest()
        # Of what is later than the newest a member that lags behind says nothing.
        covered = [each for each in positions if oldest < Timestamp(*each.at) and each.at <= newest.at]
        return [each for each in covered if not self._holds(each)]

    def pieces(self, after: LogPosition, through: LogPosition, rule: CutRule) -> Iterator[LogPiece]:
        """See ``LiveLog.pieces``."""
        cutter, keys = Cutter(rule), Keys()
        held: list[bytes] = []
        changes = False
        for batch in self._oplog.batches(Timestamp(*after.at), Timestamp(*through.at)):
            for raw in documents(batch):
                held.append(raw)
                changes = changes or not _changes_nothing(raw)
                if cutter.cuts_after(keys.of(raw), len(raw)):
                    yield _piece(held, changes)
                    held, changes = [], False
        if held:
            yield _piece(held, changes)

    def close(self) -> None:
        """See ``LiveLog.close``."""
        self._sessions.close()
        self._client.close()

    def _holds(self, position: LogPosition) -> bool:
        found = self._oplog.at(Timestamp(*position.at))
        return found is not None and is_same(position, _position(found.raw))

    def _newest(self, not_before: Timestamp) -> LogPosition:
        with translated(self._uri, "asking for the majority commit point"):
            ts, _ = majority_point(self._client, not_before)
        return _position(self._oplog.fetch(ts).raw)


class Keys:
    """Record keys of entries that follow each other, quickly: the server ends nearly all of them alike."""

    __slots__ = ("_from_end", "_last")

    def __init__(self) -> None:
        self._from_end = 0
        self._last = b""

    def of(self, raw: bytes) -> bytes:
        """As `_key`. What lies where the last entry had its ts counts if it looks like it and is later."""
        at = len(raw) - self._from_end
        if at >= 4 and raw[at - 4 : at] == _TS and raw[at + 8 : at + 11] == _TERM:
            key = raw[at : at + 8][::-1]
            if key > self._last:
                self._last = key
                return key
        self._last = key = _key(raw)
        self._from_end = len(raw) - _ts_at(raw)
        return key


def _piece(held: list[bytes], changes: bool) -> LogPiece:
    chunk = Chunk(b"".join(held), len(held), _key(held[0]), _key(held[-1]))
    return LogPiece(chunk, _position(held[-1]), changes)


def _entries(chunk: bytes) -> Iterator[bytes]:
    """The documents of a chunk: BSON back to back."""
    position = 0
    while position < len(chunk):
        end = position + int32(chunk, position)
        yield chunk[position:end]
        position = end


def _position(raw: bytes) -> LogPosition:
    """Where an entry stands. Its mark is its wall-clock time, which another set's entry at the same ts hardly has."""
    entry = Entry.parse(raw)
    wall = find_element(raw, 0, b"wall")
    mark = str(int.from_bytes(raw[wall[1] : wall[1] + 8], "little", signed=True)) if wall and wall[0] == _DATE else ""
    return LogPosition((entry.ts.time, entry.ts.inc), entry.term, mark)


def _key(raw: bytes) -> bytes:
    """An entry's record key: its ts as u64, big-endian."""
    at = _ts_at(raw)
    return raw[at : at + 8][::-1]


def _ts_at(raw: bytes) -> int:
    found = find_element(raw, 0, b"ts")
    if found is None:
        raise SourceError("the oplog holds an entry without a timestamp")
    return found[1]


def _at(raw: bytes) -> At:
    key = _key(raw)
    return int.from_bytes(key[:4]), int.from_bytes(key[4:])


def _changes_nothing(raw: bytes) -> bool:
    """A no-op, or the server's record of its sessions."""
    for _, name, value in elements(raw):
        if name == b"op" and raw[value + 4 : value + 4 + int32(raw, value) - 1] == _NO_OP:
            return True
        if name == b"ns":
            return raw[value + 4 : value + 4 + int32(raw, value) - 1] == _SESSIONS
    return False


def _before(at: At) -> At:
    """The place ahead of `at`, whether or not there is an entry."""
    seconds, increment = at
    return (seconds, increment - 1) if increment else (seconds - 1, (1 << 32) - 1)


def _pair(value: Sequence[int]) -> At:
    seconds, increment = value
    return int(seconds), int(increment)
