"""Server sessions for long reads: one for each reading, kept alive while a slow consumer holds it up.

The server forgets a session, and closes its cursors, 30 minutes after it was last heard of.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from drtool.sources.mongodb.connection import Client

_REFRESH_SECONDS = 300.0


class Sessions:
    """Opens sessions and refreshes those that are open. Methods may be called from several threads."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._open: dict[int, ClientSession] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._refresher: threading.Thread | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[ClientSession]:
        """A session for one reading, used by one thread at a time."""
        with self._client.start_session(causal_consistency=False) as session:
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

    def close(self) -> None:
        """Stop refreshing. Safe to call twice."""
        self._closed.set()

    def _refresh(self) -> None:
        while not self._closed.wait(_REFRESH_SECONDS):
            with self._lock:
                held: list[Mapping[str, Any]] = [session.session_id for session in self._open.values()]
            if held:
                # what cannot be refreshed now may be next time; if not, its reader hears of it
                with contextlib.suppress(PyMongoError):
                    self._client.admin.command({"refreshSessions": held})
