"""Reading the oplog of one member: from a known entry on, up to the majority commit point, and nothing missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bson.timestamp import Timestamp

from drtool.errors import OplogTruncatedError
from drtool.sources.mongodb.batches import Batch, documents
from drtool.sources.mongodb.connection import RAW, Client, Document, translated
from drtool.sources.mongodb.cursors import Reader
from drtool.sources.mongodb.oplog.entries import Entry
from drtool.sources.mongodb.sessions import Sessions

_HINT = "Give the server a larger oplog (replSetResizeOplog), or run more often."


@dataclass(slots=True)
class Oplog:
    """The oplog of the member that `client` is connected to. Raises drtool's errors."""

    client: Client
    uri: str
    sessions: Sessions

    def oldest(self) -> Timestamp:
        """The ts of its first entry."""
        found = self._one({}, {"$natural": 1})
        if found is None:
            raise OplogTruncatedError("the oplog is empty, or cannot be seen")
        return found.ts

    def at(self, ts: Timestamp) -> Entry | None:
        """The entry at `ts`; None where there is none."""
        return self._one({"ts": ts}, None)

    def fetch(self, ts: Timestamp) -> Entry:
        """The entry at `ts`; ``OplogTruncatedError`` where it is gone."""
        found = self.at(ts)
        if found is None:
            raise OplogTruncatedError(f"the oplog no longer holds the entry at {shown(ts)}", hint=_HINT)
        return found

    def require(self, start: Timestamp) -> None:
        """``OplogTruncatedError`` unless it reaches back to `start`."""
        oldest = self.oldest()
        if oldest > start:
            raise OplogTruncatedError(
                f"the oplog begins at {shown(oldest)} and no longer reaches back to {shown(start)}", hint=_HINT
            )

    def batches(
        self, after: Timestamp, through: Timestamp, only: Document | None = None, fields: Document | None = None
    ) -> Iterator[Batch]:
        """All entries with `after` < ts <= `through`, as they come from the server; `only` is a filter, `fields` a
        projection.

        ``OplogTruncatedError`` where some are gone: looked at before the first, and after the last one.
        """
        self.require(after)
        reader = Reader(self.client, self.uri, self.sessions, None)
        yield from reader.in_oplog(after, through, only, fields)
        self.require(after)

    def batches_from(
        self, start: Timestamp, through: Timestamp, only: Document | None = None, fields: Document | None = None
    ) -> Iterator[Batch]:
        """The same with `start` itself: `start` <= ts <= `through`."""
        self.require(start)
        reader = Reader(self.client, self.uri, self.sessions, None)
        yield from reader.in_oplog(_just_before(start), through, only, fields)
        self.require(start)

    def entries(self, after: Timestamp, through: Timestamp) -> Iterator[Entry]:
        """The same, taken apart."""
        for batch in self.batches(after, through):
            for raw in documents(batch):
                yield Entry.parse(raw)

    def _one(self, filter_: dict[str, object], sort: dict[str, int] | None) -> Entry | None:
        command: dict[str, object] = {
            "find": "oplog.rs",
            "filter": filter_,
            "limit": 1,
            "singleBatch": True,
            "readConcern": {"level": "majority"},
        }
        if sort is not None:
            command["sort"] = sort
        with translated(self.uri, "reading the oplog"):
            reply = self.client["local"].command(command, codec_options=RAW)
        batch = reply["cursor"]["firstBatch"]
        return Entry.parse(bytes(batch[0].raw)) if len(batch) else None


def _just_before(ts: Timestamp) -> Timestamp:
    return Timestamp(ts.time, ts.inc - 1) if ts.inc else Timestamp(ts.time - 1, 0xFFFFFFFF)


def shown(ts: Timestamp) -> str:
    """A timestamp for people: the time (UTC) and the number within its second."""
    return f"{ts.as_datetime():%Y-%m-%dT%H:%M:%SZ} ({ts.time}:{ts.inc})"
