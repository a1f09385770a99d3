"""Starting commands, a few at a time, and seeing each to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from drtool.config.root import Config
from drtool.errors import ExitCode, StateError
from drtool.local.clock import Clock
from drtool.operations.reporting import Reporter
from drtool.operations.unattended.attending.attending import end_dead
from drtool.operations.unattended.scheduling.children import Call, Child, Ended, Launcher
from drtool.operations.unattended.scheduling.remains import outcome_of
from drtool.operations.unattended.scheduling.wishes import Wish, of_verification
from drtool.repository.ids import new_id
from drtool.scheduling.ledger import Ledger, Outcome, RunRecord, RunState
from drtool.scheduling.standings import take_turn

#: So many commands run at once, whoever started them.
MOST_AT_ONCE = 4
#: How long (seconds) children are waited for that have been asked to end, between two looks.
_LOOK = 1.0


@dataclass(slots=True)
class Supervisor:
    """The commands of one call of ``schedule run``. ``tell`` hears of each run that has ended."""

    config: Config
    ledger: Ledger
    clock: Clock
    launcher: Launcher
    reporter: Reporter
    tell: Callable[[RunRecord], None]
    waiting: list[Wish] = field(default_factory=list)
    _children: dict[str, tuple[Wish, RunRecord, Child]] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Does a command run?"""
        return bool(self._children)

    def start_waiting(self) -> None:
        """Start those that nothing stands in the way of: another run of their job, or too many at once."""
        if not self.waiting:
            return
        running = self.ledger.runs(state=RunState.RUNNING)
        others = [run for run in running if run.id not in self._children and self.ledger.is_alive(run)]
        waiting, self.waiting = self.waiting, []
        problem: StateError | None = None
        for wish in waiting:
            # What somebody asks for, or what follows a run of ours, has nobody else to start it later.
            if self._is_held_up(wish, others if wish.slot is not None else []):
                self.waiting.append(wish)
                continue
            try:
                self._start(wish)
            except StateError as error:
                problem = error
        if problem is not None:
            raise problem

    def _is_held_up(self, wish: Wish, others: Sequence[RunRecord]) -> bool:
        busy = {job for other, _, _ in self._children.values() for job in other.jobs} | {run.job for run in others}
        return len(self._children) + len(others) >= MOST_AT_ONCE or not busy.isdisjoint(wish.jobs)

    def skip(self, wish: Wish, why: Outcome) -> None:
        """Put on record that a slot's run is not started."""
        run = self._claimed(wish)
        if run is not None:
            self.ledger.end(run.id, why)
            self.tell(self.ledger.run(run.id) or run)

    def collect(self) -> None:
        """See to what has ended."""
        for id_, (wish, run, child) in list(self._children.items()):
            ended = child.ended()
            if ended is not None:
                del self._children[id_]
                self._close(wish, run, ended)

    def stop(self) -> None:
        """Have all of them end, in good order, and see to that."""
        for _, _, child in self._children.values():
            child.stop()
        while self._children:
            self.collect()
            if self._children:
                self.launcher.wait(_LOOK)

    def _start(self, wish: Wish) -> None:
        """Start it, unless another process has."""
        run = self._claimed(wish)
        if run is None:
            return
        try:
            child = self.launcher.start(Call(run, wish.arguments, wish.settings.max_duration))
        except OSError as error:
            message = f"cannot be started: {error.strerror or error}"
            self._close(wish, run, Ended(ExitCode.FAILED, kind="not-started", message=message))
        else:
            self._children[run.id] = (wish, run, child)

    def _claimed(self, wish: Wish) -> RunRecord | None:
        if wish.slot is None:
            return self.ledger.begin(new_id(), wish.task, job=wish.job, entry=wish.entry)
        return self.ledger.claim(new_id(), wish.task, job=wish.job, entry=wish.entry, slot=wish.slot, tried=wish.tried)

    def _close(self, wish: Wish, run: RunRecord, ended: Ended) -> None:
        """Put on record what the command did not say itself, and see to what follows it."""
        outcome = outcome_of(ended, wish.settings.max_duration)
        try:
            last = self._recorded(wish, run, outcome, ended)
        except StateError as error:
            self.reporter.warn(f"{wish.name}: {error.message}" + (f" ({error.hint})" if error.hint else ""))
            last = _as_ended(run, outcome, self.clock)
        self.tell(last)
        for job, snapshot in ended.snapshots.items() if wish.task == "backup" else ():
            settings = self.config.jobs.get(job)
            if settings is not None and settings.verify is not None:
                self.waiting.append(of_verification(job, settings, settings.verify, snapshot))

    def _recorded(self, wish: Wish, run: RunRecord, outcome: Outcome, ended: Ended) -> RunRecord:
        found = self.ledger.run(run.id)
        if found is None or found.state is RunState.RUNNING:
            end_dead(self.config, run, outcome, self.reporter, self.clock)
        elif ended.too_long and found.state is RunState.STOPPED:
            self.ledger.restate(run.id, outcome)
        self.ledger.release(run)
        found = self.ledger.run(run.id) or _as_ended(run, outcome, self.clock)
        if ended.told:
            self.ledger.annotate(run.id, {**found.figures, "told": ended.told})
        if found.state is RunState.OK and wish.entry:
            take_turn(self.ledger, wish.entry)
        return found


def _as_ended(run: RunRecord, outcome: Outcome, clock: Clock) -> RunRecord:
    """The record that cannot be written."""
    return replace(
        run,
        ended=clock(),
        state=outcome.state,
        exit_code=outcome.exit_code,
        kind=outcome.kind,
        message=outcome.message,
        hint=outcome.hint,
    )
