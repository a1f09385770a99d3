"""Commands that take no time but that of a clock set by hand, for tests of the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drtool.config.root import Config
from drtool.errors import DrtoolError, ExitCode
from drtool.operations.reporting import Silent
from drtool.operations.unattended.attending.attending import attended
from drtool.operations.unattended.attending.records import ledger_of
from drtool.operations.unattended.attending.turn import Turn
from drtool.operations.unattended.scheduling.children import Call, Ended
from drtool.operations.unattended.scheduling.scheduler import Scheduler
from drtool.scheduling.ledger import Ledger, RunRecord
from tests.operations.unattended.living import HandSet
from tests.scheduling.samples import at


@dataclass(frozen=True)
class Happening:
    """What a command does: it takes a while, and fails or dies, or takes a snapshot."""

    lasts: timedelta = timedelta(minutes=2)
    error: DrtoolError | None = None
    dies: bool = False
    snapshot: str = ""


@dataclass
class Stage:
    """A host with a clock that is set by hand. `happens` says what a command does; `started` are all there were, with
    their times."""

    config: Config
    clock: HandSet
    happens: Callable[[Call], Happening] = lambda _call: Happening()
    started: list[tuple[datetime, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[DrtoolError] = field(default_factory=list)
    most_at_once: int = 0
    _running: list[Pretended] = field(default_factory=list)

    def start(self, call: Call) -> Pretended:
        """Start one (``Launcher``)."""
        self.started.append((self.clock(), " ".join(call.arguments)))
        child = Pretended(self, call, self.happens(call), self.clock())
        self._running = [other for other in self._running if not other.is_over] + [child]
        self.most_at_once = max(self.most_at_once, len(self._running))
        return child

    def wait(self, seconds: float) -> None:
        """Time passes (``Launcher``)."""
        first = min(child.until for child in self._running if not child.is_over)
        self.clock.time = max(self.clock.time, min(self.clock.time + timedelta(seconds=seconds), first))

    @contextmanager
    def scheduler(self) -> Iterator[Scheduler]:
        """``schedule run`` is called."""
        reporter = Silent()
        with ledger_of(self.config, self.clock) as ledger:
            scheduler = Scheduler(self.config, ledger, self.clock, self, reporter)
            yield scheduler
        self.warnings += reporter.warnings
        self.problems = scheduler.problems

    def run_due(self) -> list[RunRecord]:
        """``schedule run``."""
        with self.scheduler() as scheduler:
            return scheduler.run_due()

    def calls(self) -> list[str]:
        """What was started since the last call of this: ``21 02:00 backup nightly``."""
        told = [f"{time:%d %H:%M} {arguments}" for time, arguments in self.started]
        self.started.clear()
        return told

    def come(self, *times: str) -> None:
        """Cron calls at these times, such as ``21 02:00``."""
        for time in times:
            self.clock.time = at(time)
            self.run_due()

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """What is on record."""
        with ledger_of(self.config, self.clock) as opened:
            yield opened

    def runs(self) -> list[RunRecord]:
        """The same, oldest first."""
        with self.ledger() as ledger:
            return ledger.runs()[::-1]


class Pretended:
    """A command (``Child``)."""

    def __init__(self, stage: Stage, call: Call, happening: Happening, started: datetime) -> None:
        self._stage = stage
        self._call = call
        self._happening = happening
        self.until = started + happening.lasts
        self.is_over = False

    def ended(self) -> Ended | None:
        """What is left of it, once its time has come."""
        if self._stage.clock() < self.until:
            return None
        self.is_over = True
        what = self._happening
        if what.dies:
            return Ended(137, signal="SIGKILL")
        try:
            self._attend()
        except DrtoolError as error:
            return Ended(error.exit_code, kind=error.kind, message=error.message, hint=error.hint)
        run = self._call.run
        return Ended(ExitCode.OK, snapshots={run.job: what.snapshot} if what.snapshot else {})

    def stop(self) -> None:
        """It ends at once."""
        self.until = self._stage.clock()

    def _attend(self) -> None:
        run, stage = self._call.run, self._stage
        turn = Turn(run.id, run.entry, run.slot)
        with attended(stage.config, run.task, Silent(), job=run.job, turn=turn, clock=stage.clock, environment={}):
            if self._happening.error is not None:
                raise self._happening.error
