"""Which moments can be reached: from a snapshot, through an archive without a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drtool.errors import OutOfReachError
from drtool.repository.archive import Archive, Stretch
from drtool.repository.chain import Snapshot
from drtool.repository.manifests import SourceEntry
from drtool.repository.segments import At
from drtool.sources.log import Anchor

AnchorOf = Callable[[Mapping[str, Any]], Anchor | None]
"""``Log.anchor``."""


@dataclass(frozen=True, slots=True)
class Base:
    """A snapshot that a stretch of the archive leads on from."""

    snapshot: Snapshot
    source: SourceEntry
    anchor: Anchor
    stretch: Stretch

    @property
    def first(self) -> datetime:
        """The first full second that it can be taken to."""
        return moment((self.anchor.ready[0] + 1, 0))

    @property
    def last(self) -> datetime:
        """The last one: what happened in the second after it may be archived only in part."""
        return moment(self.stretch.end.at)


@dataclass(frozen=True, slots=True)
class Range:
    """Every second from ``first`` to ``last``, both included, can be reached."""

    timeline: str
    first: datetime
    last: datetime
    snapshots: tuple[str, ...]


def moment(at: At) -> datetime:
    """The second of a place in a log."""
    return datetime.fromtimestamp(at[0], UTC)


def bases(archive: Archive, snapshots: Iterable[Snapshot], anchor_of: AnchorOf) -> list[Base]:
    """Every way from a snapshot into a stretch, by snapshot and then by timeline, the current one last.

    A snapshot belongs to a stretch that holds all from where its replay begins through its instant, if at the instant
    the stretch is in the snapshot's term, both are of one system, and the instant is none of another timeline, as far
    as that is known. What the entry at the instant itself says is for those to check who read it.
    """
    found: list[Base] = []
    for snapshot in snapshots:
        for source in snapshot.manifest.sources:
            anchor = anchor_of(source.point) if source.name == archive.source else None
            if anchor is not None:
                found += [
                    Base(snapshot, source, anchor, stretch)
                    for timeline in archive.timelines
                    for stretch in timeline.stretches
                    if _leads_on(stretch, anchor)
                ]
    return found


def _leads_on(stretch: Stretch, anchor: Anchor) -> bool:
    # The entry at `since` may be the first of a transaction: it must be archived, and `start` itself is not.
    if not stretch.start.at < anchor.since or stretch.end.at < anchor.at.at:
        return False
    for one in stretch.within(anchor.at.at, anchor.at.at):
        segment = one.segment
        if not segment.start.term <= anchor.at.term <= segment.end.term:
            return False
        if anchor.identity and segment.identity and anchor.identity != segment.identity:
            return False
        if segment.foreign is not None and segment.foreign[0] <= anchor.at.at <= segment.foreign[1]:
            return False
    return True


def ranges(found: Sequence[Base]) -> list[Range]:
    """What can be reached, by timeline and time: one range for each stretch that has a base."""
    by_stretch: dict[tuple[str, At], list[Base]] = {}
    for base in found:
        by_stretch.setdefault((base.stretch.timeline, base.stretch.start.at), []).append(base)
    made = []
    for group in by_stretch.values():
        first, last = min(base.first for base in group), group[0].last
        if first <= last:
            snapshots = tuple(dict.fromkeys(base.snapshot.id for base in group))
            made.append(Range(group[0].stretch.timeline, first, last, snapshots))
    return sorted(made, key=lambda one: (one.first, one.last))


def reaching(archive: Archive, found: Sequence[Base], wanted: At, what: str) -> list[Base]:
    """The bases that lead up to (not including) the place `wanted`: first the one from which least is to be replayed;
    of several timelines the current one. `what` is what the operator asked for.

    ``OutOfReachError`` names the ranges there are, and what is in the way.
    """
    fitting = [base for base in found if base.anchor.ready < wanted <= base.stretch.end.at]
    if not fitting:
        raise _out_of_reach(archive, found, wanted, what)
    order = {timeline.id: number for number, timeline in enumerate(archive.timelines)}

    def nearness(base: Base) -> tuple[At, int, int]:
        return base.anchor.at.at, base.snapshot.manifest.number, order[base.stretch.timeline]

    return sorted(fitting, key=nearness, reverse=True)


def _out_of_reach(archive: Archive, found: Sequence[Base], wanted: At, what: str) -> OutOfReachError:
    source = archive.source
    choices = _choices(ranges(found))
    if not any(timeline.stretches for timeline in archive.timelines):
        return OutOfReachError(
            f"{what} cannot be reached: no log of {source} is archived",
            hint="Archive it from now on with: drtool pitr capture",
        )
    newest = max(timeline.newest.segment.end.at for timeline in archive.timelines)
    if wanted > newest:
        return OutOfReachError(
            f"{what} cannot be reached: the log of {source} is archived up to {moment(newest).isoformat()}",
            hint=f"If the source still answers, archive the rest with drtool pitr capture. {choices}",
        )
    return OutOfReachError(f"{what} cannot be reached: {_obstacle(archive, found, wanted)}", hint=choices)


def _obstacle(archive: Archive, found: Sequence[Base], wanted: At) -> str:
    """What is between the snapshots and a place that the archive reaches up to."""
    for base in found:
        if base.anchor.at.at < wanted <= base.anchor.ready:
            return (
                f"capped collections of snapshot {base.snapshot.id} were read up to"
                f" {moment(base.anchor.ready).isoformat()} only, and no earlier snapshot leads there"
            )
    earlier = [base for base in found if base.stretch.end.at < wanted]
    for base in sorted(earlier, key=lambda base: base.stretch.end.at, reverse=True):
        for before, after in _gaps(archive):
            if before == base.stretch.end.at:
                return (
                    f"the archived log of {archive.source} has a gap from {moment(before).isoformat()} to"
                    f" {moment(after).isoformat()}; the last moment before it is {base.last.isoformat()}"
                )
    if found and not earlier:
        first = min(found, key=lambda base: base.anchor.at.at)
        later = f"snapshot {first.snapshot.id}, of {moment(first.anchor.at.at).isoformat()}, is later"
        others = len({base.snapshot.id for base in found}) > 1
        return f"{later}, and the first that leads into the archived log" if others else later
    between = [gap for gap in _gaps(archive) if gap[0] < wanted]
    if between:
        before, after = max(between)
        return (
            f"no snapshot of {archive.source} leads there through the archived log, which has a gap from"
            f" {moment(before).isoformat()} to {moment(after).isoformat()}"
        )
    return f"no snapshot of {archive.source} leads there through the archived log"


def _gaps(archive: Archive) -> Iterator[tuple[At, At]]:
    for timeline in archive.timelines:
        for before, after in timeline.gaps():
            yield before.at, after.at


def _choices(reachable: Sequence[Range]) -> str:
    if not reachable:
        return "Nothing can be reached by the archived log: take a snapshot, then let drtool pitr capture go on."
    told = "; ".join(f"{one.first.isoformat()} to {one.last.isoformat()}" for one in reachable)
    return f"Any second can be reached from {told}."
