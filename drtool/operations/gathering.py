"""Reading all sources of a job at one instant each, and listing what was read."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from drtool.errors import InstantMovedError
from drtool.operations.converging import ATTEMPTS
from drtool.operations.coverage import NotKeptError
from drtool.operations.inheriting import Before
from drtool.operations.overlaying import OVERLAY_SINCE
from drtool.operations.rounds import Rounds, Tools, Tracked
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import SourceEntry, StreamEntry
from drtool.sources.base import Consistency, Prepared, Probe, Proof, Settled, Source, StreamInfo, View
from drtool.sources.cutting import CutRule

_MOST_WARNINGS = 20
_LONGEST_WARNING = 400


@dataclass(frozen=True, slots=True)
class Ranges:
    """How many chunks the keyed streams have, how many of them were read in this run, and how many of the others were
    read to compare them."""

    total: int = 0
    read: int = 0
    checked: int = 0

    def __add__(self, other: Ranges) -> Ranges:
        return Ranges(self.total + other.total, self.read + other.read, self.checked + other.checked)


@dataclass(frozen=True, slots=True)
class SourceRead:
    """What was read of one source, in ``bytes`` (all rounds together). ``missed`` are the streams of which the source
    did not tell a change; snapshots since the last full read may lack such changes."""

    source: SourceEntry
    streams: tuple[StreamEntry, ...]
    ranges: Ranges
    bytes: int
    missed: tuple[str, ...]
    has_overlay: bool


class Gathering:
    """Reads the sources of one snapshot into the writer. `full_because` says why nothing can be taken over from the
    last snapshot; empty where something can."""

    def __init__(self, tools: Tools, full_because: str) -> None:
        self._tools = tools
        self._full_because = full_because

    def read_all(self, sources: Sequence[Source], probes: Sequence[Probe]) -> list[SourceRead]:
        """Prepare all sources, freeze them together, read them; again, but what was read, while the instant moves."""
        rounds = [Rounds(s, p, self._tools, self._why_full(s)) for s, p in zip(sources, probes, strict=True)]
        with contextlib.ExitStack() as stack:
            prepared: list[Prepared] = []
            for source in sources:
                previous = self._tools.before.source(source.name)
                prepared.append(source.prepare(previous.point if previous is not None else None))
                stack.callback(prepared[-1].close)
            return self._in_rounds(rounds, prepared)

    def _in_rounds(self, rounds: Sequence[Rounds], prepared: Sequence[Prepared]) -> list[SourceRead]:
        unfrozen = 0
        while True:
            with contextlib.ExitStack() as stack:
                views: list[View] = []
                try:
                    for one in prepared:
                        views.append(one.freeze())
                        stack.callback(views[-1].close)
                except InstantMovedError:
                    unfrozen += 1
                    if unfrozen == ATTEMPTS:
                        raise
                    continue
                if not all(one.read(view) for one, view in zip(rounds, views, strict=True)):
                    continue
                listed = [self._listed_or_mended(one, view) for one, view in zip(rounds, views, strict=True)]
                if all(listed):
                    return [read for read in listed if read is not None]

    def _why_full(self, source: Source) -> str:
        return self._tools.before.why_full(source.name, self._tools.thoroughness) or self._full_because

    def _listed_or_mended(self, rounds: Rounds, view: View) -> SourceRead | None:
        """What was read; None where another round is needed, because pages were to be taken apart that are damaged."""
        try:
            return self._listed(rounds, view)
        except NotKeptError as error:
            rounds.mend(error)
            return None

    def _listed(self, rounds: Rounds, view: View) -> SourceRead:
        settled, inherited = _settled(rounds), rounds.inherited
        for warning in settled.warnings:
            self._tools.reporter.warn(f"{rounds.source.name}: {warning}")
        streams = [
            self._entry(rounds, tracked.stream, tracked.rule, tracked) for tracked in rounds.tracked.values()
        ] + [self._entry(rounds, stream, rounds.rule(stream), None) for stream in rounds.unrecorded]
        total = sum(entry.chunks for entry in streams if entry.keyed)
        if rounds.overlay is not None:
            streams.append(self._entry(rounds, rounds.overlay.stream, rounds.overlay.rule, rounds.overlay))
        return SourceRead(
            source=_source_entry(rounds, view, self._tools.before),
            streams=tuple(streams),
            ranges=Ranges(total, total - inherited, rounds.tally.checked),
            bytes=rounds.tally.read,
            missed=rounds.missed,
            has_overlay=rounds.overlay is not None,
        )

    def _entry(self, rounds: Rounds, stream: StreamInfo, rule: CutRule, tracked: Tracked | None) -> StreamEntry:
        settled = _settled(rounds)
        consistency = settled.weaker.get(stream.name, settled.consistency)
        if tracked is not None and (tracked.stale or tracked is rounds.overlay):
            consistency = Consistency.OVERLAY
        return StreamEntry(
            source=rounds.source.name,
            name=stream.name,
            kind=stream.kind,
            identity=stream.identity,
            proof=Proof.TOLERANT if consistency is Consistency.OVERLAY else stream.proof,
            consistency=consistency,
            keyed=stream.keyed,
            has_records=stream.has_records,
            threshold=rule.threshold,
            definition=self._tools.writer.add(ChunkKind.PRIVATE, stream.definition),
            definition_length=len(stream.definition),
            root=self._tools.pages.build(tracked.coverage) if tracked is not None else None,
            fine=rule.fine,
            beside=stream.beside,
        )


def _settled(rounds: Rounds) -> Settled:
    assert rounds.settled is not None  # the last round ended with it
    return rounds.settled


def _source_entry(rounds: Rounds, view: View, before: Before) -> SourceEntry:
    settled, probe = _settled(rounds), rounds.probe
    known = before.source(rounds.source.name)
    is_increment = rounds.inherited > 0 and known is not None
    point: Mapping[str, Any] = view.point
    if rounds.overlay is not None:
        point = {**point, OVERLAY_SINCE: rounds.overlay_since}
    return SourceEntry(
        name=rounds.source.name,
        type=rounds.source.type,
        version=probe.version,
        topology=probe.topology,
        identity=probe.identity,
        instant=view.instant.astimezone(UTC).isoformat(),
        consistency=Consistency.OVERLAY if rounds.overlay is not None else settled.consistency,
        point=point,
        warnings=_shortened((*probe.warnings, *settled.warnings)),
        increments=known.increments + 1 if known is not None and is_increment else 0,
        full_because="" if is_increment else rounds.full_because or rounds.nothing_kept,
    )


def _shortened(warnings: Sequence[str]) -> tuple[str, ...]:
    """A manifest holds so many, and so much of each, that it never outgrows its limit; all were told while it ran."""
    kept = tuple(warning[:_LONGEST_WARNING] for warning in warnings[:_MOST_WARNINGS])
    more = len(warnings) - len(kept)
    return (*kept, f"… and {more} more warnings") if more else kept
