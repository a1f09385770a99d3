"""Restoring a snapshot: plan, look, make sure that everything is there, and only then write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drtool.errors import (
    MissingObjectError,
    RolledBackError,
    TargetNotEmptyError,
    UsageError,
)
from drtool.operations.budget import Budget
from drtool.operations.catalogue import Known
from drtool.operations.contents import Contents, list_needed
from drtool.operations.loading import load
from drtool.operations.reporting import Reporter
from drtool.repository.chain import Catalogue, Snapshot
from drtool.repository.manifests import StreamEntry
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.sources.base import Consistency, Inspection, Loaded, RestoreItem, RestorePlan, Source

#: The name of the rate (bytes per second) that local state keeps of the last restore.
RATE = "restore"
#: How many incomplete collections a warning names.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What to restore and where to.

    ``to`` is another server, where names stay the same; ``only`` and ``rename`` (old, new) are as typed.
    """

    to: str | None = None
    only: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a restore is going to do: the plan, the entries by original name, and what the target holds."""

    snapshot: Snapshot
    plan: RestorePlan
    entries: dict[str, StreamEntry]
    inspection: Inspection

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
    recovered_to: datetime


class Restore:
    """One restore of one source: `prospect` looks and writes nothing, `run` does it."""

    def __init__(
        self, repository: Repository, snapshot: Snapshot, source: Source, wish: Wish, budget: Budget, reporter: Reporter
    ) -> None:
        self._repository = repository
        self._snapshot = snapshot
        self._source = source
        self._wish = wish
        self._budget = budget
        self._reporter = reporter
        self._reader = ChunkReader(repository, fetchers=4)
        self._contents = Contents(self._reader, snapshot.manifest)
        self._target = source.target(wish.to)

    def prospect(self) -> Prospect:
        """What would be restored, where to, and what is there now.

        ``UsageError`` where a pattern fits nothing, ``MissingObjectError`` where the repository lacks something.
        """
        entries = [entry for entry in self._contents.streams() if entry.source == self._source.name]
        if not entries:
            names = ", ".join(source.name for source in self._snapshot.manifest.sources)
            raise UsageError(f"the snapshot holds nothing of source {self._source.name}", hint=f"It holds: {names}")
        chosen = self._selected(entries)
        self._refuse_idle_renames(chosen)
        listing = list_needed(self._repository, self._contents, chosen)
        if listing.problems:
            first = listing.problems[0]
            stream = f" (stream {first.stream})" if first.stream else ""
            raise MissingObjectError(
                f"the repository lacks something that this restore needs: {first.message}{stream}"
                + (f"; and {len(listing.problems) - 1} more" if len(listing.problems) > 1 else ""),
                hint="Nothing was written. drtool verify --level listed shows them all; try another snapshot.",
            )
        items = tuple(self._item(entry) for entry in chosen)
        _refuse_collisions(items)
        plan = RestorePlan(items, marker=f"{self._snapshot.id}:{self._snapshot.hash[:16]}")
        by_name = {entry.name: entry for entry in chosen}
        return Prospect(self._snapshot, plan, by_name, self._target.inspect(plan))

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
            loaded = self._fill(prospect)
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
            recovered_to=datetime.fromisoformat(self._snapshot.manifest.instant),
        )

    def _fill(self, prospect: Prospect) -> Loaded:
        loaded = load(
            self._contents, prospect.entries, prospect.plan.items, self._target, self._budget.readers, self._reporter
        )
        task = "Building indexes"
        self._reporter.start(task)
        try:
            self._target.finish(prospect.plan, self._reporter.note)
        finally:
            self._reporter.finish(task)
        return loaded

    def close(self) -> None:
        """Release the target and the reader."""
        self._target.close()
        self._reader.close()

    def _selected(self, entries: Sequence[StreamEntry]) -> list[StreamEntry]:
        if not self._wish.only:
            return list(entries)
        chosen: dict[str, StreamEntry] = {}
        for pattern in self._wish.only:
            found = [entry for entry in entries if self._source.matches(entry.name, pattern)]
            if not found:
                raise UsageError(
                    f"--only {pattern} fits nothing in the snapshot",
                    hint=f"drtool show {self._snapshot.id} lists what it holds.",
                )
            chosen |= {entry.name: entry for entry in found}
        return [entry for entry in entries if entry.name in chosen]

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

    def _name(self, stream: str) -> str:
        for old, new in self._wish.rename:
            renamed = self._source.rename(stream, old, new)
            if renamed is not None:
                return renamed
        if self._wish.to is not None:
            return stream
        instant = datetime.fromisoformat(self._snapshot.manifest.instant)
        return self._source.name_of_restored(stream, f"restored_{instant:%Y%m%d_%H%M%S}")


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
