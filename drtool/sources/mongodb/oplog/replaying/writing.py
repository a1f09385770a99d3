"""Writing to the target: operations in batches, each built while the server does the one before, and commands between
them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from drtool.errors import TargetNotEmptyError
from drtool.sources.mongodb.connection import Client, Deployment, Document
from drtool.sources.mongodb.creating import create, drop_made, leave_marker, note_made, remove
from drtool.sources.mongodb.definitions import Kind
from drtool.sources.mongodb.names import is_of_accounts, split
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.mongodb.oplog.replaying.batches import LANES, Batches, Write, of_collection
from drtool.sources.mongodb.oplog.replaying.capped import since_read
from drtool.sources.mongodb.oplog.replaying.exact import may_be_altered, put_right
from drtool.sources.mongodb.oplog.replaying.state import Tracked
from drtool.sources.mongodb.planning import Placed
from drtool.sources.restoring import RestorePlan

_BATCH_OPERATIONS = 1000 * LANES
#: A command takes 16 MB, and one operation alone always fits.
_BATCH_BYTES = 4 * 1024 * 1024


class Writer:
    """Writes in the log's order. To be used in a ``with`` block; after `flush` all is done.

    ``databases`` of the target bear the restore's marker.
    """

    def __init__(self, client: Client, deployment: Deployment, plan: RestorePlan) -> None:
        self._client, self._plan = client, plan
        self.databases = {split(item.name)[0] for item in plan.items if not is_of_accounts(item.name)}
        concern: Document = {"w": 1 if deployment.topology == "standalone" else "majority"}
        self._concern = concern
        self._batches = Batches(client, concern)
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="drtool-replay")
        self._sent: Future[None] | None = None
        self._batch: list[Write] = []
        self._bytes = 0
        self._overlaid = False
        self._emptied: set[str] = set()
        self._capped: dict[Tracked, list[Operation]] = {}

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sender.shutdown(cancel_futures=True)
        self._batches.close()

    def write(self, tracked: Tracked, operation: Operation, *, overlaid: bool) -> None:
        """An insert, update or delete."""
        if overlaid != self._overlaid:
            self._end_overlay()
            self._overlaid = overlaid
        if overlaid and tracked.kind is Kind.CAPPED:
            self._capped.setdefault(tracked, []).append(operation)
        elif may_be_altered(operation):
            self._send()
            self._wait()
            self._exactly(Write(tracked, operation))
        else:
            size = len(operation.o) + len(operation.o2 or b"")
            if len(self._batch) >= _BATCH_OPERATIONS or self._bytes + size > _BATCH_BYTES:
                self._send()
            self._batch.append(Write(tracked, operation))
            self._bytes += size

    def flush(self) -> None:
        """Wait until all is done."""
        self._end_overlay()
        self._wait()

    def clear_away(self, parked: Iterable[Tracked]) -> None:
        """Drop what nobody asked for, when the replay has failed."""
        for tracked in parked:
            remove(self._client, tracked.database, tracked.collection)

    def make_room(self, name: str) -> None:
        """See ``Hands.make_room``."""
        self.flush()
        database, collection = split(name)
        if database not in self.databases:
            self.databases.add(database)
            drop_made(self._client, database, self._plan.marker)
            leave_marker(self._client, [database], self._plan.marker)
        there = self._client[database].list_collection_names(filter={"name": collection})
        if there and name not in self._emptied:
            if not self._plan.replace:
                raise TargetNotEmptyError(
                    f"{name}, which came into being after the snapshot, is there already in the target",
                    hint="Restore under another name, or to another server.",
                )
            remove(self._client, database, collection)
        note_made(self._client, database, self._plan.marker, collection)

    def create(self, tracked: Tracked) -> None:
        """See ``Hands.create``."""
        self.flush()
        create(self._client, Placed(tracked.planned(), tracked.definition))

    def drop(self, tracked: Tracked) -> None:
        """See ``Hands.drop``."""
        self.flush()
        remove(self._client, tracked.database, tracked.collection)
        if tracked.kind is Kind.SYSTEM_JS:
            self._emptied.add(tracked.name)

    def rename(self, tracked: Tracked, name: str) -> None:
        """See ``Hands.rename``."""
        self.flush()
        self._client.admin.command({"renameCollection": tracked.name, "to": name})

    def modify(self, tracked: Tracked, options: Document) -> None:
        """See ``Hands.modify``."""
        self.flush()
        self._client[tracked.database].command({"collMod": tracked.collection, **options})

    def _exactly(self, write: Write) -> None:
        self._batches.in_order([write], overlaid=self._overlaid)
        put_right(self._client, write, self._concern)

    def _end_overlay(self) -> None:
        self._send()
        held, self._capped = self._capped, {}
        for tracked, operations in held.items():
            self._wait()
            for operation in since_read(self._client, tracked, operations):
                writes = of_collection(tracked, [operation])
                if may_be_altered(operation):
                    self._exactly(writes[0])
                else:
                    self._batches.in_order(writes, overlaid=True)

    def _send(self) -> None:
        if not self._batch:
            return
        batch, self._batch, self._bytes = self._batch, [], 0
        self._wait()
        self._sent = self._sender.submit(self._batches.do, batch, overlaid=self._overlaid)

    def _wait(self) -> None:
        if self._sent is not None:
            sent, self._sent = self._sent, None
            sent.result()
