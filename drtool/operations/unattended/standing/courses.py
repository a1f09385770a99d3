"""How things go that are done repeatedly: what succeeded last, what comes next, and what did not happen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise, takewhile

from drtool.errors import ExitCode
from drtool.scheduling.due import GRACE, ON_TIME, Standing
from drtool.scheduling.entries import Entry
from drtool.scheduling.expressions import Schedule
from drtool.scheduling.ledger import Pause, RunRecord, RunState

#: So many slots without a success are late, whatever was tried: one may be on its way, or be made up for.
TOO_MANY = 2
_MOST_SLOTS = 100
#: From so many slots before and after now the longest interval is taken.
_SLOTS_AROUND = 8
#: What is on record as running here is not: its process is gone.
_ENDED_BADLY = (RunState.FAILED, RunState.PARTIAL, RunState.STOPPED, RunState.LOST, RunState.RUNNING)


class State(StrEnum):
    """How a job or a schedule stands, in a word."""

    OK = "ok"
    LATE = "late"
    FAILED = "failed"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Course:
    """``last_run`` is the newest that ended, but for those that were skipped or called off by a person; ``running`` one
    whose process lives.

    ``missed`` counts the slots since the last attempt for which nothing has started, ``behind`` those since the last
    success; ``late_since`` is since when there should have been another one, None where all is in time. ``interval`` is
    the longest time (seconds) between two slots. ``tried``: is any run on record, one that was skipped, too?
    """

    last_success: datetime | None = None
    last_run: RunRecord | None = None
    running: RunRecord | None = None
    next_run: datetime | None = None
    late_since: datetime | None = None
    missed: int = 0
    behind: int = 0
    interval: float | None = None
    paused: Pause | None = None
    tried: bool = False

    @property
    def state(self) -> State:
        """In a word; what failed before the last success counts no more."""
        last = self.last_run
        if last is not None and last.state in _ENDED_BADLY and not self._succeeded_after(last):
            return State.FAILED
        if self.last_success is None:
            return State.NEVER
        return State.OK if self.late_since is None else State.LATE

    @property
    def is_to_begin(self) -> bool:
        """Has its first turn not come yet?"""
        return self.last_success is None and not self.tried and not self.missed

    def _succeeded_after(self, run: RunRecord) -> bool:
        return self.last_success is not None and self.last_success > (run.ended or run.started)


def course(
    planned: Sequence[tuple[Entry, Standing | None]],
    runs: Sequence[RunRecord],
    alive: Iterable[str],
    last_success: datetime | None,
    now: datetime,
) -> Course:
    """Of what is done by these entries, none for what nobody scheduled. `runs` are its own, newest first; `alive` are
    the ids of those whose processes live. A standing is None where this host keeps no record of runs."""
    schedules = [entry.schedule for entry, _ in planned]
    stand = [standing for _, standing in planned if standing is not None]
    living = set(alive)
    ended = (run for run in runs if run.id not in living and not _says_nothing(run))
    missed = [standing.missed for standing in stand if standing.missed]
    paused = [standing.paused for standing in stand if standing.paused is not None]
    behind = [slots_since(schedule, last_success, now) for schedule in schedules] if last_success else []
    return Course(
        last_success=last_success,
        last_run=next(ended, None),
        running=next((run for run in runs if run.id in living), None),
        next_run=min((schedule.next_after(now) for schedule in schedules), default=None),
        late_since=min(_late(missed, behind, now), default=None),
        missed=max(map(len, missed), default=0),
        behind=max(map(len, behind), default=0),
        interval=min((longest_interval(schedule, now) for schedule in schedules), default=None),
        paused=paused[0] if len(paused) == len(planned) > 0 else None,
        tried=bool(runs),
    )


def _says_nothing(run: RunRecord) -> bool:
    was_called_off = run.state is RunState.STOPPED and run.slot is None and run.exit_code == ExitCode.INTERRUPTED
    return run.state is RunState.SKIPPED or was_called_off


def _late(missed: Iterable[Sequence[datetime]], behind: Iterable[Sequence[datetime]], now: datetime) -> list[datetime]:
    waiting = [slots[0] for slots in missed if now - slots[0] > ON_TIME]
    return waiting + [slots[0] for slots in behind if len(slots) >= TOO_MANY and now - slots[TOO_MANY - 1] > GRACE]


def slots_since(schedule: Schedule, moment: datetime, now: datetime) -> list[datetime]:
    """The slots after a moment that have come, oldest first; of very many the newest."""
    newest_first = takewhile(lambda slot: slot > moment, schedule.back_from(now))
    return list(islice(newest_first, _MOST_SLOTS))[::-1]


def longest_interval(schedule: Schedule, now: datetime) -> float:
    """The longest time (seconds) between two slots in a row, as far as those around now tell."""
    slots = list(islice(schedule.back_from(now), _SLOTS_AROUND))[::-1]
    for _ in range(_SLOTS_AROUND):
        slots.append(schedule.next_after(slots[-1]))
    gaps = (later - earlier for earlier, later in pairwise(slots))
    return max(gaps, default=timedelta(0)).total_seconds()
