"""Copying to a second repository: what is missing there, oldest first, each snapshot committed by itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from drtool.errors import DrtoolError, RefusedError, RepositoryError, RunExpiredError, SourceError
from drtool.operations.budget import Budget
from drtool.operations.catalogue import Known, read_known
from drtool.operations.copy.carrier import Carrier
from drtool.operations.copy.chains import Chains
from drtool.operations.copy.foreign import Ends, Foreign
from drtool.operations.copy.moving import Mover, Shipped
from drtool.operations.copy.opening import Pair
from drtool.operations.copy.outlook import Outlook
from drtool.operations.copy.results import CopiedLog, CopiedSnapshot, State, Summary
from drtool.operations.copy.within import Within
from drtool.operations.joblock import capture_lock, job_lock
from drtool.operations.opening import records_of
from drtool.operations.reporting import Reporter
from drtool.operations.runs import registered
from drtool.repository.archive import Archived, read_archive
from drtool.repository.chain import Catalogue, Snapshot, follow_removals, read_catalogue
from drtool.repository.repository import Repository
from drtool.repository.runs import Run

#: So many segments are committed together, so that not each of them needs packs of its own.
SEGMENTS_AT_ONCE = 64
TASK = "Copying"
_Carry = Callable[[Sequence[Archived]], Shipped]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be copied: these snapshots, as a user names them, or all that are missing; with ``log`` the archived
    logs of their sources, too. Without ``writes`` nothing is written anywhere."""

    names: tuple[str, ...] = ()
    log: bool = True
    writes: bool = True


@dataclass(slots=True)
class _There:
    """What the destination holds, and what retention removed there: snapshots by id, segments by name."""

    catalogue: Catalogue
    snapshots: dict[str, Snapshot]
    removed: set[str] = field(default_factory=set)
    removed_segments: set[str] = field(default_factory=set)


def copy(
    pair: Pair,
    wish: Wish,
    budget: Budget,
    reporter: Reporter,
    told: Callable[[CopiedSnapshot | CopiedLog], None],
) -> Summary:
    """Copy what is wished; `told` hears of each snapshot and each log that was looked at.

    What cannot be copied is told, and the rest copied. Raises ``NoSuchSnapshotError`` and ``UsageError`` for names
    before anything is written, and whatever ends the run: what was sent until then is used by the next one.
    """
    known = read_known(pair.source)
    chosen = _chosen(known, wish)
    summary = Summary(problems=known.catalogue.problems)
    with ExitStack() as stack:
        run = None
        if wish.writes:
            stack.enter_context(registered(pair.source, "copy", "", reporter))
            run = stack.enter_context(Run(pair.destination, "copy"))
        if wish.writes and pair.is_foreign:
            _hold_chains(stack, pair.destination, chosen)
        for repository in (pair.source, pair.destination):
            for problem in repository.refresh_index():
                reporter.warn(problem.message)
        there = _look(pair.destination, reporter)
        reporter.start(TASK)
        stack.callback(reporter.finish, TASK)
        carrier = _carrier(pair, known.catalogue, there, run, budget, reporter)
        stack.callback(carrier.close)
        with _flushed(carrier):
            for snapshot in chosen:
                copied = _copy_one(carrier, snapshot, there, summary, wish)
                if copied is not None:
                    told(copied)
            for source in _sources(chosen) if wish.log else ():
                told(_copy_log(carrier, pair.source, source, thorough=bool(wish.names)))
            carrier.finish()
    return summary


def _carrier(
    pair: Pair, chosen_from: Catalogue, there: _There, run: Run | None, budget: Budget, reporter: Reporter
) -> Carrier:
    if not pair.is_foreign:
        mover = Mover(pair.source, pair.destination, budget, reporter, TASK, writes=run is not None)
        return Within(pair.source, pair.destination, mover, run, there.snapshots, there.removed_segments)
    if run is None:
        return Outlook(pair.destination, there.removed_segments)
    ends = Ends(pair.source, pair.destination, run, Chains(pair.destination, there.catalogue, chosen_from))
    return Foreign(ends, records_of, there.removed_segments, budget, lambda size: reporter.advance(TASK, size))


def _hold_chains(stack: ExitStack, destination: Repository, snapshots: Sequence[Snapshot]) -> None:
    """A copy into another lineage gets the next place in this host's chains there, as its own backups do."""
    directory = destination.state.path.parent
    for job in sorted({snapshot.manifest.job for snapshot in snapshots}):
        stack.enter_context(job_lock(directory, job))
    for source in _sources(snapshots):
        stack.enter_context(capture_lock(directory, source))


