"""Which chunks are in use: everything that a manifest or a segment leads to, by its page trees."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from drtool.errors import DamagedObjectError, DrtoolError, RefusedError
from drtool.repository.archive import open_segment
from drtool.repository.bulk import BulkReader
from drtool.repository.chain import open_snapshot, read_catalogue
from drtool.repository.chunks import ID_BYTES
from drtool.repository.layout import Heads, Layout, heads_of
from drtool.repository.manifests import SNAPSHOTS, decode_streams
from drtool.repository.pages import LEAF, MAX_LEVEL, PageRef
from drtool.repository.repository import Repository
from drtool.repository.segments import OPLOG
from drtool.repository.wire import Cursor

_CHUNK = np.dtype([("head", ">u8"), ("tail", f"V{ID_BYTES - 8}"), ("length", ">u4"), ("records", ">u4")])
_PAGE = struct.Struct(f">{ID_BYTES}sQQQ")


class Liveness:
    """Collects what is in use; `close` when done. Each page is read once, however many snapshots share it.

    What was found in use stays so, also where its snapshot is removed meanwhile: whoever looks again only adds.
    `accepts_losses`: snapshots that are gone without an announced removal are no reason to refuse.
    """

    def __init__(self, repository: Repository, *, accepts_losses: bool = False) -> None:
        self._repository = repository
        self._accepts_losses = accepts_losses
        self._bulk = BulkReader(repository)
        #: Stream lists and pages that were read.
        self._seen: set[bytes] = set()
        self._segments: set[tuple[str, str]] = set()
        #: What was found since `used` was made, whole ids and beginnings.
        self._ids: list[bytes] = []
        self._found: list[Heads] = []
        self.used: Heads = np.zeros(0, np.uint64)
        self.snapshots = 0

    def close(self) -> None:
        """Give up the threads."""
        self._bulk.close()

    def look(self, layout: Layout) -> None:
        """Read all manifests and segments, and every page that was not read before; `used` is complete afterwards.

        The error of whatever cannot be read is raised: what it leads to is not known. ``RefusedError`` where snapshots
        are gone without an announced removal.
        """
        wanted: dict[bytes, PageRef | None] = {root.id: root for root in self._segment_roots()}
        for stream_chunks in self._manifests():
            wanted |= dict.fromkeys((id_ for id_, _ in stream_chunks), None)
        fresh = {id_: ref for id_, ref in wanted.items() if id_ not in self._seen}
        self._seen |= fresh.keys()
        self._ids += fresh
        self._bulk.follow(layout, fresh, self._seen, self._take)
        found = np.sort(np.concatenate([self.used, heads_of(self._ids), *self._found]))
        self._ids, self._found = [], []
        self.used = found[np.concatenate([found[:-1] != found[1:], np.ones(min(1, len(found)), bool)])]

    def _manifests(self) -> Iterator[tuple[tuple[bytes, int], ...]]:
        storage = self._repository.storage
        listed = {info.name for info in storage.list(SNAPSHOTS)}
        catalogue = read_catalogue(self._repository)
        unread = listed - {snapshot.manifest.name for snapshot in catalogue.snapshots}
        # What was removed between the two looks is no manifest any more.
        leaving = sorted(unread & {info.name for info in storage.list(SNAPSHOTS)}) if unread else []
        problems = {error.object: error for error in reversed(catalogue.problems)}
        for name in leaving:
            if name in problems:
                raise problems[name]
        if catalogue.problems and not self._accepts_losses:
            raise RefusedError(
                f"{catalogue.problems[0].message}: what only that snapshot needs would go for good",
                hint="A bucket with versions, or a copy, may still hold it. --accept-losses cleans up all the same.",
            )
        self.snapshots = len(catalogue.snapshots)
        for snapshot in catalogue.snapshots:
            yield snapshot.manifest.stream_chunks
        # Retention is about to remove these; as long as they are there, they are snapshots.
        for name, data in self._repository.fetch(leaving):
            if isinstance(data, DrtoolError):
                raise data
            if data is not None:
                yield open_snapshot(self._repository, name, data).manifest.stream_chunks

    def _segment_roots(self) -> Iterator[PageRef]:
        infos = {info.name: info for info in self._repository.storage.list(OPLOG)}
        fresh = [info for info in infos.values() if (info.name, info.etag) not in self._segments]
        for name, data in self._repository.recall(fresh):
            if isinstance(data, DrtoolError):
                raise data
            if data is not None:
                try:
                    yield open_segment(self._repository, name, data).segment.root
                except DrtoolError as error:
                    raise error.about(name) from None
                self._segments.add((name, infos[name].etag))

    def _take(self, _id: bytes, ref: PageRef | None, data: bytes) -> Iterator[PageRef]:
        """Take what a stream list or a page refers to; the pages among it that were not read before."""
        if ref is not None:
            yield from self._page(ref, data)
            return
        entries = decode_streams([data])
        self._ids += [entry.definition for entry in entries]
        for entry in entries:
            if entry.root is not None:
                self._ids.append(entry.root.id)
                yield entry.root

    def _page(self, ref: PageRef, data: bytes) -> Iterator[PageRef]:
        cursor = Cursor(data, "a page")
        level, count = cursor.u8(), cursor.u32()
        if level != ref.level or level > MAX_LEVEL:
            raise DamagedObjectError("a page has another level than its parent says")
        if level == LEAF:
            self._ids.append(cursor.take(ID_BYTES))
            cursor.u32()
            chunks = np.frombuffer(cursor.take(count * _CHUNK.itemsize), dtype=_CHUNK)
            self._found.append(chunks["head"].astype(np.uint64))
            totals = count, int(chunks["records"].sum(dtype=np.int64)), int(chunks["length"].sum(dtype=np.int64))
        else:
            rows = list(_PAGE.iter_unpack(cursor.take(count * _PAGE.size)))
            totals = sum(row[1] for row in rows), sum(row[2] for row in rows), sum(row[3] for row in rows)
            for row in rows:  # most pages are shared with snapshots that were looked at before
                if row[0] not in self._seen:
                    self._ids.append(row[0])
                    yield PageRef(row[0], level - 1, *row[1:])
        cursor.finish()
        if totals != (ref.chunks, ref.records, ref.bytes):
            raise DamagedObjectError("a page does not hold what its parent announces")
