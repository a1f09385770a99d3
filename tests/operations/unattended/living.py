"""A clock that is set by hand, and runs that are put on record at its times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from drtool.scheduling.ledger import Ledger, Outcome, RunState


@dataclass(slots=True)
class HandSet:
    """A clock (``drtool.local.clock``)."""

    time: datetime

    def __call__(self) -> datetime:
        return self.time


def put_on_record(
    ledger: Ledger,
    clock: HandSet,
    id_: str,
    task: str,
    state: RunState,
    *,
    job: str = "",
    entry: str = "",
    message: str = "",
    minutes: float = 10,
) -> None:
    """A run that begins now, as a schedule's, and ends so many minutes later."""
    ledger.begin(id_, task, job=job, entry=entry, slot=clock())
    clock.time += timedelta(minutes=minutes)
    exit_code = 0 if state is RunState.OK else 1
    ledger.end(id_, Outcome(state, exit_code, kind="storage" if message else "", message=message))
