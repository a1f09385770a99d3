"""Writing chunks: what is known is referred to, the rest goes compressed and sealed into packs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from drtool.errors import DamagedObjectError, DrtoolError, RepositoryError
from drtool.repository.chunks import MAX_CHUNK_BYTES, chunk_id, compress
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import object_hash
from drtool.repository.packs import SLOT_OF_CHUNK, PackBuilder, PackEntry, SlotKind
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.storing import PackStore
from drtool.repository.wire import decode_json


@dataclass
class WriteCounts:
    """What went into packs: chunks of records and their bytes as read; ``stored_bytes`` counts all kinds, sealed."""

    new_chunks: int = 0
    new_bytes: int = 0
    stored_bytes: int = 0


class ChunkWriter:
    """Adds chunks of any kind, from any thread. `uploads` packs may be on their way while others are filled;
    `pack_bytes` makes them smaller than usual, for less memory.

    Make it only inside a registered run: it reads index and tombstones. ``flush``, also after a failure, stores what is
    open with its index, so that the next run can use it; then ``close``.
    """

    def __init__(self, repository: Repository, *, uploads: int = 1, pack_bytes: int | None = None) -> None:
        self._repository = repository
        self._pack_bytes = pack_bytes
        self.counts = WriteCounts()
        #: Every pack that a chunk of this run lies in, with its size: what must be there before the commit.
        self.packs: dict[bytes, int] = {}
        #: The tombstones that were read (hashes of the objects, hex): what they mark is among the `unusable`.
        self.seen: set[str] = set()
        #: Packs that nothing new may rely on.
        self.unusable = {*packs_not_to_rely_on(repository, self.seen), *repository.state.bad_packs()}
        # After the tombstones: of a pack that went since, with its tombstone, the index says nothing any more.
        repository.refresh_index()
        self._fresh: set[bytes] = set()
        self._open: dict[SlotKind, tuple[PackBuilder, bytearray]] = {}
        self._buffers: list[bytearray] = []
        #: Guards filling; held while a full pack waits for an upload to end, so upload threads never take it.
        self._filling = threading.Lock()
        #: Guards what filling and upload threads share; held for moments only, never while waiting.
        self._books = threading.Lock()
        self._room = threading.BoundedSemaphore(uploads)
        self._pool = ThreadPoolExecutor(uploads, thread_name_prefix="upload")
        self._uploads: list[Future[None]] = []
        self._failure: BaseException | None = None
        self._store = PackStore(repository, self.unusable, self._now_indexed)

    def add(self, kind: ChunkKind, data: bytes) -> bytes:
        """Make sure that a chunk is stored (or will be, once `flush` returns) and return its id."""
        self._raise_failure()
        _check_length(len(data))
        id_ = chunk_id(self._repository.keyring, kind, data)
        if not self._is_known(id_):
            self._put(kind, id_, compress(data), len(data))
        return id_

    def add_packed(self, kind: ChunkKind, id_: bytes, packed: memoryview, length: int) -> None:
        """`add` for a chunk of `length` bytes whose id and compressed form (``chunks.compress``) were made already."""
        self._raise_failure()
        _check_length(length)
        if not self._is_known(id_):
            self._put(kind, id_, packed, length)

    def _put(self, kind: ChunkKind, id_: bytes, packed: memoryview, length: int) -> None:
        with self._filling:
            if self._is_fresh(id_):
                return
            row = self._builder_for(SLOT_OF_CHUNK[kind], packed).add(kind, id_, packed, length)
            with self._books:
                self._fresh.add(id_)
            if kind is ChunkKind.DATA:
                self.counts.new_chunks += 1
                self.counts.new_bytes += length
            self.counts.stored_bytes += row.stored

    def flush(self) -> None:
        """Store every chunk added so far, and the index that finds it.

        Where an upload failed, now or before, everything else is stored all the same, and then its error raised.
        """
        with self._filling:
            for slot_kind in list(self._open):
                self._send(slot_kind)
            uploads, self._uploads = self._uploads, []
        wait(uploads)
        try:
            self._store.flush()
        finally:
            self._raise_failure()

    def close(self) -> None:
        """Give up the threads."""
        self._pool.shutdown(wait=True)

    def _is_known(self, id_: bytes) -> bool:
        if self._is_fresh(id_):
            return True
        mine = self._repository.signer.public
        for location in self._repository.cache.locations(id_):
            # Only what this signer indexed itself: nobody else can make it rely on something that is not there.
            if location.indexed_by == mine and location.pack not in self.unusable:
                with self._books:
                    self.packs[location.pack] = location.pack_size
                return True
        return False

    def _is_fresh(self, id_: bytes) -> bool:
        with self._books:
            return id_ in self._fresh

    def _builder_for(self, slot_kind: SlotKind, packed: memoryview) -> PackBuilder:
        if slot_kind in self._open and not self._open[slot_kind][0].has_room_for(packed, self._pack_bytes):
            self._send(slot_kind)
        if slot_kind not in self._open:
            recipients = [entry.recipient for entry in self._repository.document.recipients]
            with self._books:
                # Used again, because fresh memory is slow. It grows as needed: of catalog chunks there are few.
                buffer = self._buffers.pop() if self._buffers else bytearray()
            builder = PackBuilder(slot_kind, self._repository.keyring, recipients, buffer)
            self._open[slot_kind] = (builder, buffer)
        return self._open[slot_kind][0]

    def _send(self, slot_kind: SlotKind) -> None:
        """Hand an open pack to the upload threads; waits, and keeps others waiting, while too many are on their way."""
        builder, buffer = self._open.pop(slot_kind)
        self._room.acquire()
        self._uploads = [upload for upload in self._uploads if not upload.done()]
        self._uploads.append(self._pool.submit(self._upload, builder, buffer))

    def _raise_failure(self) -> None:
        # For good: the chunks of a pack that was not stored count as known, so nothing may be committed any more.
        if self._failure is not None:
            raise self._failure

    def _upload(self, builder: PackBuilder, buffer: bytearray) -> None:
        try:
            self._store_pack(builder, buffer)
        except BaseException as error:
            with self._books:
                self._failure = self._failure or error
            raise

    def _store_pack(self, builder: PackBuilder, buffer: bytearray) -> None:
        try:
            pack = builder.finish(self._repository.signer)
            self._store.put(pack)
            pack.data.release()
            with self._books:  # before there is room for the next pack, which else would take fresh memory
                self.packs[pack.entry.sha256] = pack.entry.size
                self._buffers.append(buffer)
        finally:
            self._room.release()
        self._store.index_if_due()

    def _now_indexed(self, entries: Sequence[PackEntry]) -> None:
        with self._books:
            self._fresh.difference_update(row.id for entry in entries for row in entry.rows)


def _check_length(length: int) -> None:
    if length > MAX_CHUNK_BYTES:
        raise RepositoryError(f"a chunk of {length} bytes is longer than the {MAX_CHUNK_BYTES} of format 1")


def packs_not_to_rely_on(repository: Repository, seen: set[str] | None = None) -> Iterator[bytes]:
    """Packs that garbage collection means to delete, or that a verification found bad. The hashes of the tombstones
    are added to `seen`."""
    for prefix, kind in (("tombstones/", Kind.TOMBSTONE), ("distrust/", Kind.DISTRUST)):
        for name, data in repository.fetch(repository.storage.list(prefix)):
            if isinstance(data, DrtoolError):
                raise data
            if data is not None:
                # One that cannot be read is an error: a pack that it names may be about to go.
                fields = decode_json(repository.open_object(kind, name, data).payload, name)
                try:
                    yield from [bytes.fromhex(pack) for pack in fields["packs"]]
                    if kind is Kind.TOMBSTONE and seen is not None:
                        seen.add(object_hash(data))
                except (KeyError, ValueError, TypeError) as error:
                    raise DamagedObjectError(f"{name} lacks something: {error}") from error
