"""``drtool status`` as JSON lines for programs."""

from __future__ import annotations

from datetime import datetime

from drtool.cli.context import Context
from drtool.cli.status_words import reason_of_job, reason_of_schedule
from drtool.operations.unattended.standing.courses import Course, State
from drtool.operations.unattended.standing.status import JobStatus, Status
from drtool.scheduling.ledger import RunRecord


def show_fields(context: Context, status: Status) -> None:
    """All of them; they go to programs only."""
    output = context.output
    for job in status.jobs:
        output.line("job", job=job.job, **_job_fields(job, status))
    for one in status.schedules:
        why = reason_of_schedule(one.course, status.at)
        fields = _course_fields(one.course, one.course.state, one.course.late_since, status.at)
        output.line("schedule", schedule=one.name, task=one.task, **fields, why=why)
    for alert in status.alerts:
        condition = alert.condition
        output.line(
            "alert",
            alert=condition.key,
            severity=condition.severity.label,
            title=condition.title,
            text=condition.text,
            job=condition.job,
            run=condition.run,
            since=condition.since,
            opened=alert.opened,
            acknowledged=alert.who,
        )
    for space in status.survey.spaces:
        output.line("space", place=space.place, path=space.path, free=space.free, total=space.total)
    survey = status.survey
    output.result(
        at=status.at,
        runs_known=status.runs_known,
        last_tick=status.ticked,
        open_alerts=len(status.alerts),
        problems=list(status.problems),
        repository={
            "reachable": survey.unanswered is None,
            "answered_at": survey.taken_at,
            "unanswered": survey.unanswered,
            "problems": list(survey.problems),
            "bytes": survey.bytes,
        },
    )


def _job_fields(job: JobStatus, status: Status) -> dict[str, object]:
    survey = job.survey
    return {
        **_course_fields(job.course, job.state, job.late_since, status.at),
        "why": reason_of_job(job, status),
        "rpo": job.rpo,
        "level": survey.level if survey else None,
        "verified_at": survey.verified_at if survey else None,
        "verified": survey.verified if survey else {},
        "pitr_lag": job.pitr_lag,
        "snapshots": survey.snapshots if survey else 0,
        "snapshot": survey.newest if survey else None,
        "instant": survey.instant if survey else None,
        "consistency": survey.consistency if survey else None,
        "suspect": survey.suspect if survey else None,
        "bytes": survey.bytes if survey else None,
        "stored_bytes": survey.stored_bytes if survey else None,
        "growth": survey.growth if survey else (),
        "head": survey.head if survey else None,
    }


def _course_fields(course: Course, state: State, late_since: datetime | None, at: datetime) -> dict[str, object]:
    return {
        "state": state,
        "last_success": course.last_success,
        "next_run": course.next_run,
        "overdue": None if late_since is None else round((at - late_since).total_seconds(), 1),
        "missed": course.missed,
        "interval": course.interval,
        "paused": course.paused,
        "running": _run_fields(course.running),
        "last_run": _run_fields(course.last_run),
        "error": _error(course),
    }


def _run_fields(run: RunRecord | None) -> dict[str, object] | None:
    if run is None:
        return None
    seconds = None if run.seconds is None else round(run.seconds, 3)
    return {
        "run": run.id,
        "state": run.state,
        "started": run.started,
        "ended": run.ended,
        "seconds": seconds,
        "exit_code": run.exit_code,
    }


def _error(course: Course) -> dict[str, str] | None:
    run = course.last_run
    if course.state is not State.FAILED or run is None:
        return None
    return {"kind": run.kind, "message": run.message, "hint": run.hint}
