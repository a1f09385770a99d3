"""Restoring a snapshot: plan, look, make sure that everything is there, and only then write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drtool.errors import RolledBackError, TargetNotEmptyError, UsageError
from drtool.operations.budget import Budget
from drtool.operations.catalogue import Known
from drtool.operations.contents import Contents
from drtool.operations.loading import load
from drtool.operations.overlaying import overlay_of, replay_overlay
from drtool.operations.picking import pick, require_all
from drtool.operations.pitr.reach import moment
from drtool.operations.pitr.recovering import Recovery
from drtool.operations.pitr.replaying import replay_archive
from drtool.operations.reporting import Reporter
from drtool.repository.chain import Catalogue, Snapshot
from drtool.repository.manifests import StreamEntry
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.sources.base import Consistency, Inspection, Loaded, Replayed, RestoreItem, RestorePlan, Source

#: The name of the rate (bytes per second) that local state keeps of the last restore.
RATE = "restore"
#: How many incomplete collections a warning names.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What to restore and where to.

    ``to`` is another server, where names stay the same; ``only`` and ``rename`` (old, new) are as typed; ``users``
    says whether users and roles come back (None: as the source thinks safe).
    """

    to: str | None = None
    only: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    users: bool | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A stream that a restore leaves alone, because nobody asked for it; it is no part of the plan."""

    stream: str
    records: int
    reason: str


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a restore is going to do: the plan, the entries by original name, and what the target holds."""

    snapshot: Snapshot
    plan: RestorePlan
    entries: dict[str, StreamEntry]
    inspection: Inspection
    left_out: tuple[LeftOut, ...] = ()

    @property
    def records(self) -> int:
        """How many records are to come back."""
        return sum(item.records for item in self.plan.items)

    @property
    def bytes(self) -> int:
        """How many bytes of records."""
        return sum(item.bytes for item in self.plan.items)


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What came back."""

    target: str
    records: int
    expected_records: int
    streams: int
    bytes: int
    seconds: float
    replayed: int
    recovered_to: datetime


class Restore:
    """One restore of one source: `prospect` looks and writes nothing, `run` does it.

    With a `recovery`, which begins with the snapshot, the archived log is replayed over it.
    """

    def __init__(
        self,
        repository: Repository,
        snapshot: Snapshot,
        source: Source,
        wish: Wish,
        budget: Budget,
        reporter: Reporter,
        recovery: Recovery | None = None,
    ) -> None:
        self._repository = repository
        self._snapshot = snapshot
        self._source = source
        self._wish = wish
        self._budget = budget
        self._reporter = reporter
        self._reader = ChunkReader(repository, fetchers=4)
        self._contents = Contents(self._reader, snapshot.manifest)
        self._recovery = recovery
        self._way = None if recovery is None else recovery.way(self._reader)
        self._target = source.target(wish.to)

    def prospect(self) -> Prospect:
        """What would be restored, where to, and what is there now.

        ``UsageError`` where a pattern fits nothing, ``MissingObjectError`` where the repository lacks something.
        """
        chosen = pick(self._contents, self._snapshot, self._source, self._wish.only)
        self._refuse_idle_renames(chosen)
        chosen, left_out = self._without_left_out(chosen)
        require_all(self._repository, self._contents, [*chosen, *overlay_of(self._contents, self._source)], "restore")
        if self._way is not None:
            self._way.check(self._reporter)
        items = tuple(self._item(entry) for entry in chosen)
        _refuse_collisions(items)
        plan = RestorePlan(items, marker=self._marker(), name_of=self._chosen_name if self._wish.only else None)
        by_name = {entry.name: entry for entry in chosen}
        return Prospect(self._snapshot, plan, by_name, self._target.inspect(plan), left_out)

    def run(self, prospect: Prospect) -> RestoreResult:
        """Restore. ``TargetNotEmptyError`` where something is in the way; nothing was written then."""
        if prospect.inspection.occupied:
            shown = "; ".join(prospect.inspection.occupied[:10])
            more = len(prospect.inspection.occupied) - 10
            raise TargetNotEmptyError(
                f"{prospect.inspection.target} is not empty: {shown}" + (f"; and {more} more" if more > 0 else ""),
                hint="Restore under another name with --rename OLD=NEW, or to another server with --to URI.",
            )
        started = time.monotonic()
        self._target.begin(prospect.plan)
        try:
            loaded, replayed = self._fill(prospect)
        except BaseException:
            self._reporter.warn(_incomplete(prospect))
            raise
        seconds = time.monotonic() - started
        self._repository.state.keep_measured(RATE, loaded.bytes / max(seconds, 0.001))
        return RestoreResult(
            target=prospect.inspection.target,
            records=loaded.records,
            expected_records=prospect.records,
            streams=len(prospect.plan.items),
            bytes=loaded.bytes,
            seconds=seconds,
            replayed=0 if replayed is None else replayed.operations,
            recovered_to=self._instant() if replayed is None else moment(tuple(replayed.position)),
        )

    def _fill(self, prospect: Prospect) -> tuple[Loaded, Replayed | None]:
        loaded = load(
            self._contents, prospect.entries, prospect.plan.items, self._target, self._budget.readers, self._reporter
        )
        replayed = None
        if self._recovery is None or self._way is None:
            replay_overlay(self._contents, self._source, self._target, prospect.plan)
        else:  # which begins where an overlay does
            replayed = replay_archive(self._recovery, self._way, self._target, prospect.plan, self._reporter)
        task = "Building indexes"
        self._reporter.start(task)
        try:
            self._target.finish(prospect.plan, self._reporter.note)
        finally:
            self._reporter.finish(task)
        return loaded, replayed

    def _marker(self) -> str:
        marker = f"{self._snapshot.id}:{self._snapshot.hash[:16]}"
        if self._recovery is None:
            return marker
        at = self._recovery.goal.at
        return f"{marker}:{at[0]}:{at[1]}"

    def close(self) -> None:
        """Release the target and the reader."""
        self._target.close()
        self._reader.close()

    def _without_left_out(self, chosen: Sequence[StreamEntry]) -> tuple[list[StreamEntry], tuple[LeftOut, ...]]:
        wish = self._wish
        names = {entry.name: self._name(entry.name) for entry in chosen}
        reasons = self._source.left_out(names, only=wish.only, users=wish.users, elsewhere=wish.to is not None)
        kept = [entry for entry in chosen if entry.name not in reasons]
        left_out = tuple(
            LeftOut(entry.name, entry.records, reasons[entry.name]) for entry in chosen if entry.name in reasons
        )
        if not kept:
            first = left_out[0]
            raise UsageError(f"there is nothing to restore: {first.stream} is left out: {first.reason}")
        return kept, left_out

    def _refuse_idle_renames(self, chosen: Sequence[StreamEntry]) -> None:
        for old, new in self._wish.rename:
            if all(self._source.rename(entry.name, old, new) is None for entry in chosen):
                raise UsageError(
                    f"--rename {old}={new} fits nothing that is to be restored",
                    hint=f"drtool show {self._snapshot.id} lists what the snapshot holds.",
                )

    def _item(self, entry: StreamEntry) -> RestoreItem:
        info = self._contents.info(entry)
        return RestoreItem(info, self._name(entry.name), entry.records, entry.bytes, Consistency(entry.consistency))

    def _chosen_name(self, stream: str) -> str | None:
        """The name of a stream that the log makes, if ``only`` fits it."""
        fits = any(self._source.matches(stream, pattern) for pattern in self._wish.only)
        return self._name(stream) if fits else None

    def _name(self, stream: str) -> str:
        for old, new in self._wish.rename:
            renamed = self._source.rename(stream, old, new)
            if renamed is not None:
                return renamed
        if self._wish.to is not None:
            return stream
        when = self._instant() if self._recovery is None else moment(self._recovery.goal.at)
        return self._source.name_of_restored(stream, f"restored_{when:%Y%m%d_%H%M%S}")

    def _instant(self) -> datetime:
        return datetime.fromisoformat(self._snapshot.manifest.instant)


def _incomplete(prospect: Prospect) -> str:
    names = [item.name for item in prospect.plan.items]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"incomplete in {prospect.inspection.target}, not to be used: {', '.join(names[:_NAMED])}{more}"


def _refuse_collisions(items: Sequence[RestoreItem]) -> None:
    seen: dict[str, str] = {}
    for item in items:
        if item.name in seen:
            raise UsageError(f"{seen[item.name]} and {item.stream.name} would both be restored as {item.name}")
        seen[item.name] = item.stream.name


def expected_seconds(repository: Repository, known: Known, size: int) -> float | None:
    """How long `size` bytes should take, by the last restore on this host, else by the last trial restore."""
    rate = repository.state.measured(RATE) or known.trial_rate()
    return size / rate if rate else None


def require_head(catalogue: Catalogue, snapshot: Snapshot, expected: str) -> None:
    """``RolledBackError`` unless the snapshot's chain holds the manifest whose hash the operator noted."""
    chain = [s for s in catalogue.snapshots if s.chain == snapshot.chain]
    if len(expected) < 8 or not any(s.hash.startswith(expected.lower()) for s in chain):
        newest = max(chain, key=lambda s: s.manifest.number)
        raise RolledBackError(
            f"the snapshots of job {snapshot.manifest.job} do not include head {expected}:"
            f" the newest is {newest.id} with head {newest.hash}",
            hint="Either the head was mistyped, or the store was put back to an older state.",
        )
