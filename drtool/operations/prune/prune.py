"""A whole prune: registered, alone where that can be had, in the order of `Collector`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from drtool.errors import InterruptedRunError, RefusedError, RepositoryError, UnsafeStorageError
from drtool.operations.locking import lock_needed
from drtool.operations.prune.collector import Collector, Swept
from drtool.operations.prune.planning import Plan, Planner, Rules
from drtool.operations.prune.predecessor import LocalNotes, end_run, only_prune
from drtool.operations.prune.survey import Survey
from drtool.operations.reporting import Reporter
from drtool.repository.leases import TTL_SECONDS, Lease
from drtool.repository.liveness import Liveness
from drtool.repository.presence import Registered, alive
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.storage.counting import RequestCount
from drtool.storage.probing import remove_old_probes

_T = TypeVar("_T")
LEASE = "prune"
_LOOK_SECONDS = 5.0
_STOPPED = "Nothing was deleted. "


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to prune. ``wait`` is for how long (seconds) to wait for runs that may use marked packs."""

    rules: Rules = field(default_factory=Rules)
    wait: float = 0.0
    accepts_losses: bool = False
    lease_ttl: float = TTL_SECONDS
    look_seconds: float = _LOOK_SECONDS


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was done (``swept``) of what was meant (``plan``). ``waiting`` are the runs that the rest waits for."""

    plan: Plan
    swept: Swept
    waiting: tuple[Registered, ...]
    requests: int
    seconds: float


def preview(repository: Repository, wishes: Wishes) -> Pruned:
    """What `prune` would do. Writes nothing."""
    started, count = time.monotonic(), RequestCount()
    repository.storage.count_with(count)
    with _liveness(repository, wishes) as liveness, _naming_what_stops():
        survey = Survey.take(repository, liveness)
        running = alive(repository)
        plan = Planner(repository, survey, liveness, wishes.rules, running).plan()
    # Nobody knows of what is yet to be marked.
    known = [tombstone.hash for tombstone in survey.tombstones]
    waiting = tuple(run for run in running if plan.packs or run.holds_up(known))
    return Pruned(plan, Swept(), waiting, count.requests, time.monotonic() - started)


def prune(
    repository: Repository, wishes: Wishes, reporter: Reporter, cancelled: threading.Event | None = None
) -> Pruned:
    """Delete what nothing needs. ``Repository.maintainer`` must not be None.

    Returns with packs marked and the runs that they wait for, where these do not end within ``wishes.wait`` seconds.
    ``UnsafeStorageError`` on a store that does not honour conditional puts, ``LockedError`` beside another prune, the
    error of whatever cannot be read, and ``RunExpiredError`` after a long suspension: nothing is deleted then that was
    not before.
    """
    started, count = time.monotonic(), RequestCount()
    cancelled = cancelled or threading.Event()
    with ExitStack() as stack:
        repository.storage.count_with(count)
        _require_conditions(repository)
        notes = stack.enter_context(only_prune(repository.state.path.parent))
        lease = Lease(
            repository,
            LEASE,
            owner=notes.owner,
            ttl=wishes.lease_ttl,
            wait=cancelled.wait,
        )
        stack.enter_context(lease)
        end_run(repository, notes.before)
        run = Run(repository, "prune")
        notes.note_run(run.name)
        stack.enter_context(run)
        liveness = stack.enter_context(_liveness(repository, wishes))
        collector = Collector(repository, run, liveness, wishes.rules, note=notes.note_pack, left_over=notes.left_over)
        waiting = _Whole(collector, wishes, reporter, cancelled, lease.require).run(notes)
        plan = collector.plan
        lock_needed(repository, {*plan.packs, *plan.marked, *plan.locked} - collector.swept.released, reporter)
        remove_old_probes(repository.storage)  # of hosts that may not delete
    return Pruned(collector.plan, collector.swept, waiting, count.requests, time.monotonic() - started)


class _Whole:
    """All the steps, and the waiting in between."""

    def __init__(
        self,
        collector: Collector,
        wishes: Wishes,
        reporter: Reporter,
        cancelled: threading.Event,
        require: Callable[[], None],
    ) -> None:
        self._collector = collector
        self._wishes = wishes
        self._reporter = reporter
        self._cancelled = cancelled
        self._require = require

    def run(self, notes: LocalNotes) -> tuple[Registered, ...]:
        """The runs that are waited for still."""
        collector = self._collector
        with _naming_what_stops():
            self._step("Looking for what is in use", collector.prepare)
            self._step("Moving what is in use of packs that hold little else", collector.move)
        self._require()
        collector.mark()
        waiting: tuple[Registered, ...] = ()
        if collector.has_marks:
            waiting = self._wait()
            collector.put_off(waiting)
        if collector.has_marks:
            with _naming_what_stops():
                self._step("Looking again", collector.look_again)
            self._require()
            collector.claim()
        self._step("Merging the index", collector.drop_entries)
        self._step("Deleting", collector.drop_packs)
        collector.drop_tombstones()
        if not waiting:
            notes.forget_packs()
        return waiting

    def _wait(self) -> tuple[Registered, ...]:
        until = time.monotonic() + self._wishes.wait
        told: set[str] = set()
        while waiting := self._collector.waiting_for():
            left = until - time.monotonic()
            if left <= 0:
                return tuple(waiting)
            for run in waiting:
                if run.name not in told:
                    told.add(run.name)
                    self._reporter.note(f"waiting for {described(run)}")
            if self._cancelled.wait(min(left, self._wishes.look_seconds)):
                raise InterruptedRunError("stopped while waiting", hint="Packs are marked: the next prune goes on.")
            self._require()
        return ()

    def _step(self, task: str, step: Callable[[], _T]) -> _T:
        self._reporter.start(task)
        try:
            return step()
        finally:
            self._reporter.finish(task)


def described(run: Registered) -> str:
    """A run in words."""
    what = f"{run.kind} {run.job}".strip()
    where = f" on {run.host}" if run.host else ""
    return f"{what}{where} (run {run.id}, last heard of {run.renewed:%Y-%m-%d %H:%M} UTC)"


@contextmanager
def _liveness(repository: Repository, wishes: Wishes) -> Iterator[Liveness]:
    liveness = Liveness(repository, accepts_losses=wishes.accepts_losses)
    try:
        yield liveness
    finally:
        liveness.close()


@contextmanager
def _naming_what_stops() -> Iterator[None]:
    """What cannot be read stops everything: say that nothing was deleted."""
    try:
        yield
    except (RepositoryError, RefusedError) as error:
        error.hint = f"{_STOPPED}{error.hint}".strip()
        raise


def _require_conditions(repository: Repository) -> None:
    able = repository.storage.probe()
    if able.create_only_put and able.compare_and_swap:
        return
    lacks = "create-only puts" if not able.create_only_put else "compare-and-swap puts"
    raise UnsafeStorageError(
        f"{repository.storage.url} does not honour {lacks}: two collectors could undo each other's marks, and delete"
        " what a backup has just begun to use",
        hint="Backups and restores work here, pruning does not. drtool doctor --storage shows what the store lacks.",
    )
