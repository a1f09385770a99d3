"""``drtool status`` as tables and lines for people."""

from __future__ import annotations

from datetime import datetime

from drtool.cli.context import Context
from drtool.cli.status_fields import show_fields
from drtool.cli.status_words import ago, reason_of_job, reason_of_schedule, shares_left
from drtool.cli.units import counted, duration, size
from drtool.operations.unattended.standing.courses import Course, State
from drtool.operations.unattended.standing.status import JobStatus, ScheduleStatus, Status
from drtool.operations.unattended.standing.survey import JobSurvey, Survey
from drtool.scheduling.ledger import Pause

_JOBS = ("JOB", "STATE", "LAST SUCCESS", "NEXT RUN", "OVERDUE", "VERIFIED", "SNAPSHOTS", "SIZE", "7 DAYS", "PITR LAG")
_SCHEDULES = ("SCHEDULE", "TASK", "STATE", "LAST SUCCESS", "NEXT RUN", "OVERDUE")


def show_status(context: Context, status: Status) -> None:
    """All of it, for programs too."""
    show_fields(context, status)
    output, at = context.output, status.at
    right = ("OVERDUE", "SNAPSHOTS", "SIZE", "7 DAYS", "PITR LAG")
    output.table(_JOBS, [_job_row(job, status) for job in status.jobs], right=right)
    for job in status.jobs:
        _show_reason(context, job.job, reason_of_job(job, status), job.course, at)
    if status.schedules:
        output.text()
        output.table(_SCHEDULES, [_schedule_row(one, at) for one in status.schedules], right=("OVERDUE",))
        for one in status.schedules:
            _show_reason(context, one.name, reason_of_schedule(one.course, at), one.course, at)
    output.text()
    _show_alerts(context, status)
    _show_surroundings(context, status)


def _job_row(job: JobStatus, status: Status) -> tuple[str, ...]:
    survey, at = job.survey, status.at
    state, times = _state(job.state), _times(job.course, job.late_since, at)
    if status.is_blind:
        state, times = "?", ("?", *times[1:])
    return (
        job.job,
        state,
        *times,
        _verified(survey, at),
        f"{survey.snapshots:,}" if survey else "",
        size(survey.bytes) if survey else "",
        f"+{size(survey.growth[0].stored_bytes)}" if survey and survey.growth else "",
        "" if job.pitr_lag is None else duration(job.pitr_lag),
    )


def _schedule_row(one: ScheduleStatus, at: datetime) -> tuple[str, ...]:
    state = one.course.state.value if one.course.is_to_begin else _state(one.course.state)
    return (one.name, one.task, state, *_times(one.course, one.course.late_since, at))


def _times(course: Course, late_since: datetime | None, at: datetime) -> tuple[str, str, str]:
    next_run = "paused" if course.paused is not None else ago(course.next_run, at)
    overdue = "" if late_since is None else duration((at - late_since).total_seconds())
    return ago(course.last_success, at) or "never", next_run, overdue


def _state(state: State) -> str:
    return state.value if state is State.OK else state.value.upper()


def _verified(survey: JobSurvey | None, at: datetime) -> str:
    """The newest snapshot's level, or what an older one has."""
    if survey is None:
        return ""
    marks = (", FAILED" if survey.verification_failed else "") + (", SUSPECT" if survey.suspect else "")
    if survey.verified_at is not None:
        return f"{survey.level} {ago(survey.verified_at, at)}{marks}"
    for level, moment in sorted(survey.verified.items(), key=lambda one: one[1], reverse=True):
        return f"newest: none; {level} {ago(moment, at)}{marks}"
    return f"none{marks}"


def _show_reason(context: Context, name: str, why: str, course: Course, at: datetime) -> None:
    output = context.output
    if why:
        output.text(f"✗ {name} {why}")
        if course.state is State.FAILED and course.last_run is not None and course.last_run.hint:
            output.text(f"    {course.last_run.hint}")
    if course.running is not None:
        output.text(f"  {name} is running since {ago(course.running.started, at)}")
    if course.paused is not None:
        output.text(f"✗ {name} {_paused(course.paused, at)}")


def _paused(pause: Pause, at: datetime) -> str:
    until = "until somebody resumes it" if pause.until is None else f"until {pause.until.isoformat(timespec='minutes')}"
    why = f": {pause.reason}" if pause.reason else ""
    return f"was paused {ago(pause.since, at)} by {pause.who}, {until}{why}"


def _show_alerts(context: Context, status: Status) -> None:
    if not status.alerts:
        if status.runs_known and not status.problems:
            context.output.ok("no alert is open")
        return
    context.output.text(f"✗ {counted(len(status.alerts), 'open alert')}; drtool notify list says what to do")
    for alert in status.alerts:
        condition = alert.condition
        seen = f" (seen to by {alert.who})" if alert.who else ""
        context.output.text(
            f"    {condition.severity.label}, {ago(condition.since, status.at)}: {condition.title}{seen}"
        )


def _show_surroundings(context: Context, status: Status) -> None:
    output, survey, at = context.output, status.survey, status.at
    if survey.unanswered is not None:
        since = ago(survey.unanswered.since, at)
        known = (
            "nothing is known of it"
            if survey.taken_at is None
            else f"what is shown of it is from {ago(survey.taken_at, at)}"
        )
        output.text(f"✗ the repository could not be asked (first {since}), {known}: {survey.unanswered.message}")
    for problem in survey.problems:
        output.text(f"✗ {problem}")
    for problem in status.problems:
        output.text(f"✗ {problem}")
    packs = "" if survey.bytes is None else f"{size(survey.bytes)} in packs; "
    output.text(f"  {packs}room left: {_free(survey)}")
    output.text(f"  {_scheduler(status)}")


def _free(survey: Survey) -> str:
    """Places on one file system together."""
    places: dict[tuple[str, str], list[str]] = {}
    for space, share in shares_left(survey.spaces):
        places.setdefault((f"{size(space.free)} ({share:.0%})", size(space.total)), []).append(space.place)
    return "; ".join(f"{', '.join(names)} {left}" for (left, _), names in places.items())


def _scheduler(status: Status) -> str:
    if not status.runs_known:
        why = "the local state cannot be used" if status.problems else "drtool has run nothing on this host"
        return f"runs, schedules and alerts are not known here: {why}"
    if status.ticked is None:
        return (
            "nothing has called drtool schedule run on this host yet: drtool schedule install sees to that, and"
            " drtool doctor says whether it is at work"
        )
    return f"drtool schedule run was last called {ago(status.ticked, status.at)}"
