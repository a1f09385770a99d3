"""What stays whatever the policy says: reasons that stand above it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from drtool.operations.catalogue import Known
from drtool.repository.chain import ChainKey, Snapshot
from drtool.repository.levels import Level
from drtool.repository.pins import Pin
from drtool.repository.presence import Registered

#: A snapshot that claims to be this much later than the store's clock tells nothing about its age.
SKEW = timedelta(hours=1)
#: Before this nobody took any; times of the first and the last years have no place in other zones.
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
#: Runs on which somebody waits for a snapshot's data, or that cannot be read. The registration names the job, not the
#: snapshot: all of the job's stay.
_READING = frozenset({"restore", "export", "unknown"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the guards look at beside the snapshots: pins that hold, runs that are alive, the store's clock, and when by
    that clock manifests were stored, by snapshot id; a copy's are not among these, because they tell nothing of it."""

    known: Known
    pins: Sequence[Pin]
    running: Sequence[Registered]
    now: datetime
    stored: Mapping[str, datetime] = field(default_factory=dict)

    def taken(self, snapshot: Snapshot) -> datetime:
        """When a snapshot was taken, with the offset of its host: what the policy counts by.

        What claimed a time that the store's clock had not reached when it was stored, was taken when it was stored.
        """
        claimed = taken_at(snapshot)
        stored = self.stored.get(snapshot.id, claimed)
        return stored.astimezone(claimed.tzinfo) if claimed - stored > SKEW else claimed

    def doubtful(self, snapshot: Snapshot) -> bool:
        """Is it suspect, or did the last verification of it fail? Whoever holds an agent's key can say so of any."""
        return self.known.is_suspect(snapshot) or self.known.level(snapshot).last_failed


def taken_at(snapshot: Snapshot) -> datetime:
    """When a snapshot says that it was taken."""
    return datetime.fromisoformat(snapshot.manifest.created)


def newest_first(snapshots: Iterable[Snapshot], around: Surroundings) -> list[Snapshot]:
    """By time and, within one moment, by number."""
    return sorted(snapshots, key=lambda s: (around.taken(s), s.manifest.number), reverse=True)


