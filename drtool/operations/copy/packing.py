"""Sealed chunks on their way into the packs of another repository of the lineage."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from drtool.errors import PreconditionFailedError
from drtool.repository.packs import FinishedPack, PackEntry, SlotKind, pack_name
from drtool.repository.repacking import Repacker, SealedChunk, WholePack, slot_kind
from drtool.repository.repository import Repository
from drtool.repository.storing import PackStore
from drtool.repository.trust import Role
from drtool.repository.writer import packs_not_to_rely_on

#: A pack of which at least this part is needed is stored as it is; of the others only what is needed.
WHOLE_SHARE = 0.75


class Shelf:
    """The packs of a repository that copies go to, and whose they are: the snapshots of one host must not come to rest
    on what another one, whose key may have been stolen, claims to be the same chunks. Safe to use from several threads.

    ``unusable`` are packs that nothing may rely on.
    """

    def __init__(self, destination: Repository) -> None:
        self.unusable = {*packs_not_to_rely_on(destination), *destination.state.bad_packs()}
        self._state = destination.state
        # Not what is hidden there: it may be read, but nothing may come to rest on it.
        listed = destination.storage.list("packs/")
        self._sizes = {info.name: info.size for info in listed if info.is_latest}
        self._owners = destination.state.copied_packs()
        self._indexed = dict(destination.cache.packs_indexed_by(destination.signer.public))
        writers = [one.public for one in destination.document.signers if Role.WRITER in one.roles]
        self._only_writer = writers[0] if len(writers) == 1 else None

    def holds(self, sha256: bytes, size: int) -> bool:
        """Is such a pack there, whole, and may it be relied on?"""
        return sha256 not in self.unusable and self._sizes.get(pack_name(sha256)) == size

    def belongs_to(self, sha256: bytes, owner: bytes) -> bool:
        """Does it hold what this signer had indexed? Known of what this host copied, and where one host writes only."""
        return self._owners.get(sha256, self._only_writer) == owner

    def is_whole(self) -> bool:
        """Are all packs there, and found by the index, that this host copied or indexed? Make sure before anything is
        put. Packs that are neither (garbage collection took them, or somebody who took the index, too) are forgotten,
        with all that was taken for copied."""
        is_whole = all(self.holds(sha256, size) for sha256, size in self._indexed.items())
        lost = [sha256 for sha256 in self._owners if sha256 not in self._indexed]
        gone = [sha256 for sha256 in lost if pack_name(sha256) not in self._sizes]
        if gone:
            self._state.forget_copied_packs(gone)
        return is_whole and not lost

    def put(self, entry: PackEntry, owner: bytes) -> None:
        """A pack is about to be stored."""
        self._state.note_copied_pack(entry.sha256, owner)
        self._owners[entry.sha256] = owner

    def stored(self, entry: PackEntry) -> None:
        """It was stored."""
        self._sizes[pack_name(entry.sha256)] = entry.size

    def owner(self, sha256: bytes) -> bytes:
        """Whose a pack is; empty where that is not known."""
        return self._owners.get(sha256, b"")


class Packing:
    """Stores packs in `destination`, whole or made of what is needed of them. Safe to use from several threads.

    `told` hears of each pack that was stored.
    """

    def __init__(
        self, destination: Repository, shelf: Shelf, pack_bytes: int, told: Callable[[PackEntry], None]
    ) -> None:
        self._destination = destination
        self._shelf = shelf
        self._pack_bytes = pack_bytes
        self._told = told
        self._lock = threading.Lock()
        #: What is stored, or about to be, and not indexed yet.
        self._fresh: dict[bytes, set[bytes]] = defaultdict(set)
        self._open: dict[tuple[bytes, SlotKind], Repacker] = {}
        self._store = PackStore(destination, shelf.unusable, self._indexed)

    def is_on_its_way(self, id_: bytes, owner: bytes) -> bool:
        """Was this chunk of that signer's taken in, and is the index yet to find it?"""
        with self._lock:
            return id_ in self._fresh[owner]

    def take(
        self, pack: WholePack, wanted: Iterable[bytes], added: Mapping[bytes, Mapping[bytes, bytes]], owner: bytes
    ) -> None:
        """Store what is wanted of a pack that `owner` had indexed. `added` as for ``WholePack.chunks``."""
        ids = set(wanted)
        rows = pack.entry.rows
        needed = sum(row.stored for row in rows if row.id in ids)
        if pack.entry.sha256 not in self._shelf.unusable and needed >= WHOLE_SHARE * sum(row.stored for row in rows):
            # Where something else lies under the pack's name, what is wanted of it goes in other packs.
            with contextlib.suppress(PreconditionFailedError):
                self._put(pack.indexed_by(self._destination.signer.public), owner)
                return
        for chunk in pack.chunks(ids, added):
            full = self._add(chunk, owner)
            if full is not None:
                self._put(full, owner)

    def flush(self) -> None:
        """Store all that was taken in, and the index that finds it."""
        with self._lock:
            open_packs, self._open = self._open, {}
        for (owner, _), repacker in open_packs.items():
            self._put(repacker.finish(self._destination.signer), owner)
        self._store.flush()

    def _add(self, chunk: SealedChunk, owner: bytes) -> FinishedPack | None:
        """Put a chunk into the open pack of its kind; the one before it, if that is full."""
        key = owner, slot_kind(chunk)
        full = None
        with self._lock:
            repacker = self._open.get(key)
            if repacker is not None and not repacker.has_room_for(chunk, self._pack_bytes):
                full, repacker = repacker.finish(self._destination.signer), None
            if repacker is None:
                repacker = self._open[key] = Repacker(self._destination.keyring)
            repacker.add(chunk)
            self._fresh[owner].add(chunk.row.id)
        return full

    def _put(self, pack: FinishedPack, owner: bytes) -> None:
        self._shelf.put(pack.entry, owner)
        self._store.put(pack)
        self._shelf.stored(pack.entry)
        with self._lock:
            self._fresh[owner].update(row.id for row in pack.entry.rows)
        self._told(pack.entry)
        self._store.index_if_due()

    def _indexed(self, entries: Sequence[PackEntry]) -> None:
        with self._lock:
            for entry in entries:
                self._fresh[self._shelf.owner(entry.sha256)].difference_update(row.id for row in entry.rows)
