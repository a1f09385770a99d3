"""A store in memory, with a clock that a test moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from drtool.errors import ObjectMissingError, PreconditionFailedError, StorageError
from drtool.storage.base import Buffer, Capabilities, Keeping, Lock, ObjectInfo, Rights


@dataclass
class MemoryStore:
    """Implements ``drtool.storage.base.Storage``."""

    url: str = "memory"
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    objects: dict[str, tuple[bytes, ObjectInfo]] = field(default_factory=dict)
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def pass_time(self, hours: float) -> None:
        """Move the clock on."""
        self.time += timedelta(hours=hours)

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
        """See ``Storage.put``."""
        with self._lock:
            old = self.objects.get(name)
            if (if_absent and old is not None) or (if_match is not None and (old is None or old[1].etag != if_match)):
                raise PreconditionFailedError(f"{name} is not what it was")
            self._count += 1
            info = ObjectInfo(name, len(bytes(data)), self.time, str(self._count))
            self.objects[name] = bytes(data), info
            return info

    def get(self, name: str, *, offset: int = 0, length: int | None = None, version: str | None = None) -> bytes:
        """See ``Storage.get``."""
        data, _ = self._at(name)
        end = len(data) if length is None else offset + length
        if not 0 <= offset <= end <= len(data):
            raise StorageError(f"{name}: outside")
        return data[offset:end]

    def head(self, name: str, *, version: str | None = None) -> ObjectInfo:
        """See ``Storage.head``."""
        return self._at(name)[1]

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See ``Storage.list``."""
        with self._lock:
            found = sorted(self.objects.items())
        return iter([info for name, (_, info) in found if name.startswith(prefix)])

    def list_versions(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """The same."""
        return self.list(prefix)

    def delete(self, name: str, *, version: str | None = None) -> None:
        """See ``Storage.delete``."""
        with self._lock:
            self.objects.pop(name, None)

    def keeps_versions(self) -> bool:
        """None are kept."""
        return False

    def set_lock(self, name: str, lock: Lock, *, version: str | None = None) -> None:
        """Nothing can be locked."""
        raise StorageError("no locks")

    def keeping(self) -> Keeping:
        """No versions, no locks."""
        return Keeping(False, False, None, ())

    def rights(self, lock: Lock | None) -> Rights:
        """All of them."""
        return Rights(True, True)

    def probe(self) -> Capabilities:
        """Conditions are honoured."""
        return Capabilities(True, True, False)

    def now(self) -> datetime:
        """The clock that the test moves."""
        return self.time

    def close(self) -> None:
        """Nothing is held."""

    def _at(self, name: str) -> tuple[bytes, ObjectInfo]:
        with self._lock:
            if name not in self.objects:
                raise ObjectMissingError(f"there is no {name}")
            return self.objects[name]
