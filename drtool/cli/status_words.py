"""A status in words: moments as distances, and why something is not as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from drtool.cli.units import duration
from drtool.operations.unattended.standing.courses import TOO_MANY, Course, State
from drtool.operations.unattended.standing.status import JobStatus, Status
from drtool.operations.unattended.standing.survey import Space
from drtool.scheduling.ledger import RunState

_ENDED = {
    RunState.PARTIAL: "was done in part only",
    RunState.STOPPED: "was stopped",
    RunState.LOST: "ended without a word",
    RunState.RUNNING: "ended without a word, begun",
}


def ago(moment: datetime | None, at: datetime) -> str:
    """``3 h 5 min ago``, ``in 20 min`` for what is to come, empty for None."""
    if moment is None:
        return ""
    seconds = (at - moment).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def reason(state: State, course: Course, at: datetime, too_old_since: datetime | None = None) -> str:
    """Why it is not ok, to stand after its name; empty where it is."""
    run = course.last_run
    if state is State.FAILED and run is not None:
        why = f": {run.message}" if run.message else ""
        ended = "failed" if run.has_no_snapshot and run.state is RunState.PARTIAL else _ENDED.get(run.state, "failed")
        return f"{ended} {ago(run.ended or run.started, at)}{why}{_in_a_row(course)}"
    if course.missed and state is not State.OK:
        waiting = f" since {ago(course.late_since, at)}" if course.late_since else ""
        return f"did not run{waiting}: {course.missed} missed"
    if state is State.NEVER:
        return "has never succeeded"
    if too_old_since is not None:
        return f"is late: its newest snapshot has been older than objectives.rpo for {_since(too_old_since, at)}"
    if state is State.LATE and course.late_since is not None:
        return f"is late by {_since(course.late_since, at)}{_in_a_row(course)}"
    return ""


def reason_of_job(job: JobStatus, status: Status) -> str:
    """The same of a job."""
    if status.is_blind:
        return "is not known: neither the repository nor this host's record of runs tells of it"
    return reason(job.state, job.course, status.at, job.too_old_since)


def reason_of_schedule(course: Course, at: datetime) -> str:
    """The same of a schedule beside the jobs' own: before its first turn nothing is amiss with it."""
    return "" if course.is_to_begin else reason(course.state, course, at)


def shares_left(spaces: Iterable[Space]) -> Iterator[tuple[Space, float]]:
    """Each file system with the share of it that is free, from 0 to 1."""
    for space in spaces:
        yield space, space.free / space.total if space.total else 1.0


def _in_a_row(course: Course) -> str:
    return f", {course.behind} slots without a success" if course.behind >= TOO_MANY else ""


def _since(moment: datetime, at: datetime) -> str:
    return duration(max(0.0, (at - moment).total_seconds()))
