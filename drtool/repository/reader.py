"""Reading chunks back: located by the index, fetched several at once, checked against their ids."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from drtool.errors import (
    DamagedObjectError,
    MissingObjectError,
    ObjectMissingError,
    PermissionDeniedError,
    RepositoryError,
    StorageError,
    TransientStorageError,
    WrongKeyError,
)
from drtool.repository.cache import Location
from drtool.repository.chunks import open_chunk
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import Slot, SlotKind, added_slots_name, decode_added_slots, decode_header, pack_name
from drtool.repository.pages import ChunkRef
from drtool.repository.repository import Repository

#: How many bytes of unpacked chunks one ordered stream may have in flight.
WINDOW_BYTES = 16 * 1024 * 1024


class ChunkReader:
    """Gets chunks by id. Safe to use from several threads; `close` when done."""

    def __init__(self, repository: Repository, *, fetchers: int = 4) -> None:
        self._repository = repository
        self._slots: dict[bytes, tuple[Slot, ...]] = {}
        self._keys: dict[bytes, bytes] = {}
        self._lock = threading.Lock()
        self._reloads = 0
        self._reloading = threading.Lock()
        self._pool = ThreadPoolExecutor(fetchers, thread_name_prefix="read")

    def get(self, kind: ChunkKind, id_: bytes, length: int | None = None) -> bytes:
        """One chunk. `length` is what the referring page says, where one does.

        Tries every place that the index knows; the error of the last is raised when none holds the chunk.
        """
        failure: RepositoryError | None = None
        tried: set[Location] = set()
        while True:
            reloads = self._reloads
            for location in self.locations(id_):
                if location not in tried:
                    tried.add(location)
                    try:
                        return self._read(location, kind, id_, length)
                    except (DamagedObjectError, WrongKeyError) as error:
                        failure = error.about(pack_name(location.pack))
            # A pack that is missing may have been rewritten into another since the index was read.
            if not isinstance(failure, MissingObjectError) or not self._reloaded_since(reloads):
                break
        assert failure is not None
        raise failure

    def get_page(self, id_: bytes) -> bytes:
        """A catalog chunk, which knows its own length."""
        return self.get(ChunkKind.CATALOG, id_)

    def stream(self, refs: Iterable[ChunkRef]) -> Iterator[bytes]:
        """The chunks in order, the next ones being fetched meanwhile (`WINDOW_BYTES` at most)."""
        flying: deque[tuple[int, Future[bytes]]] = deque()
        in_flight = 0
        try:
            for ref in refs:
                while flying and in_flight + ref.length > WINDOW_BYTES:
                    length, future = flying.popleft()
                    in_flight -= length
                    yield future.result()
                flying.append((ref.length, self._pool.submit(self.get, ChunkKind.DATA, ref.id, ref.length)))
                in_flight += ref.length
            while flying:
                yield flying.popleft()[1].result()
        finally:
            for _, future in flying:
                future.cancel()

    def slot_key(self, slots: tuple[Slot, ...], number: int, pack: bytes) -> bytes:
        """The key of a slot of `pack`, whose header holds `slots`."""
        if number >= len(slots):
            raise DamagedObjectError(f"{pack_name(pack)} has no key slot {number}")
        slot = slots[number]
        with self._lock:
            # By the whole slot: ids stand in the clear, and another pack may bear one that is not its own.
            key = self._keys.get(slot.encode())
        if key is None:
            key = slot.open(self._repository.keyring, self._repository.identity, self._added_slots(slot, pack))
            with self._lock:
                self._keys[slot.encode()] = key
        return key

    def _added_slots(self, slot: Slot, pack: bytes) -> dict[bytes, bytes]:
        identity = self._repository.identity
        if slot.kind is SlotKind.CATALOG or identity is None or identity.recipient.fingerprint in slot.sealed:
            return {}
        name = added_slots_name(identity.recipient, pack)
        try:
            return decode_added_slots(self._repository.storage.get(name), name)
        except ObjectMissingError:
            return {}

    def close(self) -> None:
        """Give up the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, location: Location, kind: ChunkKind, id_: bytes, length: int | None) -> bytes:
        try:
            return self._read_once(location, kind, id_, length)
        except (DamagedObjectError, WrongKeyError):
            # A range of a pack cannot be checked by the pack's name: only now it shows that it is another one.
            if not self._repository.storage.heal(pack_name(location.pack)):
                raise
            with self._lock:
                self._slots.pop(location.pack, None)
            return self._read_once(location, kind, id_, length)

    def _read_once(self, location: Location, kind: ChunkKind, id_: bytes, length: int | None) -> bytes:
        name = pack_name(location.pack)
        if location.kind != kind or (length is not None and location.length != length):
            raise DamagedObjectError(f"the index and a page disagree about chunk {id_.hex()[:16]}")
        key = self.slot_key(self._slots_of(location), location.slot, location.pack)
        sealed = self._fetch(name, location.offset, location.stored)
        try:
            return open_chunk(key, location.counter, sealed, self._repository.keyring, kind, id_, location.length)
        except DamagedObjectError as error:
            raise DamagedObjectError(f"{error.message} (in {name})", hint=error.hint).about(name) from error

    def _slots_of(self, location: Location) -> tuple[Slot, ...]:
        with self._lock:
            slots = self._slots.get(location.pack)
        if slots is None:
            name = pack_name(location.pack)
            slots = decode_header(self._fetch(name, 0, location.pack_header), name)
            with self._lock:
                self._slots[location.pack] = slots
        return slots

    def _fetch(self, name: str, offset: int, length: int) -> bytes:
        storage = self._repository.storage
        try:
            return storage.get(name, offset=offset, length=length)
        except ObjectMissingError as error:
            raise MissingObjectError(f"{name} is missing").about(name) from error
        except (TransientStorageError, PermissionDeniedError):
            raise
        except StorageError as error:
            size = storage.head(name).size
            if size < offset + length:
                raise DamagedObjectError(f"{name} is truncated: it ends after {size} bytes").about(name) from error
            # Another thread may have found the right version meanwhile.
            return storage.get(name, offset=offset, length=length)

    def _reloaded_since(self, reloads: int) -> bool:
        """Has the index been reloaded more than `reloads` times? The first to ask reloads it, the others wait.

        That helps once and, where index objects may be hidden, once more with those.
        """
        with self._reloading:
            if self._reloads == reloads and (
                self._reloads == 0 or (self._reloads == 1 and self._repository.storage.uncover_index())
            ):
                self._repository.refresh_index()
                self._reloads += 1
            return self._reloads > reloads

    def locations(self, id_: bytes) -> list[Location]:
        """Where a chunk lies, once or more. Reloads the index before it gives up with ``MissingObjectError``."""
        reloads = self._reloads
        found = self._repository.cache.locations(id_)
        while not found and self._reloaded_since(reloads):
            reloads = self._reloads
            found = self._repository.cache.locations(id_)
        if not found:
            raise MissingObjectError(
                f"chunk {id_.hex()[:16]} is in no index object: its pack or its index entry is gone",
                hint="Somebody deleted objects of the repository, or it was only partly copied.",
            )
        return found
