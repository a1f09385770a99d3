"""The plan: a decision about every snapshot, what goes with those that go, and what stands against going on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from drtool.config.jobs import Job
from drtool.config.rules import Rules
from drtool.config.spans import Span
from drtool.errors import DrtoolError, HiddenObjectError, PermissionDeniedError, RolledBackError, TamperedError
from drtool.operations.catalogue import Known, read_known
from drtool.operations.retention.guards import (
    SKEW,
    Surroundings,
    guarded,
    newest_first,
    unplaced,
)
from drtool.operations.retention.policy import Taken, reasons
from drtool.operations.retention.surplus import surplus
from drtool.operations.retention.unneeded import evidence_of, unneeded_segments
from drtool.operations.safekeeping import is_safety, job_of_safety
from drtool.repository.chain import Snapshot
from drtool.repository.manifests import SNAPSHOTS
from drtool.repository.pins import read_pins
from drtool.repository.presence import alive
from drtool.repository.removals import Removal, read_announced
from drtool.repository.repository import Repository
from drtool.repository.wire import encode_json
from drtool.scheduling.expressions import Schedule

#: Signs that somebody with access to the store is at work in it.
_ATTACKS = (RolledBackError, HiddenObjectError)
#: So long a safety snapshot stays, protected or not.
_UNPROTECTED = timedelta(days=1)
NO_POLICY = "no policy: the configuration names none for the job"


class Obstacle(StrEnum):
    """What keeps retention from removing anything; an operator may decide to go on despite the first two."""

    SURPLUS = "surplus"
    DAMAGE = "damage"
    CLOCK = "clock"
    EMPTIES = "empties"


@dataclass(frozen=True, slots=True)
class Objection:
    """A sentence about why nothing of a job (of any job, where it is empty) may go."""

    obstacle: Obstacle
    job: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """About one snapshot: it stays for these reasons, or there is none."""

    snapshot: Snapshot
    reasons: tuple[str, ...]

    @property
    def keep(self) -> bool:
        """Does it stay?"""
        return bool(self.reasons)


@dataclass(frozen=True, slots=True)
class Plan:
    """Decisions, oldest first within each job; ``removal`` is what goes once no objection stands."""

    decisions: tuple[Decision, ...]
    removal: Removal
    objections: tuple[Objection, ...]
    warnings: tuple[str, ...]
    repository: str

    @property
    def hash(self) -> str:
        """Names exactly what goes, by content: SHA-256, hex."""
        named = {
            "repository": self.repository,
            "snapshots": sorted(one.hash for one in self.removal.snapshots),
            "evidence": sorted(one.hash for one in self.removal.evidence),
            "segments": sorted(one.hash for one in self.removal.segments),
        }
        return hashlib.sha256(encode_json(named)).hexdigest()


NOTHING = Plan((), Removal(), (), (), "")
"""No decision, and nothing to remove."""


def make_plan(
    repository: Repository, jobs: Mapping[str, Job], only: str | None = None, despite: Collection[Obstacle] = ()
) -> Plan:
    """Decide about all snapshots (of the job `only`), by the policies of the configured `jobs`. Changes nothing.

    Obstacles in `despite` are warnings instead of objections.
    """
    now = repository.storage.now()
    known = read_known(repository)
    pins, bad_pins = read_pins(repository)
    around = Surroundings(known, pins, alive(repository), now, stored_at(repository, known))
    groups: dict[tuple[str, str], list[Snapshot]] = defaultdict(list)
    for snapshot in known.catalogue.snapshots:
        groups[snapshot.manifest.job, snapshot.manifest.repository].append(snapshot)
    found = [*_clock(now), *_damage([*known.problems, *bad_pins])]
    decisions: list[Decision] = []
    for (job, origin), snapshots in sorted(groups.items()):
        if only in (None, job):
            ruled = job_of_safety(job) if all(map(is_safety, snapshots)) else job
            made, against = decide(job, snapshots, jobs.get(ruled), around)
            decisions += made
            found += against
            if not all(one.keep for one in made):
                found += _trouble(known.catalogue.troubled, job, origin)
    gone = tuple(one.snapshot for one in decisions if not one.keep)
    ids = {snapshot.id for snapshot in gone}
    rest = [snapshot for snapshot in known.catalogue.snapshots if snapshot.id not in ids]
    is_sure = not known.catalogue.troubled and not any(one.obstacle is Obstacle.DAMAGE for one in found)
    doubtful = {one.id for one in rest if around.doubtful(one)}.union(*(unplaced(g, around) for g in groups.values()))
    removal = Removal(
        gone,
        evidence_of(repository, {*(snapshot.hash for snapshot in gone), *_removed_before(repository)}),
        # What a manifest needs of the log that cannot be read, or is gone and may come back, nobody knows.
        unneeded_segments(repository, _ruled(decisions, jobs), rest, _windows(jobs, now), doubtful) if is_sure else (),
    )
    objections = tuple(dict.fromkeys(one for one in found if one.obstacle not in despite))
    passed = [one.message for one in found if one.obstacle in despite]
    return Plan(tuple(decisions), removal, objections, tuple(dict.fromkeys(passed)), repository.id)


def stored_at(repository: Repository, known: Known) -> dict[str, datetime]:
    """When manifests that were made here were stored first. A copy was made elsewhere, at another time."""
    own = {one.manifest.name: one.id for one in known.catalogue.snapshots if one.manifest.repository == repository.id}
    try:
        listed = list(repository.storage.list_versions(SNAPSHOTS))
    except PermissionDeniedError:
        listed = list(repository.storage.list(SNAPSHOTS))
    found: dict[str, datetime] = {}
    for info in listed:
        if info.name in own and not info.is_delete_marker:
            id_ = own[info.name]
            found[id_] = min(info.modified, found.get(id_, info.modified))
    return found


def _ruled(decisions: Iterable[Decision], jobs: Mapping[str, Job]) -> set[str]:
    """The sources of the jobs that were decided about by a policy."""
    manifests = [one.snapshot.manifest for one in decisions]
    with_policy = {name for name, job in jobs.items() if job.retention is not None}
    return {source.name for manifest in manifests if manifest.job in with_policy for source in manifest.sources}


def _windows(jobs: Mapping[str, Job], now: datetime) -> dict[str, datetime]:
    """Since when any moment of a source is to be restorable, where all of its jobs say so; the longest counts."""
    found: dict[str, list[Span | None]] = defaultdict(list)
    for job in jobs.values():
        for source in job.sources:
            found[source].append(job.pitr_window)
    spans = {source: [span for span in given if span is not None] for source, given in found.items()}
    return {source: min(span.before(now) for span in spans[source]) for source in found if None not in found[source]}


def _removed_before(repository: Repository) -> Iterable[str]:
    """The hashes of snapshots of which an earlier run may have left evidence, or had to."""
    announced = read_announced(repository).hashes
    return (hash_ for name, hash_ in announced.items() if name.startswith(SNAPSHOTS))


def decide(
    name: str, snapshots: Sequence[Snapshot], job: Job | None, around: Surroundings
) -> tuple[list[Decision], list[Objection]]:
    """About the snapshots of one job and origin, oldest first, and what stands against removing any.

    No policy counts safety snapshots: they stay until they are released.
    """
    ordered = newest_first(snapshots, around)
    if job is None or job.retention is None:
        return [Decision(one, (NO_POLICY,)) for one in reversed(ordered)], []
    if all(map(is_safety, ordered)):
        above = guarded(snapshots, None, around)
        return [Decision(one, (*_recent(one, around), *above.get(one.id, ()))) for one in reversed(ordered)], []
    wrong = unplaced(snapshots, around)
    counted = [one for one in ordered if one.id not in wrong]
    by_policy = policy_reasons(counted, job.retention.rules, around)
    seen = {source.name for one in snapshots for source in one.manifest.sources}
    above = guarded(snapshots, seen.intersection(job.sources) or seen, around)
    made = [Decision(one, (*by_policy.get(one.id, ()), *above.get(one.id, ()))) for one in reversed(ordered)]
    objections = []
    if counted and not any(by_policy.values()):
        told = f"job {name}: its policy ({job.retention.name}) would keep none of its {len(snapshots)} snapshots"
        objections.append(Objection(Obstacle.EMPTIES, name, told))
    schedule = None if job.schedule is None else Schedule(job.schedule, job.timezone)
    if too_many := surplus([(around.taken(one), one) for one in counted], schedule):
        objections.append(Objection(Obstacle.SURPLUS, name, f"job {name} has {too_many}"))
    return made, objections


def _recent(safety: Snapshot, around: Surroundings) -> Iterable[str]:
    """Between its commit and its protection a safety snapshot has nothing else that keeps it."""
    if around.now - around.taken(safety) < _UNPROTECTED:
        yield "safety snapshot of less than a day"


def policy_reasons(ordered: Sequence[Snapshot], rules: Rules, around: Surroundings) -> dict[str, tuple[str, ...]]:
    """What the policy alone says about snapshots, which come newest first, by id."""
    taken = [Taken(around.taken(one), frozenset(one.manifest.tags)) for one in ordered]
    return {one.id: told for one, told in zip(ordered, reasons(taken, rules, around.now), strict=True)}


def _clock(now: datetime) -> Iterable[Objection]:
    off = datetime.now(UTC) - now
    if abs(off) > SKEW:
        which = "ahead of" if off > timedelta(0) else "behind"
        told = f"this host's clock is {abs(off) / timedelta(hours=1):.1f} hours {which} the store's"
        yield Objection(Obstacle.CLOCK, "", told)


def _damage(problems: Iterable[DrtoolError]) -> Iterable[Objection]:
    """Objects that cannot be judged: which job a manifest was of, what a pin protects, nobody can tell.

    What was signed by nobody who may counts for nothing, and is no obstacle. What somebody hid or put back is one: no
    time to remove anything.
    """
    for error in problems:
        if error.object and (not isinstance(error, TamperedError) or isinstance(error, _ATTACKS)):
            yield Objection(Obstacle.DAMAGE, "", error.message)


def _trouble(troubled: Collection[tuple[str, str, str]], job: str, origin: str) -> Iterable[Objection]:
    if any((chain[2], chain[0]) == (job, origin) for chain in troubled):
        told = f"job {job}: its chain of snapshots is not whole; drtool snapshots says why"
        yield Objection(Obstacle.DAMAGE, job, told)
