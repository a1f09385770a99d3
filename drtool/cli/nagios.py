"""A status as one line of a Nagios plugin (https://nagios-plugins.org/doc/guidelines.html)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from drtool.cli.status_words import reason, reason_of_job, shares_left
from drtool.cli.units import counted, duration
from drtool.monitoring.conditions import Severity
from drtool.operations.unattended.standing.courses import TOO_MANY, Course, State
from drtool.operations.unattended.standing.status import JobStatus, Status

_WORDS = ("OK", "WARNING", "CRITICAL")
_OK, _WARNING, _CRITICAL = range(3)
#: From so long on (seconds) the repository, or whoever calls ``schedule run``, has been silent for too long.
_UNANSWERED, _SILENT = 3600.0, 7800.0
_LOW, _FULL = 0.1, 0.02

Finding = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Check:
    """What Nagios is told: its exit code, what is wrong, figures."""

    code: int
    text: str
    figures: str

    @property
    def word(self) -> str:
        """The exit code, as Nagios calls it."""
        return _WORDS[self.code].lower()

    @property
    def line(self) -> str:
        """All of it; a vertical bar begins the figures, so that there is no other."""
        clean = self.text.replace("|", "/").replace("\n", "; ")
        return f"DRTOOL {_WORDS[self.code]} - {clean} | {self.figures}".rstrip(" |")


def check(status: Status) -> Check:
    """The worst first."""
    found = sorted(_findings(status), key=lambda finding: -finding[0])
    names = ", ".join(job.job for job in status.jobs)
    text = "; ".join(text for _, text in found) or f"{names}: all snapshots in time"
    return Check(max((code for code, _ in found), default=_OK), text, " ".join(_figures(status)))


def _findings(status: Status) -> Iterator[Finding]:
    for job in status.jobs:
        yield from _of_job(job, status)
    for schedule in status.schedules:
        state = schedule.course.state
        if state in (State.FAILED, State.LATE) or schedule.course.late_since is not None:
            yield _WARNING, f"{schedule.name} ({schedule.task}) {reason(state, schedule.course, status.at)}"
    yield from _of_pauses(status)
    yield from _of_newest(status)
    for alert in status.alerts:
        if alert.condition.severity > Severity.INFO:
            is_critical = alert.condition.severity is Severity.CRITICAL
            yield _CRITICAL if is_critical else _WARNING, f"alert: {alert.condition.title}"
    yield from _of_surroundings(status)


def _of_job(job: JobStatus, status: Status) -> Iterator[Finding]:
    if job.state is State.OK:
        return
    course = job.course
    is_bad = course.behind >= TOO_MANY or course.missed >= TOO_MANY or job.too_old_since is not None
    yield _CRITICAL if is_bad else _WARNING, f"{job.job} {reason_of_job(job, status)}"


def _of_newest(status: Status) -> Iterator[Finding]:
    """What the repository says of snapshots that are in time, unless an alert says it."""
    told = {alert.condition.key for alert in status.alerts}
    for job in status.jobs:
        if job.survey is None:
            continue
        if job.survey.verification_failed and f"disproved/{job.job}" not in told:
            yield _CRITICAL, f"the newest snapshot of {job.job} failed its verification"
        if job.survey.suspect and f"suspect/{job.job}" not in told:
            yield _CRITICAL, f"the newest snapshot of {job.job} is suspect"


def _of_pauses(status: Status) -> Iterator[Finding]:
    courses: list[tuple[str, Course]] = [(job.job, job.course) for job in status.jobs]
    courses += [(schedule.name, schedule.course) for schedule in status.schedules]
    for name, course in courses:
        if course.paused is not None:
            yield _WARNING, f"{name} is paused"


def _of_surroundings(status: Status) -> Iterator[Finding]:
    survey = status.survey
    if survey.unanswered is not None:
        silent = (status.at - survey.unanswered.since).total_seconds()
        code = _CRITICAL if silent >= _UNANSWERED or survey.taken_at is None else _WARNING
        yield code, f"the repository cannot be asked: {survey.unanswered.message}"
    if survey.problems:
        yield _CRITICAL, f"{counted(len(survey.problems), 'problem')} of the repository: {survey.problems[0]}"
    plans = [course.next_run for course in (*(j.course for j in status.jobs), *(s.course for s in status.schedules))]
    if status.runs_known and any(plans):
        if status.ticked is None:
            yield _WARNING, "nothing has called drtool schedule run on this host"
        elif status.at - status.ticked > timedelta(seconds=_SILENT):
            silent = (status.at - status.ticked).total_seconds()
            yield _CRITICAL, f"drtool schedule run was last called {duration(silent)} ago"
    for space, left in shares_left(survey.spaces):
        if left < _LOW:
            yield _CRITICAL if left < _FULL else _WARNING, f"{left:.0%} free for the {space.place} ({space.path})"
    for problem in status.problems:
        yield _WARNING, problem


def _figures(status: Status) -> Iterator[str]:
    for job in status.jobs:
        course = job.course
        if course.last_success is not None:
            age = max(0, round((status.at - course.last_success).total_seconds()))
            limits = f"{course.interval:.0f};{TOO_MANY * course.interval:.0f}" if course.interval else ";"
            yield f"'{job.job} age'={age}s;{limits};0"
        if job.survey is not None:
            yield f"'{job.job} size'={job.survey.bytes}B;;;0"
            yield f"'{job.job} snapshots'={job.survey.snapshots};;;0"
        if job.pitr_lag is not None:
            yield f"'{job.job} pitr lag'={job.pitr_lag:.0f}s;;;0"
    for space in status.survey.spaces:
        low, full = round(space.total * _LOW), round(space.total * _FULL)
        yield f"'{space.place} free'={space.free}B;{low}:;{full}:;0;{space.total}"
    if status.runs_known:
        yield f"'open alerts'={len(status.alerts)};;;0"
