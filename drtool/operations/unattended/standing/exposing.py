"""What Prometheus is told: worked out from what is on record and from the repository, each time anew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from drtool import __version__
from drtool.config.root import Config
from drtool.errors import DrtoolError
from drtool.local.clock import Clock, now
from drtool.monitoring.conditions import Severity
from drtool.monitoring.metrics import Exposition
from drtool.monitoring.textfile import amend_textfile, write_textfile
from drtool.operations.reporting import Reporter
from drtool.operations.unattended.attending.records import ledger_of
from drtool.operations.unattended.standing.courses import Course
from drtool.operations.unattended.standing.status import JobStatus, ScheduleStatus, Status, gathered
from drtool.operations.unattended.standing.survey import JobSurvey, LogSurvey, Survey
from drtool.operations.unattended.standing.surveying import kept_survey
from drtool.repository.levels import VERIFIED
from drtool.scheduling.ledger import RunState

_BACKUP, _VERIFY = "backup", "verify"
_VALID = "drtool_configuration_valid"


def expose(config: Config, reporter: Reporter, clock: Clock = now) -> None:
    """Write the file that ``metrics.textfile`` names, if it does, from what is kept here; asks nobody. What goes wrong
    is a warning. By a configuration without jobs nothing can be worked out: then what is there says that it is no valid
    one, and stays as it is otherwise."""
    settings = config.metrics
    if settings is None:
        return
    try:
        if not config.jobs:
            amend_textfile(settings.textfile, _VALID, 0)
            return
        with ledger_of(config, clock) as ledger:
            status = gathered(config, ledger, kept_survey(config, ledger), clock())
        write_textfile(settings.textfile, exposition(status, settings.labels))
    except DrtoolError as error:
        reporter.warn(f"{error.message}. {error.hint}".rstrip(". ") + ".")


def exposition(status: Status, labels: Mapping[str, str]) -> str:
    """A status as Prometheus reads it; `labels` are added to every value."""
    told = Exposition(labels)
    told.set("drtool_build_info", 1, __version__)
    for job in status.jobs:
        _tell_job(told, job)
        if job.has_schedule:
            _tell_schedule(told, job.job, _BACKUP, job.course)
    for schedule in status.schedules:
        _tell_own_schedule(told, schedule)
    for source, log in status.survey.logs.items():
        _tell_log(told, source, log)
    _tell_repository(told, status.survey)
    told.set("drtool_scheduler_last_tick_timestamp_seconds", _stamp(status.ticked))
    told.set(_VALID, status.configuration_valid)
    for severity in Severity:
        count = sum(alert.condition.severity is severity for alert in status.alerts)
        told.set("drtool_open_alerts", count if status.runs_known and not status.problems else None, severity.label)
    return told.text()


def _tell_job(told: Exposition, job: JobStatus) -> None:
    course = job.course
    told.set("drtool_last_success_timestamp_seconds", _stamp(course.last_success), job.job, _BACKUP)
    run = course.last_run
    if run is not None:
        told.set("drtool_last_run_timestamp_seconds", _stamp(run.ended), job.job, _BACKUP)
        told.set("drtool_last_run_success", run.state is RunState.OK, job.job, _BACKUP)
        told.set("drtool_last_duration_seconds", run.seconds, job.job, _BACKUP)
    told.set("drtool_expected_interval_seconds", course.interval, job.job)
    told.set("drtool_objective_rpo_seconds", job.rpo, job.job)
    if job.survey is not None:
        _tell_snapshots(told, job.job, job.survey)


def _tell_snapshots(told: Exposition, job: str, survey: JobSurvey) -> None:
    verified = survey.verified.get(VERIFIED.label)
    told.set("drtool_last_success_timestamp_seconds", _stamp(verified), job, _VERIFY)
    told.set("drtool_recovery_point_timestamp_seconds", _stamp(survey.instant), job)
    told.set("drtool_snapshots", survey.snapshots, job)
    told.set("drtool_backup_size_bytes", survey.bytes, job)
    told.set("drtool_stored_bytes", survey.stored_bytes, job)
    told.set("drtool_verification_failures", survey.failing, job)
    told.set("drtool_suspect_snapshots", survey.suspects, job)
    for level, at in survey.verified.items():
        told.set("drtool_verified_timestamp_seconds", _stamp(at), job, level)


def _tell_schedule(told: Exposition, name: str, task: str, course: Course) -> None:
    """What only a schedule has."""
    told.set("drtool_schedule_next_run_timestamp_seconds", _stamp(course.next_run), name, task)
    told.set("drtool_schedule_missed_runs", course.missed, name, task)
    told.set("drtool_schedule_paused", course.paused is not None, name, task)
    if course.running is not None:
        told.set("drtool_schedule_running_since_timestamp_seconds", _stamp(course.running.started), name, task)


def _tell_own_schedule(told: Exposition, schedule: ScheduleStatus) -> None:
    course, labels = schedule.course, (schedule.name, schedule.task)
    _tell_schedule(told, *labels, course)
    told.set("drtool_schedule_last_success_timestamp_seconds", _stamp(course.last_success), *labels)
    run = course.last_run
    if run is not None:
        told.set("drtool_schedule_last_run_timestamp_seconds", _stamp(run.ended), *labels)
        told.set("drtool_schedule_last_run_success", run.state is RunState.OK, *labels)
        told.set("drtool_schedule_last_duration_seconds", run.seconds, *labels)


def _tell_log(told: Exposition, source: str, log: LogSurvey) -> None:
    told.set("drtool_pitr_lag_seconds", log.lag, source)
    told.set("drtool_pitr_archived_timestamp_seconds", _stamp(log.archived_until), source)
    told.set("drtool_pitr_gaps", len(log.gaps), source)
    told.set("drtool_pitr_restorable", log.leads_on, source)


def _tell_repository(told: Exposition, survey: Survey) -> None:
    was_asked = survey.taken_at is not None or survey.unanswered is not None
    told.set("drtool_repository_reachable", survey.unanswered is None if was_asked else None)
    told.set("drtool_repository_answered_timestamp_seconds", _stamp(survey.taken_at))
    told.set("drtool_repository_problems", len(survey.problems) if survey.taken_at else None)
    told.set("drtool_repository_size_bytes", survey.bytes)
    for space in survey.spaces:
        told.set("drtool_free_bytes", space.free, space.place)
        told.set("drtool_capacity_bytes", space.total, space.place)


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
