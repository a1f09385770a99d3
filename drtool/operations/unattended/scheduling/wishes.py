"""What the scheduler wants to have started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from drtool.config.jobs import Job, VerifyAfter
from drtool.config.timing import Repeated
from drtool.scheduling.entries import Entry, verification


@dataclass(frozen=True, slots=True)
class Wish:
    """A command, and what it is started for: a slot of an entry that was ``tried`` so many times already, an entry that
    somebody asks for (no slot), or what follows a run (no entry). ``jobs`` are those that it works on."""

    name: str
    task: str
    job: str
    jobs: tuple[str, ...]
    entry: str
    arguments: tuple[str, ...]
    settings: Repeated
    slot: datetime | None = None
    tried: int = 0


def of_entry(entry: Entry, turn: int, slot: datetime | None = None, tried: int = 0) -> Wish:
    """An entry's turn."""
    arguments = tuple(entry.arguments(turn))
    return Wish(entry.name, entry.task, entry.job, entry.jobs, entry.name, arguments, entry.settings, slot, tried)


def of_verification(job: str, settings: Job, wanted: VerifyAfter, snapshot: str) -> Wish:
    """What follows a job's backup."""
    arguments = tuple(verification(snapshot, wanted))
    return Wish(f"{job} (verify)", "verify", job, (job,), "", arguments, settings)