def _chosen(known: Known, wish: Wish) -> list[Snapshot]:
    """Oldest first."""
    if not wish.names:
        return list(known.catalogue.snapshots)
    named = {known.choose(name).snapshot.id for name in wish.names}
    return [snapshot for snapshot in known.catalogue.snapshots if snapshot.id in named]


def _sources(snapshots: Sequence[Snapshot]) -> list[str]:
    return sorted({source.name for snapshot in snapshots for source in snapshot.manifest.sources})


def _look(destination: Repository, reporter: Reporter) -> _There:
    catalogue = read_catalogue(destination)
    for problem in catalogue.problems:
        reporter.warn(f"{destination.storage.url}: {problem.message}")
    there = _There(catalogue, {snapshot.id: snapshot for snapshot in catalogue.snapshots})

    def take(fields: Mapping[str, Any]) -> None:
        # Nobody removed what is only on record as lost: copied once more, it is found again.
        removed = (entry for entry in fields.get("snapshots", ()) if entry.get("lost") is not True)
        there.removed.update(str(entry["snapshot"]) for entry in removed)
        there.removed_segments.update(str(entry["segment"]) for entry in fields.get("segments", ()))

    follow_removals(destination, take, [])  # what is wrong with them is among the catalogue's problems
    return there


def _copy_one(
    carrier: Carrier, snapshot: Snapshot, there: _There, summary: Summary, wish: Wish
) -> CopiedSnapshot | None:
    """None for one that need not be looked at."""
    is_named, is_there = bool(wish.names), snapshot.id in there.snapshots
    if not is_named and (is_there or snapshot.id in there.removed):
        summary.there += is_there
        summary.removed += not is_there
        return None
    started = time.monotonic()
    job, shipped, problem = snapshot.manifest.job, Shipped(), None
    try:
        if snapshot.id in there.removed:
            raise RefusedError(
                f"snapshot {snapshot.id} was removed by retention at the destination",
                hint="Put back there it would look like tampering. Restore it from where it is.",
            )
        shipped = carrier.snapshot(snapshot, thorough=is_there)
        state = State.THERE if is_there and not shipped.bytes else State.COPIED if wish.writes else State.MISSING
    except (RepositoryError, RefusedError, SourceError) as error:
        if isinstance(error, RunExpiredError):
            raise
        state, problem = State.FAILED, error
    return CopiedSnapshot(snapshot.id, job, state, shipped, time.monotonic() - started, problem)


def _copy_log(carrier: Carrier, source: Repository, name: str, *, thorough: bool) -> CopiedLog:
    """If `thorough`, what is there already is looked up, too."""
    archive = read_archive(source, name)
    problems: list[DrtoolError] = list(archive.problems)
    segments = [one for timeline in archive.timelines for stretch in timeline.stretches for one in stretch.segments]
    missing, held = carrier.missing(name, segments)
    sent, shipped = 0, Shipped()
    for batch in _in_batches(carrier.segments, missing, problems):
        sent += batch[0]
        shipped.add(batch[1])
    for batch in _in_batches(carrier.again, held if thorough else (), problems):
        shipped.add(batch[1])
    return CopiedLog(name, sent, len(segments) - len(missing), shipped, tuple(problems))


def _in_batches(
    carry: _Carry, segments: Sequence[Archived], problems: list[DrtoolError]
) -> Iterator[tuple[int, Shipped]]:
    for start in range(0, len(segments), SEGMENTS_AT_ONCE):
        yield from _batches(carry, segments[start : start + SEGMENTS_AT_ONCE], problems)


def _batches(carry: _Carry, segments: Sequence[Archived], problems: list[DrtoolError]) -> Iterator[tuple[int, Shipped]]:
    """How many were copied, with what; one by one where something is wrong with one of them."""
    try:
        yield len(segments), carry(segments)
    except RepositoryError as error:
        if isinstance(error, RunExpiredError):
            raise
        if len(segments) == 1:
            problems.append(error)
            return
        for one in segments:
            yield from _batches(carry, [one], problems)


@contextlib.contextmanager
def _flushed(carrier: Carrier) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # What is there already serves the next run. If storing it fails too, the first error is the one to tell.
        with contextlib.suppress(DrtoolError):
            carrier.flush()
        raise