def unplaced(snapshots: Sequence[Snapshot], around: Surroundings) -> dict[str, str]:
    """Those whose time cannot be right, by id, and why: the policy does not count them, so that they push nothing out.

    In the future by the store's clock; or dated back: earlier than one with a lower number in the same signed chain, or
    than one that was in the store before it. Somebody who dates a new snapshot back cannot avoid the first, and with a
    key that has no chain yet not the second.
    """
    found: dict[str, str] = {}
    chains: dict[ChainKey, list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        ahead = max(taken_at(snapshot), datetime.fromisoformat(snapshot.manifest.instant)) - around.now
        if ahead > SKEW:
            found[snapshot.id] = "its time is later than the store's clock"
        elif taken_at(snapshot) < _FIRST:
            found[snapshot.id] = f"its time is before the year {_FIRST.year}"
        else:
            chains[snapshot.chain].append(snapshot)
    placed = [snapshot for chain in chains.values() for snapshot in chain]
    found |= dict.fromkeys(_overtaken(placed, around), "its time is earlier than that of a snapshot stored before it")
    for chain in chains.values():
        latest: datetime | None = None
        for snapshot in sorted(chain, key=lambda s: s.manifest.number):
            taken = around.taken(snapshot)
            if latest is not None and latest - taken > SKEW:
                found[snapshot.id] = "its time is earlier than that of a snapshot before it"
            else:
                latest = taken if latest is None else max(latest, taken)
    return found


def _overtaken(snapshots: Iterable[Snapshot], around: Surroundings) -> Iterator[str]:
    """The ids of those that were stored well after one with a later time. Of a repository that was moved all were
    stored at about one time, so that none was."""
    ordered = sorted((around.stored[s.id], around.taken(s), s.id) for s in snapshots if s.id in around.stored)
    latest, earlier = None, 0
    for stored, taken, id_ in ordered:
        while stored - ordered[earlier][0] > SKEW:
            latest = max(latest or ordered[earlier][1], ordered[earlier][1])
            earlier += 1
        if latest is not None and latest - taken > SKEW:
            yield id_


def guarded(
    snapshots: Sequence[Snapshot], sources: Collection[str] | None, around: Surroundings
) -> Mapping[str, tuple[str, ...]]:
    """Why snapshots of one job stay, by id; ``sources`` are those that a complete snapshot of the job holds.

    With None, none stays for being the newest.
    """
    found: dict[str, list[str]] = defaultdict(list)
    wrong = unplaced(snapshots, around)
    for id_, why in wrong.items():
        found[id_].append(why)
    placed = newest_first((s for s in snapshots if s.id not in wrong), around)
    newest = () if sources is None else _newest(placed, sources, around)
    for snapshot, why in (*newest, *_pinned(snapshots, around), *_read(snapshots, around)):
        found[snapshot.id].append(why)
    return {id_: tuple(dict.fromkeys(reasons)) for id_, reasons in found.items()}


def _newest(
    ordered: Sequence[Snapshot], sources: Collection[str], around: Surroundings
) -> Iterator[tuple[Snapshot, str]]:
    yield from ((s, "newest snapshot") for s in ordered[:1])
    yield from _emptied(ordered, sources)
    yield from _best([s for s in ordered if not around.doubtful(s)], sources, around)
    # A doubt never takes a guard away from a snapshot: it gives one to another, too.
    yield from (
        (s, f"{why}, though it is suspect or failed a check")
        for s, why in _best(ordered, sources, around)
        if around.doubtful(s)
    )


def _best(
    ordered: Sequence[Snapshot], sources: Collection[str], around: Surroundings
) -> Iterator[tuple[Snapshot, str]]:
    complete = [s for s in ordered if {source.name for source in s.manifest.sources}.issuperset(sources)]
    yield from ((s, "newest complete snapshot") for s in complete[:1])
    for name in () if complete else sorted(sources):
        held = [s for s in ordered if any(source.name == name for source in s.manifest.sources)]
        yield from ((s, f"newest snapshot of {name}") for s in held[:1])
    for level in (Level.READABLE, Level.RESTORED):
        reached = [s for s in complete if around.known.level(s).level >= level] or [
            s for s in ordered if around.known.level(s).level >= level
        ]
        yield from ((s, f"newest verified snapshot ({level.label})") for s in reached[:1])


def _emptied(ordered: Sequence[Snapshot], sources: Collection[str]) -> Iterator[tuple[Snapshot, str]]:
    """Where a source holds nothing since, the snapshot in which it held something last: nobody may have seen it yet."""
    by_id = {snapshot.id: snapshot for snapshot in ordered}
    for source in ordered[0].manifest.sources if ordered else ():
        if source.name in sources and source.emptied in by_id:
            yield by_id[source.emptied], f"newest snapshot in which {source.name} is not empty"


def _pinned(snapshots: Sequence[Snapshot], around: Surroundings) -> Iterator[tuple[Snapshot, str]]:
    by_hash = {snapshot.hash: snapshot for snapshot in snapshots}
    by_id = {snapshot.id: snapshot for snapshot in snapshots}
    for pin in around.pins:
        # By either: a pin that names another object under this id is none that can be passed over.
        snapshot = by_hash.get(pin.hash) or by_id.get(pin.snapshot)
        if snapshot is not None and pin.holds(around.now):
            until = "" if pin.until is None else f" until {pin.until.isoformat()}"
            yield snapshot, f"protected{until}: {pin.reason}"


def _read(snapshots: Sequence[Snapshot], around: Surroundings) -> Iterator[tuple[Snapshot, str]]:
    for run in around.running:
        if run.kind in _READING:
            where = f" on {run.host}" if run.host else ""
            for snapshot in snapshots:
                if run.job in ("", snapshot.manifest.job):
                    yield snapshot, f"a run that reads ({run.kind}) goes on{where}"
