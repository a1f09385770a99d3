"""How everything stands: what this host has on record, and what the repository says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from drtool.config.root import Config
from drtool.errors import StateError
from drtool.local.clock import Clock, now
from drtool.monitoring.alerting.store import Alert, open_alerts
from drtool.operations.unattended.configuration.noting import broken
from drtool.operations.unattended.standing.courses import Course, State, course
from drtool.operations.unattended.standing.spaces import spaces
from drtool.operations.unattended.standing.survey import JobSurvey, Survey
from drtool.operations.unattended.standing.surveying import keep_survey, kept_survey, look
from drtool.scheduling.due import Standing
from drtool.scheduling.entries import Entry, entries_of
from drtool.scheduling.ledger import Ledger, RunRecord, RunState, unattended_directory
from drtool.scheduling.standings import last_tick, standings

#: How long (seconds) the repository may take to answer somebody who waits for it.
LIMIT = 15.0
_RUNS = 50


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job. ``survey`` is None where no snapshot of it is known; ``pitr_lag`` (seconds) is the largest of its archived
    logs, None without one. ``rpo`` is ``objectives.rpo`` (seconds), ``too_old_since`` when its newest snapshot became
    older than that. ``has_schedule``: one of its own?
    """

    job: str
    course: Course
    survey: JobSurvey | None
    pitr_lag: float | None
    rpo: float | None
    too_old_since: datetime | None
    has_schedule: bool

    @property
    def state(self) -> State:
        """In a word."""
        found = self.course.state
        return State.LATE if found is State.OK and self.too_old_since is not None else found

    @property
    def late_since(self) -> datetime | None:
        """Since when there should have been another snapshot; None where all is in time."""
        since = [moment for moment in (self.course.late_since, self.too_old_since) if moment is not None]
        return min(since, default=None)


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """A schedule beside the jobs' own."""

    name: str
    task: str
    course: Course


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at a moment. ``survey`` says itself whether the repository answered. ``runs_known`` is False where
    this host keeps no record of runs; then there are no ``schedules``. ``ticked`` is when ``schedule run`` was last
    called, ``configuration_valid`` whether it could use the configuration then. ``problems`` are sentences on what
    could not be looked at here."""

    at: datetime
    jobs: tuple[JobStatus, ...]
    schedules: tuple[ScheduleStatus, ...]
    alerts: tuple[Alert, ...]
    survey: Survey
    runs_known: bool
    ticked: datetime | None
    problems: tuple[str, ...]
    configuration_valid: bool

    @property
    def is_blind(self) -> bool:
        """Is nothing known of any job, by neither the record of runs nor the repository?"""
        return not self.runs_known and self.survey.taken_at is None


def status_of(config: Config, clock: Clock = now, limit: float = LIMIT) -> Status:
    """Asks the repository, for at most `limit` seconds; where it does not answer, what was kept of it is told."""
    problems: list[str] = []
    with ExitStack() as stack:
        ledger = _ledger(config, clock, stack, problems)
        kept = None if ledger is None else kept_survey(config, ledger)
        survey = look(config, kept, clock, limit)
        if ledger is not None:
            try:
                keep_survey(ledger, survey)
            except StateError as error:
                problems.append(error.message)
        return gathered(config, ledger, survey, clock(), problems)


def gathered(
    config: Config, ledger: Ledger | None, survey: Survey | None, at: datetime, problems: Sequence[str] = ()
) -> Status:
    """What is on record, with what is known of the repository; asks nobody."""
    survey = survey or Survey(None, spaces=spaces(config))
    entries = entries_of(config)
    told = [*problems]
    stand: Mapping[str, Standing] = (
        {} if ledger is None else {entry.name: found for entry, found in standings(entries, ledger, at)}
    )
    return Status(
        at=at,
        jobs=tuple(_job(config, job, entries, stand, ledger, survey, at) for job in config.jobs),
        schedules=tuple(
            _schedule(entry, stand[entry.name], ledger, at)
            for entry in entries
            if ledger is not None and entry.name in config.schedules
        ),
        alerts=() if ledger is None else _alerts(ledger, told),
        survey=survey,
        runs_known=ledger is not None,
        ticked=None if ledger is None else last_tick(ledger),
        problems=tuple(told),
        configuration_valid=ledger is None or broken(ledger, config.path) is None,
    )


def _ledger(config: Config, clock: Clock, stack: ExitStack, problems: list[str]) -> Ledger | None:
    """The ledger of this host, where there is one: whoever only looks makes none."""
    settings = config.repository
    directory = unattended_directory(settings.state_dir, settings.url)
    try:
        if Ledger.is_in(directory):
            return stack.enter_context(Ledger(directory, clock))
    except StateError as error:
        problems.append(error.message)
    return None


def _alerts(ledger: Ledger, problems: list[str]) -> tuple[Alert, ...]:
    try:
        return tuple(open_alerts(ledger.directory))
    except StateError as error:
        problems.append(error.message)
        return ()


def _job(
    config: Config,
    job: str,
    entries: Sequence[Entry],
    stand: Mapping[str, Standing],
    ledger: Ledger | None,
    survey: Survey,
    at: datetime,
) -> JobStatus:
    runs = [] if ledger is None else ledger.runs(task="backup", job=job, but=RunState.SKIPPED, limit=_RUNS)
    planned = [e for e in entries if e.task == "backup" and (job in e.jobs or not e.jobs)]
    found = survey.jobs.get(job)
    rpo = config.jobs[job].objectives.rpo
    expires = None if found is None or rpo is None else found.instant + timedelta(seconds=rpo)
    lags = [survey.logs[source].lag for source in config.jobs[job].sources if source in survey.logs]
    return JobStatus(
        job=job,
        course=course(
            [(entry, stand.get(entry.name)) for entry in planned],
            runs,
            _alive(ledger, runs),
            _last_success(runs, found, survey),
            at,
        ),
        survey=found,
        pitr_lag=max(lags, default=None),
        rpo=rpo,
        too_old_since=expires if expires is not None and expires < at else None,
        has_schedule=config.jobs[job].schedule is not None,
    )


def _schedule(entry: Entry, standing: Standing, ledger: Ledger, at: datetime) -> ScheduleStatus:
    runs = ledger.runs(entry=entry.name, task=entry.task, but=RunState.SKIPPED, limit=_RUNS)
    good = standing.last_success
    last_success = None if good is None else good.ended or good.started
    found = course([(entry, standing)], runs, _alive(ledger, runs), last_success, at)
    return ScheduleStatus(entry.name, entry.task, found)


def _alive(ledger: Ledger | None, runs: Sequence[RunRecord]) -> list[str]:
    return [] if ledger is None else [run.id for run in runs if ledger.is_alive(run)]


def _last_success(runs: Sequence[RunRecord], found: JobSurvey | None, survey: Survey) -> datetime | None:
    """A snapshot that is there counts, whoever took it; of what was taken since somebody looked, the record."""
    ended = next((run.ended for run in runs if run.state is RunState.OK and run.ended is not None), None)
    if ended is not None and survey.taken_at is not None and ended <= survey.taken_at:
        ended = None
    known = [moment for moment in (ended, None if found is None else found.created) if moment is not None]
    return max(known, default=None)
