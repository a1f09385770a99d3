"""Reading all sources of a job at one instant each, and listing what was read."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from drtool.errors import InstantMovedError, RepositoryError, SourceError
from drtool.operations.backup.converging import ATTEMPTS
from drtool.operations.backup.coverage import NotKeptError
from drtool.operations.backup.emptied import emptied_since, warning
from drtool.operations.backup.failing import Failures
from drtool.operations.backup.freezing import Frozen, distance, freeze_together
from drtool.operations.backup.inheriting import Before
from drtool.operations.backup.remembering import memory_of
from drtool.operations.backup.rounds import Rounds, Tools, Tracked
from drtool.operations.overlaying import OVERLAY_SINCE
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import SourceEntry, StreamEntry
from drtool.sources.base import Probe, Source
from drtool.sources.cutting import CutRule
from drtool.sources.reading import Consistency, Prepared, Proof, Settled, StreamInfo, View

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


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was read of all sources, and the largest distance between their instants in seconds (None of one)."""

    reads: tuple[SourceRead, ...]
    distance: float | None


@dataclass(slots=True)
class _Reading:
    """A source on its way. ``frozen`` is its view in this round; ``moved`` counts the freezes that were in vain."""

    rounds: Rounds
    prepared: Prepared
    frozen: Frozen | None = None
    moved: int = 0

    @property
    def name(self) -> str:
        return self.rounds.source.name

    @property
    def follows(self) -> bool:
        """Can the source tell what changed, so that a later round reads less than the one before?"""
        return self.rounds.probe.consistency is Consistency.EXACT and self.rounds.source.log() is not None

    @property
    def view(self) -> View:
        assert self.frozen is not None  # nothing is read before it
        return self.frozen.view


