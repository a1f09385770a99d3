"""runs/: who is writing or reading just now, so that garbage collection waits (docs/format.md, "Cleaning up")."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Collection
from types import TracebackType
from typing import Any

from drtool.errors import DrtoolError, RunExpiredError
from drtool.repository.ids import new_id
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import utc_now
from drtool.repository.wire import decode_json, encode_json

RUNS = "runs/"
RENEW_SECONDS = 600.0
#: Garbage collection takes a run for dead after 24 h without renewal; a run gives up well before.
EXPIRE_SECONDS = 12 * 3600.0


def _awake_clock() -> float:
    # Unlike the monotonic clock this one goes on while the machine sleeps: a suspended run must notice.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def close_record(repository: Repository, name: str) -> None:
    """Say of a run, whose process is known to be dead, that it failed. Nothing happens where it had ended by itself.

    Errors of `Repository.open_object`, and ``ObjectMissingError``.
    """
    fields = decode_json(repository.open_object(Kind.RUN, name).payload, name)
    if fields.get("state") == "running":
        sealed = repository.seal(Kind.RUN, name, encode_json({**fields, "state": "failed"}))
        repository.storage.put(name, sealed)


class Run:
    """A registration, renewed by a thread of its own while the run lasts.

    Use as a context manager. `outcome` is what the record says in the end (``committed`` or ``ended``; set by the
    caller); it says ``failed`` where an error left the block.
    """

    def __init__(
        self, repository: Repository, kind: str, job: str = "", *, renew_seconds: float = RENEW_SECONDS
    ) -> None:
        self.id = new_id()
        self.name = RUNS + self.id
        self.outcome = "ended"
        self._repository = repository
        self._fields: dict[str, Any] = {"format": 1, "run": self.id, "kind": kind, "job": job}
        self._fields |= {"host": socket.gethostname(), "started": utc_now()}
        self._renew_seconds = renew_seconds
        self._generation = 0
        self._renewed = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name="renew-run", daemon=True)

    def __enter__(self) -> Run:
        self.renew()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self._put("failed" if kind is not None else self.outcome)
        except DrtoolError:
            # The registration then lapses by itself; it must not hide why the run ended.
            if kind is None and self.outcome != "committed":
                raise

    @property
    def lapsed(self) -> bool:
        """Is the last renewal so long ago that chunks may have been cleaned away?"""
        return _awake_clock() - self._renewed > EXPIRE_SECONDS

    def keep_clear(self, tombstones: Collection[str]) -> None:
        """Tell garbage collection that this run read these tombstones (hashes of the objects, hex), and relies on
        nothing that they mark: it need not wait for the end of the run. Errors of `renew`."""
        if tombstones:
            self._fields["seen"] = sorted(tombstones)
            self.renew()

    def renew(self) -> None:
        """Say that the run lives. ``RunExpiredError`` when the last time is too long ago to go on safely."""
        with self._lock:
            if self._renewed and self.lapsed:
                raise RunExpiredError(
                    f"run {self.id} could not renew its registration for over {EXPIRE_SECONDS / 3600:.0f} hours"
                    " (was the machine suspended?): its chunks may have been cleaned away",
                    hint="Run the backup again; what is still there is reused.",
                )
            # Read before the put: the store's clock runs from when it took the put, perhaps long before it answered.
            asked = _awake_clock()
            self._put("running")
            self._renewed = asked

    def _put(self, state: str) -> None:
        self._generation += 1
        payload = encode_json({**self._fields, "state": state, "generation": self._generation, "renewed": utc_now()})
        sealed = self._repository.seal(Kind.RUN, self.name, payload)
        # Created once, so that no two runs share a record; then replaced by its only owner, which needs no condition.
        self._repository.storage.put(self.name, sealed, if_absent=self._generation == 1)

    def _keep_renewing(self) -> None:
        while not self._stop.wait(self._renew_seconds):
            try:
                self.renew()
            except DrtoolError:
                # Tried again at the next turn; the commit renews once more and fails if it still cannot.
                continue
