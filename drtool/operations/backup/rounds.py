"""Reading one source in rounds: what was read stays, what changed since is read again at a later instant.

The first round of an increment begins with the last snapshot's chunks, that of a full read with nothing. Each round has
a view of its own. What is kept from before is made true of the view's instant by asking the source what changed and
reading that again; where the instant passes away while gaps are read, the next round goes on with those that are left.
Where changes come faster than they are read, the rounds only fill the gaps, and an overlay, the changes themselves, is
added to the snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from drtool.errors import InstantMovedError, SourceError, WindowPassedError
from drtool.operations.backup.checking import Subject, check
from drtool.operations.backup.converging import ATTEMPTS, Pace
from drtool.operations.backup.coverage import Coverage, Gap, Groups, NotKeptError, Part, UnjoinedError
from drtool.operations.backup.inheriting import Before, Thoroughness, untold
from drtool.operations.backup.intake.intake import Intake
from drtool.operations.backup.intake.units import Taken, Unit
from drtool.operations.backup.keeping import Pages
from drtool.operations.backup.relying import NO_FOOTING
from drtool.operations.budget import Budget
from drtool.operations.reporting import Reporter
from drtool.repository.keyring import ChunkKind
from drtool.repository.repository import Repository
from drtool.repository.writer import ChunkWriter
from drtool.sources.base import Probe, Source
from drtool.sources.cutting import CutRule
from drtool.sources.reading import WHOLE, Consistency, KeyRange, Settled, SharedView, SortingView, StreamInfo, View

if TYPE_CHECKING:
    from drtool.operations.backup.intake.helpers import Helpers, Reading

_Moved = InstantMovedError | None
#: Parts come from a sample and differ in size: with several of them no reader is left alone for long with the last.
_PARTS_PER_READER = 4
#: So many bytes are read here in the time that helpers need to connect.
_WORTH_HELP = 64_000_000
#: Of so much of a stream many ranges cost more than all of it does, where its source does not keep it in order.
_MOST_MISSING = 0.5
_ALL_CHANGED = "no range of the last snapshot is unchanged"


@dataclass(frozen=True, slots=True)
class Tools:
    """What all sources of a run are read with."""

    repository: Repository
    writer: ChunkWriter
    pages: Pages
    before: Before
    thoroughness: Thoroughness
    budget: Budget
    reporter: Reporter
    helpers: Helpers | None = None


@dataclass(slots=True)
class Tracked:
    """A stream, and what is known of it. ``stale`` says that parts of it are of an earlier instant than others."""

    stream: StreamInfo
    rule: CutRule
    coverage: Coverage
    stale: bool = False


@dataclass(slots=True)
class Tally:
    """What the rounds of one source did: bytes read, those of them that were kept, chunks read only to compare them."""

    read: int = 0
    kept: int = 0
    checked: int = 0


class Rounds:
    """The rounds of one source. ``full_because`` says why nothing is taken over from the last snapshot, if it is so,
    ``nothing_kept`` where that only turned out. ``missed`` are the streams of which the source did not tell a change,
    found in this run or in one before it that committed nothing."""

    def __init__(self, source: Source, probe: Probe, tools: Tools, full_because: str) -> None:
        self.source, self.probe = source, probe
        self.full_because = full_because
        self.nothing_kept = NO_FOOTING if tools.before.lost else _ALL_CHANGED
        self.missed = tools.before.missed(source.name)
        self.tally = Tally()
        self.tracked: dict[tuple[str, str], Tracked] = {}
        self.unrecorded: list[StreamInfo] = []
        self.overlay: Tracked | None = None
        self.overlay_since: Mapping[str, Any] | None = None
        self.settled: Settled | None = None
        self._tools = tools
        self._pace = Pace()
        self._can_tell = True
        self._restarts = self._mended = 0
        known = None if full_because else tools.before.source(source.name)
        self._since: Mapping[str, Any] | None = known.point if known is not None else None

    @property
    def inherited(self) -> int:
        """How many chunks are taken over from the last snapshot."""
        return sum(tracked.coverage.inherited for tracked in self.tracked.values())

    def read(self, view: View) -> bool:
        """One round; False where another is needed. Raises ``InstantMovedError`` where it came too often."""
        before = self.tally.kept
        try:
            self._follow(view)
            if not (self._fill(view) and self._holds(view)):
                return False
            self._read_overlay(view)
            self.settled = view.settle()
        except InstantMovedError as error:
            self._go_on(error, self.tally.kept - before)
            return False
        except NotKeptError as error:
            self.mend(error)
            return False
        self._pace.end(self.tally.kept - before, None)
        return True

    def mend(self, error: NotKeptError) -> None:
        """The local state is damaged: the next round reads all that it no longer gives."""
        lost = sum(tracked.coverage.give_up_lost() for tracked in self.tracked.values())
        self._warn_of_state(f"{error.message}; what its damaged pages ({lost}) stand for is read again")
        self._mended += 1
        if self._mended > ATTEMPTS:
            self._start_over(self.nothing_kept)

    def _warn_of_state(self, text: str) -> None:
        self.nothing_kept = "the local state is damaged"
        self._tools.reporter.warn(f"{self.source.name}: {text}")

    def _go_on(self, error: InstantMovedError, kept: int) -> None:
        reporter, name = self._tools.reporter, self.source.name
        if self._pace.end(kept, error) or self.overlay_since is not None:
            if self._pace.stands and isinstance(error, WindowPassedError):
                raise _standing(name, error)
            reporter.note(f"{name}: {error.message}; going on at a later instant with what is left")
            return
        if self._pace.stands or not self._can_tell:
            raise _standing(name, error)
        self.overlay_since = self._since
        reporter.warn(
            f"{name}: records change faster than they can be read at one instant ({error.message});"
            " the snapshot carries the changes made meanwhile, and a restore replays them"
        )

    # --- following the source to the view's instant ---------------------------------------------

    def _follow(self, view: View) -> None:
        """Make what is kept true of the view's instant."""
        self._match(view.streams())
        groups: dict[str, Groups] = {}
        for tracked in self.tracked.values():
            kept = tracked.coverage.groups()
            if kept is None:
                tracked.coverage = self._nothing(tracked.stream)
            else:
                groups[tracked.stream.name] = kept
        lost = 0
        self._can_tell = True
        if groups and self._since is not None:
            first = not self._pace.rounds
            changes = view.changes(self._since, groups)
            if changes.full_because:
                self._can_tell = False
                lost = self._start_over(changes.full_because)
            for tracked in [] if changes.full_because else self.tracked.values():
                name = tracked.stream.name
                touched = changes.touched.get(name, {})
                if name in changes.full:
                    self._tools.reporter.note(f"{self.source.name}: {name} is read whole: {changes.full[name]}")
                    tracked.coverage = self._nothing(tracked.stream)
                    tracked.stale = False
                elif self.overlay_since is not None:
                    tracked.stale = tracked.stale or (name in groups and groups[name].kept(touched))
                elif touched:
                    lost += tracked.coverage.drop(touched)
            lost = 0 if first else lost
        self._pace.begin(lost)
        self._since = view.point

    def _match(self, streams: Sequence[StreamInfo]) -> None:
        """Find the streams of a view among those that are known; drop those that are gone."""
        known, self.tracked = self.tracked, {}
        self.unrecorded = [stream for stream in streams if not stream.has_records]
        for stream in streams:
            if not stream.has_records:
                continue
            key = ("identity", stream.identity) if stream.identity else ("name", stream.name)
            tracked = known.get(key)
            if tracked is None:
                tracked = Tracked(stream, self.rule(stream), self._beginning(stream))
            elif not stream.keyed:
                tracked = Tracked(stream, tracked.rule, self._nothing(stream))
            tracked.stream = stream
            self.tracked[key] = tracked

    def _beginning(self, stream: StreamInfo) -> Coverage:
        entry = None if self.full_because or self._pace.rounds else self._tools.before.stream(self.source.name, stream)
        try:
            leaves = self._tools.pages.leaves(entry.root) if entry is not None else None
            if leaves and self._tools.before.lost:
                return self._tools.pages.without(leaves, self._tools.before.lost)
        except NotKeptError as error:
            self._warn_of_state(f"{error.message}; {stream.name} is read whole")
            leaves = None
        if not leaves:
            return self._nothing(stream)
        return Coverage(leaves, self._tools.pages.expand)

    def _nothing(self, stream: StreamInfo) -> Coverage:
        return Coverage([Gap(None, stream.estimated_bytes)], self._tools.pages.expand)

    def _start_over(self, reason: str) -> int:
        """Read everything; returns the bytes that are lost."""
        self._restarts += 1
        if self._restarts > ATTEMPTS:
            raise SourceError(f"{self.source.name}: the rounds of reading come to no end: {reason}")
        self.full_because = self.full_because or reason
        for tracked in self.tracked.values():
            tracked.coverage, tracked.stale = self._nothing(tracked.stream), False
        self.overlay_since = None
        return self.tally.kept

    def rule(self, stream: StreamInfo) -> CutRule:
        """The cut rule of a stream: the one it had, else one that suits its size."""
        key = self._tools.repository.keyring.cut_key
        known = self._tools.before.cut(self.source.name, stream)
        if known is not None:
            return CutRule(key, *known)
        average = stream.estimated_bytes / max(1, stream.estimated_records)
        return CutRule.for_average(key, average, fine=stream.fine)

    # --- filling the gaps -----------------------------------------------------------------------

    def _fill(self, view: View) -> bool:
        """Read the gaps; what was read before the instant moved away is put in, too. False where it does not fit what
        is kept: then nothing is."""
        self._read_whole(view)
        asked = [
            (tracked, place, unit, size)
            for tracked in self.tracked.values()
            for place, part, gap in tracked.coverage.gaps()
            for unit, size in self._units(view, tracked, part, gap)
        ]
        taken, moved = self._take(view, [unit for _, _, unit, _ in asked], [size for *_, size in asked])
        parts: dict[str, dict[int, list[Part]]] = {}
        for (tracked, place, unit, size), found in zip(asked, taken, strict=True):
            part = Part(unit.part, found.chunks, found.complete, size)
            parts.setdefault(tracked.stream.name, {}).setdefault(place, []).append(part)
        for tracked in self.tracked.values():
            try:
                self.tally.kept += tracked.coverage.fill(parts.get(tracked.stream.name, {}))
            except UnjoinedError as error:
                self._give_up(tracked, error)
                return False
        if moved is not None:
            raise moved
        return True

    def _read_whole(self, view: View) -> None:
        """Streams of which most is missing, where all of it costs less."""
        for tracked in self.tracked.values() if self.overlay_since is None else ():
            stream, coverage = tracked.stream, tracked.coverage
            most = coverage.missing >= _MOST_MISSING * stream.estimated_bytes and coverage.groups() is not None
            if stream.keyed and most and _sorts(view, stream):
                if self.nothing_kept == _ALL_CHANGED:
                    self.nothing_kept = "most ranges changed, and reading all of them costs less"
                tracked.coverage = self._nothing(stream)

    def _give_up(self, tracked: Tracked, error: UnjoinedError) -> None:
        """Something changed that the source did not tell: since the last snapshot, or between two rounds."""
        if tracked.coverage.inherited:
            self._start_over_for((tracked.stream.name,))
            return
        reason = f"{tracked.stream.name}: {error}"
        self._tools.reporter.warn(f"{self.source.name}: {reason}; everything is read again")
        self._start_over(reason)

    def _units(self, view: View, tracked: Tracked, part: KeyRange, size: int) -> Iterator[tuple[Unit, int]]:
        parts = self._parts(view, tracked.stream) if part == WHOLE and tracked.stream.keyed else [part]
        for each in parts:
            # What is kept of a stale stream belongs to other instants: then no part reads on into it.
            yield Unit(tracked.stream, replace(each, strict=tracked.stale), tracked.rule), size // len(parts)

    def _parts(self, view: View, stream: StreamInfo) -> Sequence[KeyRange]:
        # Parts join only where all of them read the same records, which a fuzzy source cannot promise.
        readers = self._tools.budget.readers if self.probe.consistency is Consistency.EXACT else 0
        parts = view.split(stream, max(1, readers * _PARTS_PER_READER))
        entry = self._tools.before.stream(self.source.name, stream) if len(parts) > 1 else None
        # Where nothing changed, parts that begin where chunks began store none that no snapshot refers to.
        known = (self._tools.pages.parts(entry.root, len(parts)) if entry is not None else None) or ()
        return [replace(each, together=_sorts(view, stream)) for each in known] or parts

    def _take(self, view: View, units: Sequence[Unit], sizes: Sequence[int]) -> tuple[list[Taken], _Moved]:
        """What was read of each unit; the large ones first, so that no reader is left alone with one.

        Of one stream the last part is the first: where ids ascend it turned out up to four times as large as others.
        """
        if not units:
            return [], None
        task, reporter = f"Reading {self.source.name}", self._tools.reporter
        order = sorted(range(len(units)), key=lambda number: (-sizes[number], -number))
        intake = Intake(
            lambda data: self._tools.writer.add(ChunkKind.DATA, data),
            self._tools.budget,
            lambda size: reporter.advance(task, size),
        )
        reporter.start(task, sum(sizes))
        try:
            with self._helped(view, sizes) as elsewhere:
                found = intake.read(view, [units[number] for number in order], elsewhere)
        finally:
            reporter.finish(task)
        self.tally.read += sum(sum(taken.chunks.lengths) for taken in found)
        return [taken for _, taken in sorted(zip(order, found, strict=True), key=lambda one: one[0])], intake.moved

    def _helped(self, view: View, sizes: Sequence[int]) -> AbstractContextManager[Reading | None]:
        """Helpers, where they are worth it: for much, of which nothing is stored yet."""
        tools = self._tools
        is_first = tools.before.source(self.source.name) is None
        if tools.helpers is None or not is_first or sum(sizes) < _WORTH_HELP or not isinstance(view, SharedView):
            return nullcontext()
        id_key = tools.repository.keyring.chunk_id_key(ChunkKind.DATA)
        return tools.helpers.reading(view, id_key, partial(tools.writer.add_packed, ChunkKind.DATA))

    def _read_overlay(self, view: View) -> None:
        """Where streams have parts of several instants: what brings them to the view's."""
        self.overlay = None
        if self.overlay_since is None or not any(tracked.stale for tracked in self.tracked.values()):
            return
        stream = view.overlay(self.overlay_since)
        overlay = Tracked(stream, self.rule(stream), self._nothing(stream))
        [taken], moved = self._take(view, [Unit(stream, WHOLE, overlay.rule)], [stream.estimated_bytes])
        if moved is not None:
            raise moved
        overlay.coverage.fill({0: [Part(WHOLE, taken.chunks, taken.complete, 0)]})
        self.overlay = overlay

    # --- the check ------------------------------------------------------------------------------

    def _holds(self, view: View) -> bool:
        """Is a random share of what is taken over as it was? If not, nothing is taken over."""
        subjects = [
            Subject(tracked.stream, tracked.rule, tracked.coverage)
            for tracked in self.tracked.values()
            if tracked.coverage.inherited and not tracked.stale
        ]
        checked = check(
            view, subjects, self._tools.thoroughness.check, self._tools.repository.keyring, self._tools.budget
        )
        self.tally.checked = checked.chunks
        self.tally.read += checked.bytes
        if not checked.differing:
            if checked.chunks < checked.wanted:
                self._tools.reporter.warn(
                    f"{self.source.name}: only {checked.chunks} of {checked.wanted} ranges were checked before the"
                    " server's window passed; a smaller share (check in the job) or a larger window would do"
                )
            return True
        self._start_over_for(checked.differing)
        return False

    def _start_over_for(self, missed: tuple[str, ...]) -> None:
        """Read everything, because the source did not tell of changes in these streams."""
        self.missed = missed
        # First of all: should this run fail, the next one must not start from what is known to be wrong.
        self._tools.before.note_missed(self.source.name, missed)
        reason = untold(missed)
        self._tools.reporter.warn(
            f"{self.source.name}: {reason}: records that were unchanged by all signs are other ones; everything is read"
        )
        self.full_because = ""
        self._start_over(reason)


def _sorts(view: View, stream: StreamInfo) -> bool:
    return isinstance(view, SortingView) and view.sorts(stream)


def _standing(source: str, error: InstantMovedError) -> InstantMovedError:
    """That rounds lead nowhere, with what would help."""
    if not isinstance(error, WindowPassedError):
        return error
    return WindowPassedError(
        f"{source}: round after round the instant passed before anything could be read: {error.message}",
        hint="Raise the server's minSnapshotHistoryWindowInSeconds (300 by default), the source's bandwidth, or"
        " limits.readers.",
    )
