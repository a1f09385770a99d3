"""Repeating what may be repeated: a wrapper that makes any storage ride out what passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from drtool.errors import ObjectMissingError, PreconditionFailedError, TransientStorageError
from drtool.storage.attempts import Attempts, RetryPolicy, Surroundings
from drtool.storage.base import Buffer, Capabilities, Keeping, Lock, ObjectInfo, Rights, Storage


class Retrying:
    """Implements ``drtool.storage.base.Storage`` over another one.

    Setting `cancelled` ends every wait at once with ``InterruptedRunError``; requests themselves still work
    afterwards, each tried once, so that a run can clean up behind itself.
    """

    def __init__(
        self,
        storage: Storage,
        policy: RetryPolicy | None = None,
        *,
        cancelled: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._storage = storage
        wait = wait or (cancelled or threading.Event()).wait
        self._shared = Surroundings(policy or RetryPolicy(), clock, wait)

    @property
    def url(self) -> str:
        """The wrapped storage's."""
        return self._storage.url

    def put(
        self,
        name: str,
        data: Buffer,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        sha256: bytes | None = None,
        lock: Lock | None = None,
    ) -> ObjectInfo:
        """See ``Storage.put``.

        A conditional put that is refused after an attempt of this very call whose answer was lost has succeeded if the
        object holds these bytes: whatever drtool puts conditionally has a random salt or token in it.
        """
        attempts = Attempts(self._shared)
        try:
            return attempts.run(
                lambda: self._storage.put(name, data, if_absent=if_absent, if_match=if_match, sha256=sha256, lock=lock)
            )
        except PreconditionFailedError:
            stored = self._stored_by_us(name, data) if attempts.ambiguous else None
            if stored is None:
                raise
            return stored

    def get(self, name: str, *, offset: int = 0, length: int | None = None, version: str | None = None) -> bytes:
        """See ``Storage.get``."""
        return Attempts(self._shared).run(
            lambda: self._storage.get(name, offset=offset, length=length, version=version)
        )

    def head(self, name: str, *, version: str | None = None) -> ObjectInfo:
        """See ``Storage.head``."""
        return Attempts(self._shared).run(lambda: self._storage.head(name, version=version))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See ``Storage.list``. A listing that breaks off begins anew and leaves out what it had told."""
        return self._resumed(lambda: self._storage.list(prefix))

    def list_versions(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See ``Storage.list_versions``."""
        return self._resumed(lambda: self._storage.list_versions(prefix))

    def delete(self, name: str, *, version: str | None = None) -> None:
        """See ``Storage.delete``."""
        Attempts(self._shared).run(lambda: self._storage.delete(name, version=version))

    def keeps_versions(self) -> bool:
        """See ``Storage.keeps_versions``."""
        return Attempts(self._shared).run(self._storage.keeps_versions)

    def set_lock(self, name: str, lock: Lock, *, version: str | None = None) -> None:
        """See ``Storage.set_lock``."""
        Attempts(self._shared).run(lambda: self._storage.set_lock(name, lock, version=version))

    def keeping(self) -> Keeping:
        """See ``Storage.keeping``."""
        return Attempts(self._shared).run(self._storage.keeping)

    def rights(self, lock: Lock | None) -> Rights:
        """See ``Storage.rights``."""
        return Attempts(self._shared).run(lambda: self._storage.rights(lock))

    def probe(self) -> Capabilities:
        """See ``Storage.probe``."""
        return Attempts(self._shared).run(self._storage.probe)

    def now(self) -> datetime:
        """See ``Storage.now``."""
        return Attempts(self._shared).run(self._storage.now)

    def close(self) -> None:
        """See ``Storage.close``."""
        self._storage.close()

    def _stored_by_us(self, name: str, data: Buffer) -> ObjectInfo | None:
        try:
            info = self.head(name)
            return info if info.size == memoryview(data).nbytes and self.get(name) == data else None
        except ObjectMissingError:
            return None

    def _resumed(self, listing: Callable[[], Iterator[ObjectInfo]]) -> Iterator[ObjectInfo]:
        last = ""
        told: set[str | None] = set()
        attempts = Attempts(self._shared)
        entries = listing()
        while True:
            try:
                entry = next(entries, None)
            except TransientStorageError as error:
                attempts.failed(error)
                attempts.keep_pace()
                entries = listing()
                continue
            self._shared.contact = True
            if entry is None:
                return
            if entry.name < last or (entry.name == last and entry.version in told):
                continue
            if entry.name != last:
                last, told = entry.name, set()
            told.add(entry.version)
            attempts = Attempts(self._shared)
            yield entry
