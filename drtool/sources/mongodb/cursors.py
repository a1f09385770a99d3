"""Own `find` and `getMore` commands: pymongo's cursors cannot be told an instant, and decode what need not be.

Replies are taken as they arrive (``batches``). A batch holds about BATCH_BYTES. Fetching the next one ahead in a
helper thread was measured and gains nothing: the loop over the records and the helper contend for the interpreter's
lock; several readers at once do gain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bson.binary import UUID_SUBTYPE, Binary
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure

from drtool.errors import InstantMovedError, SourceError
from drtool.sources.mongodb.batches import Batch, documents
from drtool.sources.mongodb.connection import RAW, UNAUTHORIZED, Client, Document, translated
from drtool.sources.mongodb.keys import MAX_KEY, below, between, bound, find_element, int32, int64
from drtool.sources.mongodb.sessions import Session, Sessions
from drtool.sources.reading import WHOLE, KeyRange

BATCH_BYTES = 1_500_000
_FIRST_BATCH = 500
_LARGEST_BATCH = 50_000
#: `max` does not come after `min`, or after MinKey where there is no `min`.
_EMPTY_RANGE = 51175
_INT64 = 0x12


@dataclass(frozen=True, slots=True)
class Collection:
    """What to read: by UUID where known and granted, so that a rename or drop cannot go unnoticed."""

    database: str
    name: str
    uuid: bytes | None = None

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"


@dataclass(slots=True)
class Reader:
    """Reads collections of one pinned server at one instant, or as they are where `instant` is None.

    Threads may share it: each reading has a session of its own.
    """

    client: Client
    uri: str
    sessions: Sessions
    instant: Timestamp | None
    _by_uuid: bool = field(default=True, init=False)

    def in_key_order(self, collection: Collection, part: KeyRange = WHOLE) -> Iterator[Batch]:
        """The records of a range of ``_id`` in the order of the ``_id`` index.

        `min` and `max` span all types, but `min` alone stops short of the id MaxKey (except in clustered
        collections), so a range that begins somewhere and has no end is read up to MaxKey, and MaxKey by itself.
        """
        command: Document = {"hint": {"_id": 1}}
        open_ended = part.lower is not None and part.upper is None
        upper = MAX_KEY if open_ended else part.upper
        if part.lower is not None:
            command["min"] = RawBSONDocument(bound(part.lower), RAW)
        if upper is not None:
            command["max"] = RawBSONDocument(bound(upper), RAW)
        yield from self._read(collection, command, self._concern(), at_instant=self.instant is not None)
        if open_ended:
            command = {"hint": {"_id": 1}, "filter": RawBSONDocument(bound(MAX_KEY), RAW)}
            yield from self._read(collection, command, self._concern(), at_instant=self.instant is not None)

    def defined_in(self, database: str, collection: Collection) -> Iterator[Batch]:
        """Those users or roles that belong to `database`, in ``_id`` order."""
        command: Document = {"filter": {"db": database}, "hint": {"_id": 1}}
        return self._read(collection, command, self._concern(), at_instant=self.instant is not None)

    def in_natural_order(self, collection: Collection, part: KeyRange = WHOLE) -> Iterator[Batch]:
        """The records of a range of ``_id`` as they lie, for which the server looks at all."""
        only = RawBSONDocument(between(part.lower, part.upper), RAW)
        command: Document = {"hint": {"$natural": 1}, "filter": only}
        return self._read(collection, command, self._concern(), at_instant=self.instant is not None)

    def in_natural_order_behind(self, collection: Collection, record: int | None) -> Iterator[Batch]:
        """All records as they lie behind the one with this record id (None: from the first on), at an instant only;
        each batch says where it ends."""
        return self._read(collection, _lying_behind(record), self._concern(), at_instant=True)

    def next_below(self, collection: Collection, key: bytes) -> list[bytes]:
        """At most one document, with its record id, at an instant only: that of the greatest ``_id`` of the same type
        below a record key."""
        command: Document = {
            "filter": RawBSONDocument(below(key), RAW),
            "sort": {"_id": -1},
            "hint": {"_id": 1},
            "limit": 1,
        }
        return self._spots(collection, command)

    def next_from(self, collection: Collection, key: bytes, count: int) -> list[bytes]:
        """At most `count` documents, with their record ids, at an instant only: those of a record key and of the next
        greater ones. They come from the index alone."""
        command: Document = {"min": RawBSONDocument(bound(key), RAW), "hint": {"_id": 1}, "limit": count}
        return self._spots(collection, command)

    def next_behind(self, collection: Collection, record: int, count: int) -> list[bytes]:
        """At most `count` documents, with their record ids, that lie behind a record, at an instant only."""
        return self._spots(collection, {**_lying_behind(record), "limit": count})

    def _spots(self, collection: Collection, command: Document) -> list[bytes]:
        command |= {"projection": {"_id": 1}, "showRecordId": True, "singleBatch": True}
        batches = self._read(collection, command, self._concern(), at_instant=True)
        return [document for batch in batches for document in documents(batch)]

    def in_natural_order_after(self, collection: Collection, after: Timestamp) -> Iterator[Batch]:
        """All records as they lie in a majority-committed state not older than `after`: for what has no history."""
        concern: Document = {"level": "majority", "afterClusterTime": after}
        return self._read(collection, {"hint": {"$natural": 1}}, concern, at_instant=False)

    def in_oplog(
        self, after: Timestamp, through: Timestamp, only: Document | None = None, fields: Document | None = None
    ) -> Iterator[Batch]:
        """The majority-committed entries of the oplog with `after` < ts <= `through`, in order.

        `only` is a filter and `fields` a projection. Whether the oplog reaches back that far is for the caller to see
        to (``oplog.reading``).
        """
        command: Document = {"filter": {"ts": {"$gt": after, "$lte": through}, **(only or {})}}
        if fields is not None:
            command["projection"] = fields
        return self._read(Collection("local", "oplog.rs"), command, {"level": "majority"}, at_instant=False)

    def _concern(self) -> Document | None:
        return None if self.instant is None else {"level": "snapshot", "atClusterTime": self.instant}

    def _read(
        self, collection: Collection, command: Document, concern: Document | None, *, at_instant: bool
    ) -> Iterator[Batch]:
        if concern is not None:
            command["readConcern"] = concern
        with translated(self.uri, f"reading {collection}", at_instant=True), self.sessions.open() as session:
            try:
                reply = self._find(collection, command, session)
            except OperationFailure as error:
                if error.code == _EMPTY_RANGE:
                    return
                raise
            if at_instant and not reply.at_instant:
                # the one sign that there is no such collection any more: no error, no documents, no time
                raise InstantMovedError(f"{collection}: it was dropped or renamed after the instant")
            cursor = reply.cursor
            self.sessions.opened(cursor, collection.database, reply.collection)
            try:
                while True:
                    if not self.sessions.received(len(reply.batch.raw)):
                        raise SourceError(f"reading {collection} was cancelled")
                    if reply.batch.start < reply.batch.end:
                        yield reply.batch
                    if reply.cursor == 0:
                        return
                    reply = self._get_more(collection.database, reply, session)
            finally:
                if reply.cursor == 0:
                    self.sessions.exhausted(cursor)
                else:
                    self.sessions.kill(cursor)

    def _find(self, collection: Collection, command: Document, session: Session) -> _Reply:
        options = {**command, **self.sessions.restraint.options, "batchSize": _FIRST_BATCH, "noCursorTimeout": True}
        database = self.client[collection.database]
        if self._by_uuid and collection.uuid is not None:
            by_uuid = {"find": Binary(collection.uuid, UUID_SUBTYPE), **options}
            try:
                return _Reply.parse(session.command(database, by_uuid), _FIRST_BATCH)
            except OperationFailure as error:
                if error.code != UNAUTHORIZED:
                    raise
                self._by_uuid = False
        by_name = {"find": collection.name, **options}
        return _Reply.parse(session.command(database, by_name), _FIRST_BATCH)

    def _get_more(self, database: str, last: _Reply, session: Session) -> _Reply:
        size = last.next_size()
        command = {"getMore": Int64(last.cursor), "collection": last.collection, "batchSize": size}
        return _Reply.parse(session.command(self.client[database], command), size)


@dataclass(frozen=True, slots=True)
class _Reply:
    """A reply to a find or getMore that asked for `requested` documents; `cursor` is 0 with the last ones."""

    batch: Batch
    cursor: int
    collection: str
    at_instant: bool
    requested: int

    @classmethod
    def parse(cls, document: RawBSONDocument, requested: int) -> _Reply:
        """Take a reply apart without looking at its documents."""
        raw = bytes(document.raw)
        found = find_element(raw, 0, b"cursor")
        cursor = found[1] if found is not None else len(raw)
        array = find_element(raw, cursor, b"firstBatch") or find_element(raw, cursor, b"nextBatch")
        identity, namespace = find_element(raw, cursor, b"id"), find_element(raw, cursor, b"ns")
        if array is None or identity is None or namespace is None:
            raise SourceError("the server answered a find with something that is no cursor")
        start, name = array[1], namespace[1]
        token = find_element(raw, cursor, b"postBatchResumeToken")
        record = None if token is None else find_element(raw, token[1], b"$recordId")
        full_name = raw[name + 4 : name + 4 + int32(raw, name) - 1].decode()
        return cls(
            batch=Batch(raw, start + 4, start + int32(raw, start) - 1, _record_id(raw, record)),
            cursor=int64(raw, identity[1]),
            collection=full_name.partition(".")[2],
            at_instant=find_element(raw, cursor, b"atClusterTime") is not None,
            requested=requested,
        )

    def next_size(self) -> int:
        """How many documents make BATCH_BYTES, if they are as large as these.

        The reply holds as many as requested, or it reached the server's limit of 16 MB, which makes the guess
        too large, but smaller every time.
        """
        average = (self.batch.end - self.batch.start) / self.requested
        return max(1, min(_LARGEST_BATCH, int(BATCH_BYTES / max(average, 1))))


def _lying_behind(record: int | None) -> Document:
    """What the server's own initial synchronisation goes on by (``src/mongo/db/query/find_command.idl``)."""
    command: Document = {"hint": {"$natural": 1}, "$_requestResumeToken": True}
    if record is not None:
        command["$_resumeAfter"] = {"$recordId": Int64(record)}
    return command


def _record_id(raw: bytes, element: tuple[int, int] | None) -> int | None:
    """A record id; None where there is none, and for those of clustered collections, which are no numbers."""
    return int64(raw, element[1]) if element is not None and element[0] == _INT64 else None
