"""Entries and runs for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drtool.config.jobs import Job
from drtool.scheduling.entries import Entry
from drtool.scheduling.expressions import Schedule
from drtool.scheduling.ledger import RunRecord, RunState


def at(text: str) -> datetime:
    """A moment of November 2026 in UTC: ``21 02:00``."""
    return datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def entry(expression: str = "0 2 * * *", name: str = "nightly", **settings: Any) -> Entry:
    """A job's backups, in UTC."""
    job = Job(sources=("app",), schedule=expression, timezone="UTC", **settings)
    return Entry(name, "backup", name, (name,), Schedule(job.schedule or "", "UTC"), job)


def run(
    started: datetime,
    state: RunState = RunState.OK,
    *,
    slot: datetime | None = None,
    ended: datetime | None = None,
    exit_code: int = 0,
) -> RunRecord:
    """A run that took no time, unless `ended` says otherwise."""
    over = None if state is RunState.RUNNING else ended or started
    return RunRecord(
        f"{started.isoformat()} {slot}", "backup", "nightly", "nightly", slot, started, over, state, exit_code
    )
