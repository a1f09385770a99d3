"""Storing finished packs, and the index objects that find them (docs/format.md, "Writing")."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Collection, Sequence

from drtool.errors import PreconditionFailedError
from drtool.repository.index import decode_entry, encode_entry, encode_index, index_name
from drtool.repository.packs import FinishedPack, PackEntry, pack_name
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository
from drtool.repository.wire import Cursor

PACKS_PER_INDEX = 64
SECONDS_PER_INDEX = 60.0


class PackStore:
    """Takes packs from any thread; an index object follows after every so many packs or seconds, and at `flush`.

    Make it only inside a registered run. It begins with what an earlier run of this host stored and was killed before
    indexing, as long as it is none of the `unusable` packs. `indexed` is told of entries once the index finds them;
    `signer` indexes in place of the process's own key.
    """

    def __init__(
        self,
        repository: Repository,
        unusable: Collection[bytes] = (),
        indexed: Callable[[Sequence[PackEntry]], None] | None = None,
        signer: SigningKey | None = None,
    ) -> None:
        self._repository = repository
        self._indexed = indexed or _nobody
        self._signer = signer or repository.signer
        self._lock = threading.Lock()
        self._unindexed: list[PackEntry] = []
        self._indexed_at = time.monotonic()
        self._adopt(unusable)

    def put(self, pack: FinishedPack) -> None:
        """Store a pack; the index that finds it comes later (`index_if_due`, `flush`)."""
        state = self._repository.state
        # Noted first: should the run be killed while it is on its way, `_adopt` looks whether it arrived.
        state.note_pack(pack.entry.sha256, encode_entry(pack.entry))
        self._put_object(pack)
        with self._lock:
            self._unindexed.append(pack.entry)

    def index_if_due(self) -> None:
        """Store an index object, if there is enough to index or it is time."""
        with self._lock:
            packs, age = len(self._unindexed), time.monotonic() - self._indexed_at
        if packs >= PACKS_PER_INDEX or age >= SECONDS_PER_INDEX:
            self.flush()

    def flush(self) -> None:
        """Index every pack stored so far."""
        with self._lock:
            entries, self._unindexed = self._unindexed, []
            self._indexed_at = time.monotonic()
        if not entries:
            return
        repository = self._repository
        data = encode_index(entries, repository.keyring, self._signer, repository.document.repository)
        name = index_name(data)
        try:
            repository.storage.put(name, data)
        except BaseException:
            with self._lock:
                self._unindexed += entries
            raise
        repository.cache.add(name, entries)
        repository.state.forget_packs(entry.sha256 for entry in entries)
        self._indexed(entries)

    def _put_object(self, pack: FinishedPack) -> None:
        sha256 = pack.entry.sha256
        name = pack_name(sha256)
        try:
            self._repository.storage.put(name, pack.data, if_absent=True, sha256=sha256)
        except PreconditionFailedError:
            # The name is the content's hash: what is there is this pack (an earlier attempt whose answer was lost), or
            # somebody put something else in its place.
            # Behind what was put over it the right one may be read, but nothing may come to rest on it.
            storage = self._repository.storage
            if hashlib.sha256(storage.get(name)).digest() != sha256 or storage.hidden((name,)):
                self._repository.state.forget_packs([sha256])
                raise

    def _adopt(self, unusable: Collection[bytes]) -> None:
        state = self._repository.state
        noted = [decode_entry(Cursor(entry, "a noted pack")) for entry in state.noted_packs()]
        if not noted:
            return
        listed = self._repository.storage.list("packs/")
        there = {info.name: info.size for info in listed if info.is_latest}
        for entry in noted:
            is_there = there.get(pack_name(entry.sha256)) == entry.size
            if is_there and entry.sha256 not in unusable and entry.indexed_by == self._signer.public:
                self._unindexed.append(entry)
            else:
                state.forget_packs([entry.sha256])
        self.flush()


def _nobody(_entries: Sequence[PackEntry]) -> None:
    """Is told where nobody asked."""
