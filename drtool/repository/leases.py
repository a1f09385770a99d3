"""leases/: mutual exclusion that spares double work, and that nothing's safety rests on (docs/format.md, "Leases")."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from drtool.errors import (
    DamagedObjectError,
    DrtoolError,
    LockedError,
    ObjectMissingError,
    PreconditionFailedError,
    TamperedError,
    WrongKeyError,
)
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.wire import decode_json, encode_json

LEASES = "leases/"
TTL_SECONDS = 60.0
_LONGEST_TTL = 900.0
_RENEWALS_PER_TTL = 4
_LOOKS_PER_TTL = 30


def new_owner() -> str:
    """What names a holder: random, hex."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class _Held:
    """A lease as it is in the store."""

    owner: str
    host: str
    generation: int
    ttl: float
    is_free: bool
    etag: str


class Lease:
    """Held while the block lasts, renewed by a thread of its own. ``LockedError`` where somebody else holds it.

    A lease that is not renewed for its whole time to live, while this looks on, is taken over; so is one that `owner`
    holds already: whoever makes this knows that it is the only one of that name. `wait` (seconds) returns True where
    waiting is to end.
    """

    def __init__(
        self,
        repository: Repository,
        name: str,
        *,
        owner: str,
        ttl: float = TTL_SECONDS,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.name = LEASES + name
        self._repository = repository
        self._owner = owner
        self._ttl = ttl
        self._wait = wait or threading.Event().wait
        self._generation = 1
        self._etag = ""
        self._lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, name="renew-lease", daemon=True)

    def __enter__(self) -> Lease:
        if not self._create():
            held = self._read()
            if held is not None and not held.is_free and held.owner != self._owner:
                self._watch(held)
            self._take(held)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._lost:
            return
        try:
            self._put("free")
        except DrtoolError:
            # It then runs out by itself; somebody who took it over keeps it.
            return

    def require(self) -> None:
        """``LockedError`` where somebody else took the lease over."""
        if self._lost:
            raise LockedError(
                f"{self.name} was taken over by another process", hint="It does the same work: let it finish."
            )

    def _create(self) -> bool:
        try:
            self._etag = self._repository.storage.put(self.name, self._sealed("held"), if_absent=True).etag
        except PreconditionFailedError:
            return False
        return True

    def _take(self, held: _Held | None) -> None:
        self._generation = held.generation if held is not None else 0
        self._etag = held.etag if held is not None else self._repository.storage.head(self.name).etag
        try:
            self._put("held")
        except PreconditionFailedError as error:
            raise self._locked(held) from error

    def _watch(self, held: _Held) -> None:
        """Wait until it has run out; ``LockedError`` once it is renewed."""
        ttl = min(held.ttl, _LONGEST_TTL)
        since = time.monotonic()
        while time.monotonic() - since < ttl:
            if self._wait(ttl / _LOOKS_PER_TTL):
                raise self._locked(held)
            now = self._read()
            if now is None or now.is_free:
                return
            if now.generation != held.generation or now.owner != held.owner:
                raise self._locked(now)

    def _locked(self, held: _Held | None) -> LockedError:
        where = f" on {held.host}" if held is not None and held.host else ""
        return LockedError(
            f"another process{where} holds {self.name}",
            hint="Let it finish. A lease that a dead process left runs out by itself.",
        )

    def _read(self) -> _Held | None:
        """The lease in the store; None where it says nothing that can be understood."""
        storage = self._repository.storage
        try:
            etag = storage.head(self.name).etag
            opened = self._repository.open_object(Kind.LEASE, self.name, storage.get(self.name))
            fields = decode_json(opened.payload, self.name)
            return _Held(
                str(fields["owner"]),
                str(fields["host"]),
                int(fields["generation"]),
                float(fields["ttl"]),
                fields["state"] == "free",
                etag,
            )
        except ObjectMissingError as error:
            raise LockedError(f"{self.name} was deleted just now", hint="Try again.") from error
        except (DamagedObjectError, TamperedError, WrongKeyError, KeyError, ValueError, TypeError):
            return None

    def _put(self, state: str) -> None:
        self._generation += 1
        data = self._sealed(state)
        self._etag = self._repository.storage.put(self.name, data, if_match=self._etag).etag

    def _sealed(self, state: str) -> bytes:
        fields = {
            "format": 1,
            "lease": self.name.removeprefix(LEASES),
            "owner": self._owner,
            "host": socket.gethostname(),
            "generation": self._generation,
            "ttl": self._ttl,
            "state": state,
        }
        return self._repository.seal(Kind.LEASE, self.name, encode_json(fields))

    def _keep_renewing(self) -> None:
        while not self._stop.wait(self._ttl / _RENEWALS_PER_TTL):
            try:
                self._put("held")
            except PreconditionFailedError:
                self._lost = True
                return
            except DrtoolError:
                # Tried again at the next turn; if that comes too late, somebody may take it over.
                continue
