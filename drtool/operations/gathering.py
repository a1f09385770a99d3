"""Reading all sources of a job at one instant each, and listing what was read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC

from drtool.errors import InstantMovedError
from drtool.operations.budget import Budget
from drtool.operations.collecting import PartList, joined
from drtool.operations.inheriting import Before
from drtool.operations.reading import Intake, Unit
from drtool.operations.reporting import Reporter
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import SourceEntry, StreamEntry
from drtool.repository.pages import PageBuilder, PageRef
from drtool.repository.repository import Repository
from drtool.repository.writer import ChunkWriter
from drtool.sources.base import WHOLE, Consistency, KeyRange, Prepared, Probe, Settled, Source, StreamInfo, View
from drtool.sources.cutting import CutRule

#: How often the instant may move (a collection dropped or renamed while it is read) before a run gives up.
ATTEMPTS = 4
_MOST_WARNINGS = 20
_LONGEST_WARNING = 400


@dataclass(frozen=True, slots=True)
class SourceRead:
    """What was read of one source."""

    source: SourceEntry
    streams: tuple[StreamEntry, ...]
    parts: int


class Gathering:
    """Reads the sources of one snapshot into the writer."""

    def __init__(
        self, repository: Repository, writer: ChunkWriter, budget: Budget, reporter: Reporter, before: Before
    ) -> None:
        self._repository = repository
        self._writer = writer
        self._budget = budget
        self._reporter = reporter
        self._before = before

    def read_all(self, sources: Sequence[Source], probes: Sequence[Probe]) -> list[SourceRead]:
        """Prepare all sources, freeze them together, read them; anew while the instant moves away."""
        with contextlib.ExitStack() as stack:
            prepared: list[Prepared] = []
            for source in sources:
                prepared.append(source.prepare(self._before.points.get(source.name)))
                stack.callback(prepared[-1].close)
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return self._read_frozen(sources, probes, prepared)
                except InstantMovedError as error:
                    if attempt == ATTEMPTS:
                        raise
                    self._reporter.note(f"{error.message}; reading again at a later instant")
        raise AssertionError("the last attempt returns or raises")

    def _read_frozen(
        self, sources: Sequence[Source], probes: Sequence[Probe], prepared: Sequence[Prepared]
    ) -> list[SourceRead]:
        with contextlib.ExitStack() as stack:
            views: list[View] = []
            for one in prepared:
                views.append(one.freeze())
                stack.callback(views[-1].close)
            return [
                self._read_source(source, probe, view)
                for source, probe, view in zip(sources, probes, views, strict=True)
            ]

    def _read_source(self, source: Source, probe: Probe, view: View) -> SourceRead:
        streams = view.streams()
        # Parts join only where all of them read the same records, which a fuzzy source cannot promise.
        readers = self._budget.readers if probe.consistency is Consistency.EXACT else 1
        units = [
            unit for stream in streams if stream.has_records for unit in self._units(source, view, stream, readers)
        ]
        units.sort(key=lambda unit: -unit.stream.estimated_bytes)
        task = f"Reading {source.name}"
        self._reporter.start(task, sum(stream.estimated_bytes for stream in streams))
        try:
            intake = Intake(
                self._writer, self._budget, lambda size, records: self._reporter.advance(task, size, records)
            )
            lists = intake.read(view, units)
        finally:
            self._reporter.finish(task)
        settled = view.settle()
        for warning in settled.warnings:
            self._reporter.warn(f"{source.name}: {warning}")
        read: dict[str, list[PartList]] = {}
        for unit, part in zip(units, lists, strict=True):
            read.setdefault(unit.stream.name, []).append(part)
        entries = tuple(self._entry(source, stream, read.get(stream.name, []), settled) for stream in streams)
        return SourceRead(_source_entry(source, probe, view, settled), entries, len(units))

    def _units(self, source: Source, view: View, stream: StreamInfo, readers: int) -> Iterator[Unit]:
        rule = self._rule(source.name, stream)
        for part in self._parts(source, view, stream, readers):
            yield Unit(stream, part, rule)

    def _parts(self, source: Source, view: View, stream: StreamInfo, readers: int) -> Sequence[KeyRange]:
        if not stream.keyed:
            return [WHOLE]
        parts = view.split(stream, readers)
        if len(parts) == 1:
            return parts
        return self._before.parts(source.name, stream, len(parts)) or parts

    def _rule(self, source: str, stream: StreamInfo) -> CutRule:
        key = self._repository.keyring.cut_key
        threshold = self._before.threshold(source, stream)
        if threshold is not None:
            return CutRule(key, threshold)
        return CutRule.for_average(key, stream.estimated_bytes / max(1, stream.estimated_records))

    def _entry(self, source: Source, stream: StreamInfo, parts: list[PartList], settled: Settled) -> StreamEntry:
        return StreamEntry(
            source=source.name,
            name=stream.name,
            kind=stream.kind,
            identity=stream.identity,
            proof=stream.proof,
            consistency=settled.weaker.get(stream.name, settled.consistency),
            keyed=stream.keyed,
            has_records=stream.has_records,
            threshold=self._rule(source.name, stream).threshold,
            definition=self._writer.add(ChunkKind.PRIVATE, stream.definition),
            definition_length=len(stream.definition),
            root=self._pages(parts) if parts else None,
        )

    def _pages(self, parts: list[PartList]) -> PageRef | None:
        def put_bounds(bounds: bytes) -> bytes:
            id_ = self._writer.add(ChunkKind.PRIVATE, bounds)
            self._repository.state.keep_bounds(id_, bounds)
            return id_

        builder = PageBuilder(lambda page: self._writer.add(ChunkKind.CATALOG, page), put_bounds)
        for ref, bounds in joined(parts):
            builder.add(ref, bounds)
        return builder.finish()


def _source_entry(source: Source, probe: Probe, view: View, settled: Settled) -> SourceEntry:
    return SourceEntry(
        name=source.name,
        type=source.type,
        version=probe.version,
        topology=probe.topology,
        identity=probe.identity,
        instant=view.instant.astimezone(UTC).isoformat(),
        consistency=settled.consistency,
        point=view.point,
        warnings=_shortened((*probe.warnings, *settled.warnings)),
    )


def _shortened(warnings: Sequence[str]) -> tuple[str, ...]:
    """A manifest holds so many, and so much of each, that it never outgrows its limit; all were told while it ran."""
    kept = tuple(warning[:_LONGEST_WARNING] for warning in warnings[:_MOST_WARNINGS])
    more = len(warnings) - len(kept)
    return (*kept, f"… and {more} more warnings") if more else kept
