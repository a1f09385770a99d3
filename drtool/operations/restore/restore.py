"""Restoring a snapshot: plan, look, make sure that everything is there, and only then write."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from drtool.errors import RolledBackError, TargetNotEmptyError, UsageError
from drtool.operations.budget import Budget
from drtool.operations.contents import Contents
from drtool.operations.overlaying import overlay_of, replay_overlay
from drtool.operations.picking import pick, require_all, require_fitting
from drtool.operations.pitr.entries import Way
from drtool.operations.pitr.reach import moment
from drtool.operations.pitr.recovering import Recovery
from drtool.operations.pitr.replaying import rehearse_archive, replay_archive
from drtool.operations.reporting import Reporter
from drtool.operations.restore.changed import changes
from drtool.operations.restore.loading import load
from drtool.operations.restore.prospects import LeftOut, Prospect, RestoreResult, rate_name, require_free
from drtool.operations.restore.wishing import Names, Wish, refuse_collisions
from drtool.repository.chain import Catalogue, Snapshot
from drtool.repository.manifests import SourceEntry, StreamEntry
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.sources.base import Source
from drtool.sources.reading import Consistency
from drtool.sources.restoring import Loaded, Replayed, RestoreItem, RestorePlan, Target

#: How many incomplete collections a warning names.
_NAMED = 5


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
        self._names = Names(wish, source, self._instant() if recovery is None else moment(recovery.goal.at))
        self._opened: Target | None = None

    @property
    def _target(self) -> Target:
        if self._opened is None:
            self._opened = self._source.target(self._wish.to)
        return self._opened

    def prospect(self) -> Prospect:
        """What would be restored, where to, and what is there now.

        ``UsageError`` where a pattern fits nothing, ``MissingObjectError`` where the repository lacks something.
        """
        log_follows = self._recovery is not None
        chosen = pick(self._contents, self._snapshot, self._source, self._wish.only, log_follows=log_follows)
        if not log_follows:
            self._names.refuse_idle([entry.name for entry in chosen])
        chosen, left_out = self._without_left_out(chosen)
        require_all(self._repository, self._contents, [*chosen, *overlay_of(self._contents, self._source)], "restore")
        items = tuple(self._item(entry, self._names.of(entry.name)) for entry in chosen)
        refuse_collisions(items)
        naming = self._names.of_chosen if self._wish.only else None
        plan = RestorePlan(
            items,
            marker=self._marker(),
            replace=self._wish.in_place,
            name_of=naming,
            default_name=self._names.of,
        )
        if self._recovery is not None and self._way is not None:
            plan, chosen = self._foreseen(self._recovery, self._way, plan, chosen)
        by_name = {entry.name: entry for entry in chosen}
        return Prospect(self._snapshot, self._origin(), plan, by_name, self._target.inspect(plan), left_out)

    def _foreseen(
        self, recovery: Recovery, way: Way, plan: RestorePlan, chosen: Sequence[StreamEntry]
    ) -> tuple[RestorePlan, list[StreamEntry]]:
        """The plan with what the log makes of it, and all streams that are to be loaded."""
        others = self._others(chosen) if self._wish.only else []
        infos = [self._contents.info(entry) for entry in others]
        rehearsed = rehearse_archive(recovery, way, self._target, plan, self._reporter, infos)
        held = pick(self._contents, self._snapshot, self._source, ())
        names = [*(entry.name for entry in held), *rehearsed.made]
        require_fitting(names, self._snapshot, self._source, self._wish.only, log=True)
        self._names.refuse_idle([*(entry.name for entry in chosen), *rehearsed.made])
        waiting = [entry for entry in others if entry.identity in rehearsed.parked]
        require_all(self._repository, self._contents, waiting, "restore")
        items = (*plan.items, *(self._item(entry, rehearsed.parked[entry.identity]) for entry in waiting))
        return replace(plan, items=items, rehearsed=rehearsed), [*chosen, *waiting]

    def _others(self, chosen: Collection[StreamEntry]) -> list[StreamEntry]:
        """Streams that nobody asked for by the names that they have in the snapshot."""
        names = {entry.name for entry in chosen}
        entries = pick(self._contents, self._snapshot, self._source, ())
        return [entry for entry in entries if entry.identity and entry.name not in names]

    def run(self, prospect: Prospect) -> RestoreResult:
        """Restore. ``TargetNotEmptyError`` where something is in the way; nothing was written then."""
        require_free(prospect)
        started = time.monotonic()
        begun = False
        try:
            self._target.begin(prospect.plan)
            begun = True
            loaded, replayed, already = self._fill(prospect)
        except BaseException as error:
            if begun or not isinstance(error, TargetNotEmptyError):  # otherwise what is there is somebody else's
                self._reporter.warn(_incomplete(prospect))
            raise
        seconds = time.monotonic() - started
        self._repository.state.keep_measured(rate_name(prospect.origin), loaded.bytes / max(seconds, 0.001))
        return RestoreResult(
            source=prospect.source,
            target=prospect.inspection.target,
            records=loaded.records if replayed is None else sum(each.records for each in replayed.there),
            expected_records=prospect.records,
            streams=len(prospect.streams if replayed is None else replayed.there),
            bytes=loaded.bytes,
            seconds=seconds,
            replayed=0 if replayed is None else replayed.operations,
            recovered_to=(
                datetime.fromisoformat(prospect.origin.instant)
                if self._recovery is None or replayed is None
                else _moment(replayed)
            ),
            changes=() if replayed is None else tuple(changes(prospect.plan.items, replayed.there)),
            already_there=already,
        )

    def _fill(self, prospect: Prospect) -> tuple[Loaded, Replayed | None, Mapping[str, int]]:
        loaded = load(
            self._contents, prospect.entries, prospect.plan.items, self._target, self._budget.readers, self._reporter
        )
        if self._recovery is None or self._way is None:
            replayed = replay_overlay(self._contents, self._source, self._target, prospect.plan)
        else:  # which begins where an overlay does
            replayed = replay_archive(self._recovery, self._way, self._target, prospect.plan, self._reporter)
        task = "Building indexes"
        self._reporter.start(task)
        try:
            already = self._target.finish(prospect.plan, self._reporter.note)
        finally:
            self._reporter.finish(task)
        return loaded, replayed, already

    def _marker(self) -> str:
        marker = f"{self._snapshot.id}:{self._snapshot.hash[:16]}"
        if self._recovery is None:
            return marker
        at = self._recovery.goal.at
        return f"{marker}:{at[0]}:{at[1]}"

    def let_go(self) -> None:
        """Release the target until it is needed again: an embedded engine has one owner, and whoever is going to
        replace what it holds reads it first."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def close(self) -> None:
        """Release the target and the reader."""
        self.let_go()
        self._reader.close()

    def _without_left_out(self, chosen: Sequence[StreamEntry]) -> tuple[list[StreamEntry], tuple[LeftOut, ...]]:
        wish = self._wish
        names = {entry.name: self._names.of(entry.name) for entry in chosen}
        reasons = self._source.left_out(names, only=wish.only, users=wish.users, elsewhere=wish.to is not None)
        kept = [entry for entry in chosen if entry.name not in reasons]
        left_out = tuple(
            LeftOut(entry.name, entry.records, reasons[entry.name]) for entry in chosen if entry.name in reasons
        )
        if not kept and left_out:
            first = left_out[0]
            raise UsageError(f"there is nothing to restore: {first.stream} is left out: {first.reason}")
        return kept, left_out

    def _item(self, entry: StreamEntry, name: str) -> RestoreItem:
        info = self._contents.info(entry)
        return RestoreItem(info, name, entry.records, entry.bytes, Consistency(entry.consistency))

    def _origin(self) -> SourceEntry:
        return next(origin for origin in self._snapshot.manifest.sources if origin.name == self._source.name)

    def _instant(self) -> datetime:
        return datetime.fromisoformat(self._snapshot.manifest.instant)


def _moment(replayed: Replayed) -> datetime:
    seconds, increment = replayed.position
    return moment((int(seconds), int(increment)))


def _incomplete(prospect: Prospect) -> str:
    names = [item.name for item in prospect.streams] or list(prospect.made.values())
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"incomplete in {prospect.inspection.target}, not to be used: {', '.join(names[:_NAMED])}{more};"
        " the same command begins anew and replaces it, with all else that this one made"
    )


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
