"""What readings hold on the server: a session for each, kept alive while a slow consumer holds it up, and cursors.

The server forgets a session, and closes its cursors, 30 minutes after it was last heard of. Until then a cursor that
nobody closes keeps the history of its instant.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from bson.binary import Binary
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from drtool.sources.bandwidth import Bandwidth
from drtool.sources.mongodb.connection import RAW, Client, Document

_REFRESH_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Restraint:
    """What reading may take of a server; None is no limit.

    `max_time` is the server's own time in seconds for each query. It covers a cursor's whole life, not single
    replies: a getMore has no limit of its own and goes on with what the find has left.
    """

    max_time: float | None = None
    bandwidth: Bandwidth | None = None

    @property
    def options(self) -> Document:
        """What find and aggregate are sent with."""
        return {} if self.max_time is None else {"maxTimeMS": Int64(max(1, round(self.max_time * 1000)))}


NO_RESTRAINT = Restraint()


@dataclass(frozen=True, slots=True)
class Session:
    """One reading's session on the server. ``driver`` is the driver's; None where it would refuse to have any: for a
    hidden member, whose commands carry the id without its knowing."""

    id: Mapping[str, Any]
    driver: ClientSession | None

    def command(self, database: Database[Document], command: Document) -> RawBSONDocument:
        """The raw reply to `command` in this session. Raises pymongo's errors."""
        if self.driver is None:
            command = {**command, "lsid": self.id}
        return database.command(command, session=self.driver, codec_options=RAW)


class Sessions:
    """Opens sessions and refreshes those that are open; knows the cursors that are open. Methods may be called from
    several threads."""

    def __init__(self, client: Client, restraint: Restraint = NO_RESTRAINT) -> None:
        self.restraint = restraint
        self._client = client
        self._open: dict[int, Session] = {}
        self._hidden: bool | None = None
        self._cursors: dict[int, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._closed = threading.Event()
        self._refresher: threading.Thread | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[Session]:
        """A session for one reading, used by one thread at a time."""
        with self._own() if self._is_hidden() else self._of_driver() as session:
            with self._lock:
                self._open[id(session)] = session
                if self._refresher is None:
                    self._refresher = threading.Thread(target=self._refresh, daemon=True, name="drtool-sessions")
                    self._refresher.start()
            try:
                yield session
            finally:
                with self._lock:
                    del self._open[id(session)]

    def received(self, size: int) -> bool:
        """Wait as long as the bandwidth wants after `size` bytes. False once all reading was cancelled."""
        if self.restraint.bandwidth is not None:
            self.restraint.bandwidth.take(size, self._cancelled)
        return not self._cancelled.is_set()

    def opened(self, cursor: int, database: str, collection: str) -> None:
        """The server has a cursor open; 0 is none."""
        if cursor != 0:
            with self._lock:
                self._cursors[cursor] = (database, collection)

    def exhausted(self, cursor: int) -> None:
        """The server has closed a cursor by itself."""
        with self._lock:
            self._cursors.pop(cursor, None)

    def kill(self, cursor: int) -> None:
        """Close a cursor that is still open."""
        with self._lock:
            namespace = self._cursors.pop(cursor, None)
        if namespace is not None:
            database, collection = namespace
            # it may be gone already, or the server
            with contextlib.suppress(PyMongoError):
                self._client[database].command({"killCursors": collection, "cursors": [Int64(cursor)]})

    def cancel(self) -> None:
        """Nobody wants more: whoever waits for bandwidth stops waiting."""
        self._cancelled.set()

    def close(self) -> None:
        """Close all cursors: of readings that nobody went on with, too. Safe to call twice."""
        self.cancel()
        self._closed.set()
        with self._lock:
            cursors = list(self._cursors)
        for cursor in cursors:
            self.kill(cursor)

    def _is_hidden(self) -> bool:
        if self._hidden is None:
            hello = self._client.admin.command("hello", read_preference=self._client.read_preference)
            self._hidden = bool(hello.get("hidden"))
        return self._hidden

    @contextlib.contextmanager
    def _of_driver(self) -> Iterator[Session]:
        with self._client.start_session(causal_consistency=False) as session:
            yield Session(session.session_id, session)

    @contextlib.contextmanager
    def _own(self) -> Iterator[Session]:
        session = Session({"id": Binary.from_uuid(uuid4())}, None)
        try:
            yield session
        finally:
            # otherwise it ends by itself
            with contextlib.suppress(PyMongoError):
                self._client.admin.command({"endSessions": [session.id]})

    def _refresh(self) -> None:
        while not self._closed.wait(_REFRESH_SECONDS):
            with self._lock:
                held = [session.id for session in self._open.values()]
            if held:
                # what cannot be refreshed now may be next time; if not, its reader hears of it
                with contextlib.suppress(PyMongoError):
                    self._client.admin.command({"refreshSessions": held})