class Gathering:
    """Reads the sources of one snapshot into the writer. `full_because` says why nothing can be taken over from the
    last snapshot; empty where something can. A source that fails is noted in `failures`, and the others are read.

    One source is read after the other, each with the whole budget: so many sources need no more memory than one.
    """

    def __init__(self, tools: Tools, full_because: str, failures: Failures) -> None:
        self._tools = tools
        self._full_because = full_because
        self._failures = failures

    def read_all(self, probed: Mapping[str, tuple[Source, Probe]]) -> Gathered:
        """Prepare all sources, freeze them together, read them; again, but what was read, while an instant moves.

        Where a source failed nothing is listed, for nothing is to be committed.
        """
        with contextlib.ExitStack() as stack:
            readings: list[_Reading] = []
            for name, (source, probe) in probed.items():
                rounds = Rounds(source, probe, self._tools, self._why_full(source))
                with self._failures.of(name):
                    readings.append(_Reading(rounds, self._prepare(source)))
                    stack.callback(readings[-1].prepared.close)
            return self._in_rounds(readings)

    def _prepare(self, source: Source) -> Prepared:
        source.remember_in(self._memory_of(source))
        previous = self._tools.before.source(source.name)
        return source.prepare(previous.point if previous is not None else None)

    def _memory_of(self, source: Source) -> Path:
        """A directory of this host for this source in this job."""
        state = self._tools.repository.state
        directory = memory_of(state.path.parent, self._tools.before.job, source.name)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RepositoryError(f"cannot make {directory}: {error.strerror or error}") from error
        return directory

    def _in_rounds(self, readings: Sequence[_Reading]) -> Gathered:
        # What follows its source by a log may need several rounds, and the others would be read anew in each.
        waiting = sorted(readings, key=lambda one: not one.follows)
        behind: list[_Reading] = []
        while True:
            now, is_alone = (behind, True) if behind else (waiting, False)
            with contextlib.ExitStack() as stack:
                if not self._freeze(now, stack):
                    continue
                is_whole = self._read(now)
                if is_alone or not is_whole:
                    # What follows catches up alone, in as many rounds as that takes; then all get an instant once more.
                    waiting = [one for one in waiting if one.name not in self._failures]
                    behind = [] if is_whole or len(waiting) == 1 else [one for one in now[:1] if one.follows]
                    continue
                if self._failures:
                    return Gathered((), None)
                listed = [self._listed_or_mended(one.rounds, one.view) for one in readings]
                frozen = [one.frozen for one in readings if one.frozen is not None]
                if all(listed):
                    return Gathered(tuple(read for read in listed if read is not None), distance(frozen))

    def _freeze(self, waiting: list[_Reading], stack: contextlib.ExitStack) -> bool:
        """A view of each; False where one could not be had this time. Those that fail do not wait any more."""
        found = freeze_together([one.prepared for one in waiting])
        for one in found:
            if isinstance(one, Frozen):
                stack.callback(one.view.close)
        for reading, one in zip(tuple(waiting), found, strict=True):
            reading.frozen = one if isinstance(one, Frozen) else None
            if isinstance(one, InstantMovedError) and reading.moved + 1 < ATTEMPTS:
                reading.moved += 1
            elif isinstance(one, SourceError):
                waiting.remove(reading)
                with self._failures.of(reading.name):
                    raise one
        return all(reading.frozen is not None for reading in waiting)

    def _read(self, waiting: list[_Reading]) -> bool:
        """A round of each; False where another is needed, of all: what was read is to be of one recovery point."""
        for reading in tuple(waiting):
            is_whole = None
            with self._failures.of(reading.name):
                is_whole = reading.rounds.read(reading.view)
            if not is_whole:
                waiting.remove(reading)
            if is_whole is False:
                waiting.insert(0, reading)  # the next round begins with what may need one more
                return False
        return True

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
        for told in settled.warnings:
            if told not in rounds.probe.warnings:
                self._tools.reporter.warn(f"{rounds.source.name}: {told}")
        streams = [
            self._entry(rounds, tracked.stream, tracked.rule, tracked) for tracked in rounds.tracked.values()
        ] + [self._entry(rounds, stream, rounds.rule(stream), None) for stream in rounds.unrecorded]
        emptied = self._emptied(rounds, streams)
        total = sum(entry.chunks for entry in streams if entry.keyed)
        if rounds.overlay is not None:
            streams.append(self._entry(rounds, rounds.overlay.stream, rounds.overlay.rule, rounds.overlay))
        return SourceRead(
            source=_source_entry(rounds, view, self._tools.before, emptied),
            streams=tuple(streams),
            ranges=Ranges(total, total - inherited, rounds.tally.checked),
            bytes=rounds.tally.read,
            missed=rounds.missed,
            has_overlay=rounds.overlay is not None,
        )

    def _emptied(self, rounds: Rounds, entries: Sequence[StreamEntry]) -> str:
        """The snapshot in which a source that holds nothing held something last, which is told."""
        infos = [*(tracked.stream for tracked in rounds.tracked.values()), *rounds.unrecorded]
        name, empty = rounds.source.name, _settled(rounds).empty
        found = emptied_since(self._tools.before, name, {info.name: info for info in infos}, entries, empty)
        if found:
            self._tools.reporter.warn(f"{name}: {warning(found, empty)}")
        return found

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


def _source_entry(rounds: Rounds, view: View, before: Before, emptied: str) -> SourceEntry:
    settled, probe = _settled(rounds), rounds.probe
    warnings = [warning(emptied, settled.empty)] if emptied else []
    warnings += [*probe.warnings, *settled.warnings]
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
        warnings=_shortened(tuple(dict.fromkeys(warnings))),
        increments=known.increments + 1 if known is not None and is_increment else 0,
        full_because="" if is_increment else rounds.full_because or rounds.nothing_kept,
        emptied=emptied,
    )


def _shortened(warnings: Sequence[str]) -> tuple[str, ...]:
    """A manifest holds so many, and so much of each, that it never outgrows its limit; all were told while it ran."""
    kept = tuple(warning[:_LONGEST_WARNING] for warning in warnings[:_MOST_WARNINGS])
    more = len(warnings) - len(kept)
    return (*kept, f"… and {more} more warnings") if more else kept
