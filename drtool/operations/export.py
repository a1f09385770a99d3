"""Writing a snapshot in the layout that its system's own tools read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from drtool.errors import ExportError
from drtool.operations.contents import Contents
from drtool.operations.joining import Joined, joined, own_streams
from drtool.operations.overlaying import overlay_of
from drtool.operations.picking import pick, require_all
from drtool.operations.reporting import Reporter
from drtool.repository.chain import Snapshot
from drtool.repository.manifests import StreamEntry
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.sources.base import Source
from drtool.sources.exporting import Exporter, ExportItem, ExportPlace
from drtool.sources.reading import Consistency
from drtool.sources.restoring import Loaded

#: Streams written at the same time, where the layout has a file for each: more keep a disk no busier.
_WRITERS = 2
#: How many streams a warning names.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What is to be exported: the items, and the snapshot's entries by name."""

    items: tuple[ExportItem, ...]
    entries: dict[str, StreamEntry]

    @property
    def records(self) -> int:
        """How many records; what completes them counts with them."""
        return sum(item.records for item in own_streams(self.items))

    @property
    def bytes(self) -> int:
        """How many bytes of records."""
        return sum(item.bytes for item in self.items)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written. ``notes`` say how to read it without drtool."""

    layout: str
    streams: int
    records: int
    bytes: int
    seconds: float
    notes: tuple[str, ...]


class Export:
    """One export of one source: `plan` looks and writes nothing, `run` does it."""

    def __init__(
        self, repository: Repository, snapshot: Snapshot, source: Source, only: tuple[str, ...], reporter: Reporter
    ) -> None:
        self._repository = repository
        self._snapshot = snapshot
        self._source = source
        self._only = only
        self._reporter = reporter
        self._reader = ChunkReader(repository, fetchers=4)
        self._contents = Contents(self._reader, snapshot.manifest)

    def plan(self) -> ExportPlan:
        """What would be written.

        ``UsageError`` where a pattern fits nothing, ``MissingObjectError`` where the repository lacks something.
        """
        chosen = pick(self._contents, self._snapshot, self._source, self._only)
        chosen += self._overlay()
        require_all(self._repository, self._contents, chosen, "export")
        self._warn_of_fuzzy(chosen)
        items = tuple(ExportItem(self._contents.info(entry), entry.records, entry.bytes) for entry in chosen)
        return ExportPlan(items, {entry.name: entry for entry in chosen})

    def run(self, plan: ExportPlan, place: ExportPlace) -> ExportResult:
        """Write it. ``ExportError`` where the layout cannot take it, or not every record came."""
        started = time.monotonic()
        exporter = self._source.exporter(place)
        order = exporter.begin(plan.items)
        task = "Exporting"
        self._reporter.start(task, plan.bytes)
        try:
            written = self._write(exporter, order, plan.entries, task)
        finally:
            self._reporter.finish(task)
        notes = exporter.finish()
        return ExportResult(
            layout=exporter.layout,
            streams=len(own_streams(plan.items)),
            records=written.records,
            bytes=written.bytes,
            seconds=time.monotonic() - started,
            notes=tuple(notes),
        )

    def close(self) -> None:
        """Release the reader."""
        self._reader.close()

    def _write(
        self, exporter: Exporter, order: Iterable[ExportItem], entries: dict[str, StreamEntry], task: str
    ) -> Loaded:
        stop = threading.Event()

        def chunks(item: ExportItem) -> Iterator[bytes]:
            entry = entries[item.stream.name]
            records = self._contents.records(entry) if entry.has_records else iter(())
            return _until(stop, self._told(records, task))

        def write(each: Joined[ExportItem]) -> Sequence[Loaded]:
            if each.beside:
                beside = [(item, chunks(item)) for item in each.beside]
                written = exporter.write_joined(each.main, chunks(each.main), beside)
            else:
                written = [exporter.write(each.main, chunks(each.main))]
            if (short := each.short(written)) and not stop.is_set():
                raise ExportError("not every record came: " + "; ".join(short))
            return written

        futures: list[Future[Sequence[Loaded]]] = []
        with ThreadPoolExecutor(_WRITERS if exporter.concurrent else 1, thread_name_prefix="export") as pool:
            try:
                futures += [pool.submit(write, each) for each in joined(order)]
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:  # also after a signal: the pool waits for nothing but what has begun
                stop.set()
                for future in futures:
                    future.cancel()
        results = [future.result() for future in futures]
        return Loaded(sum(one[0].records for one in results), sum(each.bytes for one in results for each in one))

    def _told(self, chunks: Iterable[bytes], task: str) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self._reporter.advance(task, len(chunk))

    def _overlay(self) -> list[StreamEntry]:
        """The overlay; not with a part of the snapshot, since other tools replay all of it or nothing."""
        overlay = overlay_of(self._contents, self._source)
        if overlay and self._only:
            self._reporter.warn(
                "what --only chose is not of one instant: the snapshot has an overlay, which only a whole export holds"
            )
            return []
        return overlay

    def _warn_of_fuzzy(self, chosen: list[StreamEntry]) -> None:
        fuzzy = [entry.name for entry in chosen if entry.consistency == Consistency.FUZZY]
        if fuzzy:
            more = f" and {len(fuzzy) - _NAMED} more" if len(fuzzy) > _NAMED else ""
            self._reporter.warn(f"not of one instant (fuzzy): {', '.join(fuzzy[:_NAMED])}{more}")


def _until(stop: threading.Event, chunks: Iterator[bytes]) -> Iterator[bytes]:
    while not stop.is_set():
        chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
