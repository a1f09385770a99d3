"""Copying into another lineage: everything is opened with the identity, cut and named by that lineage's keys, and
sealed to its recipients. What comes of it is a snapshot of that repository like any other."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain

from drtool.errors import DamagedObjectError, MissingObjectError
from drtool.operations.budget import Budget
from drtool.operations.contents import Contents
from drtool.operations.copy.chains import Chains
from drtool.operations.copy.moving import Shipped
from drtool.operations.copy.outlook import missing_segments
from drtool.operations.copy.reading import read_again
from drtool.operations.locking import lock_packs
from drtool.repository.archive import Archived
from drtool.repository.chain import Snapshot
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import Statistics, StreamEntry, encode_streams
from drtool.repository.packs import pack_name
from drtool.repository.pages import Bounds, ChunkRef, PageBuilder, PageRef, decode_bounds, walk
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.writer import ChunkWriter
from drtool.sources.cutting import CutRule, Record, cut

Records = Callable[[bytes], Iterator[Record]]
"""Takes a chunk apart, as the kind of source that it is of knows how."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The two repositories, the run at the second one, and the chains there that copies are put into."""

    source: Repository
    destination: Repository
    run: Run
    chains: Chains


class Foreign:
    """A ``Carrier``. `records_of` gives by a source's type what takes its chunks apart; `removed` are names of segments
    that the destination had and retention removed. `told` hears of bytes of records."""

    def __init__(
        self,
        ends: Ends,
        records_of: Callable[[str], Records],
        removed: Collection[str],
        budget: Budget,
        told: Callable[[int], None],
    ) -> None:
        self._ends = ends
        self._records_of = records_of
        self._removed = removed
        self._readers = budget.readers
        self._told = told
        self._reader = ChunkReader(ends.source)
        self._writer = ChunkWriter(ends.destination, uploads=budget.uploads, pack_bytes=budget.pack_bytes)
        self._avoid_lost_packs()
        #: Trees that were made before, by their root in the source, the rule that they were cut by and the kind.
        self._trees: dict[tuple[bytes, int, str], PageRef | None] = {}

    def snapshot(self, snapshot: Snapshot, *, thorough: bool) -> Shipped:
        """See ``Carrier.snapshot``. One that is there is made once more, which gives the same chunks, and stores those
        that are not there any more."""
        manifest, writer = snapshot.manifest, self._writer
        read_again(self._ends.source, manifest.name, snapshot.hash)
        started, before = time.monotonic(), replace(writer.counts)
        entries = self._entries(Contents(self._reader, manifest))
        lists = tuple((writer.add(ChunkKind.CATALOG, data), len(data)) for data in encode_streams(entries))
        self._store()
        statistics = Statistics(
            records=sum(entry.records for entry in entries if not entry.beside),
            bytes=sum(entry.bytes for entry in entries),
            chunks=sum(entry.chunks for entry in entries),
            new_chunks=writer.counts.new_chunks - before.new_chunks,
            new_bytes=writer.counts.new_bytes - before.new_bytes,
            stored_bytes=writer.counts.stored_bytes - before.stored_bytes,
            seconds=round(time.monotonic() - started, 3),
            read_bytes=manifest.statistics.bytes,
        )
        shipped = Shipped(statistics.chunks, statistics.new_chunks, statistics.stored_bytes)
        if thorough:
            self._ends.chains.require_same(snapshot, lists)
            return shipped
        content = replace(manifest, stream_chunks=lists, statistics=statistics)
        self._ends.chains.add_snapshot(self._ends.run, snapshot, content)
        return shipped

    def missing(self, source: str, segments: Iterable[Archived]) -> tuple[list[Archived], list[Archived]]:
        """See ``Carrier.missing``."""
        return missing_segments(self._ends.destination, source, segments, self._removed)

    def segments(self, segments: Sequence[Archived]) -> Shipped:
        """See ``Carrier.segments``. A log's chunks stay cut as they are: nobody reads a log again to compare."""
        roots, shipped = self._made_anew(segments)
        self._ends.run.renew()
        for one, root in zip(segments, roots, strict=True):
            self._ends.chains.add_segment(self._ends.run, replace(one.segment, root=root))
        return shipped

    def again(self, segments: Sequence[Archived]) -> Shipped:
        """See ``Carrier.again``."""
        return self._made_anew(segments)[1]

    def _made_anew(self, segments: Sequence[Archived]) -> tuple[list[PageRef], Shipped]:
        """The roots of segments by the destination's keys, all of which is stored there then."""
        before = replace(self._writer.counts)
        roots = []
        for one in segments:
            read_again(self._ends.source, one.segment.name, one.hash)
            roots.append(self._renamed(one.segment.root))
        self._store()
        counts = self._writer.counts
        total = sum(root.chunks for root in roots)
        sent, size = counts.new_chunks - before.new_chunks, counts.stored_bytes - before.stored_bytes
        return roots, Shipped(total, sent, size)

    def flush(self) -> None:
        """See ``Carrier.flush``."""
        self._writer.flush()

    def finish(self) -> None:
        """See ``Carrier.finish``: nothing is left to be done."""

    def close(self) -> None:
        """See ``Carrier.close``."""
        self._writer.close()
        self._reader.close()

    def _entries(self, contents: Contents) -> list[StreamEntry]:
        """The streams of a snapshot, made anew, several at a time."""
        types = {source.name: source.type for source in contents.manifest.sources}

        def made_anew(entry: StreamEntry) -> StreamEntry:
            definition = self._reader.get(ChunkKind.PRIVATE, entry.definition, entry.definition_length)
            return replace(
                entry,
                definition=self._writer.add(ChunkKind.PRIVATE, definition),
                root=self._recut(contents, entry, types.get(entry.source, "")),
            )

        with ThreadPoolExecutor(self._readers, thread_name_prefix="recut") as pool:
            try:
                return list(pool.map(made_anew, contents.streams()))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _recut(self, contents: Contents, entry: StreamEntry, type_: str) -> PageRef | None:
        """The tree of a stream by the destination's keys: the same records, cut where its cut rule says."""
        if entry.root is None:
            return None
        key = entry.root.id, entry.threshold, type_
        if key in self._trees:
            return self._trees[key]
        records = self._records_of(type_)
        pages = self._builder()
        rule = CutRule(self._ends.destination.keyring.cut_key, entry.threshold, entry.fine)
        for chunk in cut(chain.from_iterable(map(records, contents.records(entry))), rule):
            pages.add(self._added(chunk.data, chunk.records), Bounds(chunk.first, chunk.last))
        root = pages.finish()
        if root is None or (root.records, root.bytes) != (entry.records, entry.bytes):
            raise DamagedObjectError(f"stream {entry.source}/{entry.name} does not hold what its entry announces")
        self._trees[key] = root
        return root

    def _renamed(self, root: PageRef) -> PageRef:
        """The tree of the same chunks by the destination's keys."""
        pages = self._builder()
        for leaf in walk(root, self._reader.get_page):
            bounds = decode_bounds(self._reader.get(ChunkKind.PRIVATE, leaf.bounds, leaf.bounds_length))
            if len(bounds) != len(leaf.chunks):
                raise DamagedObjectError("a leaf page and its bounds are of different lengths")
            for ref, bound, data in zip(leaf.chunks, bounds, self._reader.stream(leaf.chunks), strict=True):
                pages.add(self._added(data, ref.records), bound)
        made = pages.finish()
        assert made is not None  # a segment has entries, which the pages were just checked to count
        return made

    def _builder(self) -> PageBuilder:
        return PageBuilder(
            lambda page: self._writer.add(ChunkKind.CATALOG, page),
            lambda bounds: self._writer.add(ChunkKind.PRIVATE, bounds),
        )

    def _added(self, data: bytes, records: int) -> ChunkRef:
        ref = ChunkRef(self._writer.add(ChunkKind.DATA, data), len(data), records)
        self._told(len(data))
        return ref

    def _there(self) -> dict[str, int]:
        """The packs at the destination that something may rest on, by name with their sizes."""
        return {info.name: info.size for info in self._ends.destination.storage.list("packs/") if info.is_latest}

    def _avoid_lost_packs(self) -> None:
        """What lay in packs that are gone is stored anew."""
        destination, there = self._ends.destination, self._there()
        indexed = destination.cache.packs_indexed_by(destination.signer.public)
        self._writer.unusable.update(sha256 for sha256, size in indexed if there.get(pack_name(sha256)) != size)

    def _store(self) -> None:
        """Everything that was added is stored, and every pack that it lies in is there: level ``listed``."""
        self._writer.flush()
        there = self._there()
        lock_packs(self._ends.destination, self._writer.packs)
        for sha256, size in self._writer.packs.items():
            if there.get(pack_name(sha256)) != size:
                self._ends.destination.state.note_bad_packs([sha256], ())
                raise MissingObjectError(
                    f"{pack_name(sha256)} is not at {self._ends.destination.storage.url}, or not whole",
                    hint="Copy again: what it held is stored anew. Find out what deleted the object.",
                ).about(pack_name(sha256))
