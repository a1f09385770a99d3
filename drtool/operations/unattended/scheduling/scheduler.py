"""``schedule run``: starts what is due, stays while it runs, and tells what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.errors import ConfigError, DrtoolError, InterruptedRunError
from drtool.local.clock import Clock
from drtool.operations.reporting import Reporter
from drtool.operations.unattended.attending.attending import end_dead
from drtool.operations.unattended.configuration.keeping import keep
from drtool.operations.unattended.configuration.noting import note_broken, note_good
from drtool.operations.unattended.scheduling.children import Launcher
from drtool.operations.unattended.scheduling.remains import LOST, overlapping, passed_over
from drtool.operations.unattended.scheduling.supervising import Supervisor
from drtool.operations.unattended.scheduling.watching import watch
from drtool.operations.unattended.scheduling.wishes import Wish, of_entry
from drtool.scheduling.entries import Entry, entries_of, named
from drtool.scheduling.ledger import Ledger, Outcome, RunRecord, RunState, unattended_directory
from drtool.scheduling.standings import acquaint, standings, tick, turns_taken

#: Runs are kept on record for so long.
_KEPT_FOR = timedelta(days=400)
#: While commands run, it is looked so often whether something is due, and people are told so often.
_LOOK, _WATCH = timedelta(seconds=30), timedelta(seconds=60)
#: A clock that was put back by less does no harm.
_SLIGHTLY = timedelta(minutes=1)


class Scheduler:
    """One call of ``schedule run``. Several at a time are fine: each slot is claimed by one of them.

    `tell` hears of each run when it has ended. What cannot be done (put on record, say) is in ``problems`` afterwards:
    it keeps nothing else from being done.
    """

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        clock: Clock,
        launcher: Launcher,
        reporter: Reporter,
        tell: Callable[[RunRecord], None] = lambda _run: None,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._clock = clock
        self._launcher = launcher
        self._reporter = reporter
        self._tell = tell
        self._entries = entries_of(config)
        self.problems: list[DrtoolError] = []
        self._ended: list[RunRecord] = []
        self._supervisor = Supervisor(config, ledger, clock, launcher, reporter, self._note_end)
        self._watched: datetime | None = None
        self._told = 0
        self._next = clock()
        self._read = _version(config.path)
        self._kept: Config | None = None

    def run_due(self) -> list[RunRecord]:
        """Start what is due, and what becomes due while it runs; the runs that ended."""
        return self._stay(self._look)

    def run_now(self, names: Sequence[str]) -> list[RunRecord]:
        """Start these entries, due or not, paused or not; ``UsageError`` where one does not exist."""
        self._supervisor.waiting += [self._wish(entry) for entry in named(self._entries, names)]
        return self._stay(lambda: None)

    def due(self, names: Sequence[str] = ()) -> list[tuple[Entry, datetime | None]]:
        """What would be started now, with the slot that it would be started for; changes nothing."""
        if names:
            return [(entry, None) for entry in named(self._entries, names)]
        found = standings(self._entries, self._ledger, self._clock())
        return [(entry, one.due_slot) for entry, one in found if one.due_slot is not None]

    def _wish(self, entry: Entry, slot: datetime | None = None, tried: int = 0) -> Wish:
        return of_entry(entry, turns_taken(self._ledger, entry.name), slot, tried)

    def _stay(self, look: Callable[[], None]) -> list[RunRecord]:
        try:
            while True:
                self._next = self._clock() + _LOOK
                supervisor = self._supervisor
                for step in (supervisor.collect, self._recover, look, supervisor.start_waiting, self._watch):
                    self._try(step)
                if not self._supervisor.is_busy:
                    return self._ended
                self._launcher.wait(max(0.0, (self._next - self._clock()).total_seconds()))
        except (KeyboardInterrupt, InterruptedRunError):
            self._supervisor.stop()
            raise

    def _try(self, step: Callable[[], None]) -> None:
        """One that cannot be done is no reason to leave the others."""
        try:
            step()
        except InterruptedRunError:
            raise
        except DrtoolError as error:
            if all(error.message != before.message for before in self.problems):
                self.problems.append(error)

    def _recover(self) -> None:
        """End what is on record as running while nobody answers for it."""
        for run in self._ledger.runs(state=RunState.RUNNING):
            if self._ledger.take_over(run):
                end_dead(self._config, run, LOST, self._reporter, self._clock)
                self._ledger.release(run)
                self._note_end(self._ledger.run(run.id) or run)

    def _look(self) -> None:
        """Find what is due."""
        supervisor, moment, due = self._supervisor, self._clock(), []
        supervisor.waiting = [wish for wish in supervisor.waiting if wish.slot is None]
        if not self._is_up_to_date():
            return
        self._try(lambda: self._prepare(moment))
        for entry, found in standings(self._entries, self._ledger, moment):
            self._next = min(self._next, found.next_slot)
            if found.passed_over is not None:
                self._skip(self._wish(entry, found.passed_over), passed_over(len(found.missed)))
            elif found.due_slot is not None:
                wish = self._wish(entry, found.due_slot, found.tried)
                if found.running is not None and self._ledger.is_alive(found.running):
                    self._skip(wish, overlapping(found.running))
                else:
                    due.append(wish)
        supervisor.waiting += sorted(due, key=lambda wish: wish.slot or moment)

    def _is_up_to_date(self) -> bool:
        """Is the configuration as it was read? One that has changed is read again; where it keeps its runs elsewhere by
        now, they are left to the next call. ``ConfigError`` where it is broken: nothing would go well that is started.
        """
        version = _version(self._config.path)
        if version == self._read:
            return True
        try:
            config = load_config(self._config.path)
        except ConfigError as error:
            note_broken(self._ledger, self._config.path, error, self._clock())
            raise
        note_good(self._ledger, config.path)
        if unattended_directory(config.repository.state_dir, config.repository.url) != self._ledger.directory:
            return False
        self._config = self._supervisor.config = config
        self._entries, self._read = entries_of(config), version
        return True

    def _skip(self, wish: Wish, why: Outcome) -> None:
        self._try(lambda: self._supervisor.skip(wish, why))

    def _prepare(self, moment: datetime) -> None:
        """Note what later calls go by."""
        self._bring_back(moment)
        acquaint(self._ledger, self._entries, moment)
        tick(self._ledger, moment)
        if self._kept is not self._config:
            note_good(self._ledger, self._config.path)
            keep(self._config)
            self._kept = self._config

    def _bring_back(self, moment: datetime) -> None:
        """Whatever is on record from later than now was written when the clock was ahead."""
        ahead = self._ledger.runs(since=moment + _SLIGHTLY, limit=1)
        if ahead:
            count = self._ledger.bring_back(moment)
            runs = "a run is" if count == 1 else f"{count} runs are"
            self._reporter.warn(
                f"this host's clock was put back: {runs} on record up to"
                f" {ahead[0].started.isoformat(timespec='seconds')}, which is still to come; they count as of now"
            )

    def _watch(self) -> None:
        moment = self._clock()
        # The last to end may have left the telling to others, whom nobody calls for an hour, perhaps.
        is_last = len(self._ended) != self._told and not self._supervisor.is_busy
        if self._watched is None or abs(moment - self._watched) >= _WATCH or is_last:
            if self._watched is None:
                self._ledger.forget(moment - _KEPT_FOR)
            self._watched, self._told = moment, len(self._ended)
            watch(self._config, self._ledger, self._reporter, self._clock)

    def _note_end(self, run: RunRecord) -> None:
        self._ended.append(run)
        self._tell(run)


def _version(path: Path) -> tuple[int, ...]:
    """Differs once a file was changed or replaced."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino) if path.is_file() else ()
