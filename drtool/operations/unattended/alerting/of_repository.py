"""What is wrong with what there is to go back to, as the repository last said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta

from drtool.config.jobs import Job
from drtool.config.schedules import ScheduledTask
from drtool.monitoring.alerting.wording import duration, moment
from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.unattended.alerting.view import View
from drtool.operations.unattended.standing.survey import JobSurvey, LogSurvey
from drtool.repository.levels import Level
from drtool.scheduling.ledger import RunState

#: Of these nobody can tell while the repository does not answer.
UNKNOWN_WITHOUT = ("unverified/", "disproved/", "suspect/", "gone/", "clock/", "pitr-", "repository/")
_UNVERIFIED = timedelta(days=14)
_UNREACHABLE, _UNREACHABLE_LONG = timedelta(minutes=5), timedelta(days=1)
#: How far behind an archived log may be, in intervals of its schedule, and at least.
_LAG, _LEAST_LAG = 3, timedelta(minutes=15)
_BAD_LAG = 4
#: By how much two hosts' clocks may differ.
_AHEAD = timedelta(minutes=10)


def conditions_of_repository(view: View) -> Iterator[Condition]:
    """All of them."""
    for name, job in view.config.jobs.items():
        yield from _too_old(view, name, job)
        yield from _empty(view, name)
    yield from _unanswered(view)
    if view.survey is None or view.survey.unanswered is not None:
        return
    for problem in dict.fromkeys(view.survey.problems):
        yield Condition(
            # Each is an alert of its own, whatever else comes or goes: who sees to one has not seen the next.
            f"repository/{hashlib.sha256(problem.encode('utf-8', 'replace')).hexdigest()[:8]}",
            Severity.CRITICAL,
            f"Something in the repository is not as it must be: {problem}",
            "drtool verify and drtool repair find out more. Do not prune before you know.",
            view.survey.taken_at or view.now,
            facts=view.heads(),
        )
    for name, job in view.config.jobs.items():
        seen = view.job(name)
        if seen is None:
            yield from _gone(view, name)
        else:
            yield from _to_come(view, name, seen)
            yield from _doubtful(view, name, seen)
            yield from _unverified(view, name, job, seen)
    for source, log in view.survey.logs.items():
        yield from _log(view, source, log)


def _too_old(view: View, name: str, job: Job) -> Iterator[Condition]:
    newest, rpo = view.newest(name), job.objectives.rpo
    if newest is None or rpo is None or view.now - newest <= timedelta(seconds=rpo):
        return
    yield Condition(
        f"rpo/{name}",
        Severity.CRITICAL,
        f"The newest snapshot of {name} is {duration(view.now - newest)} old; at most"
        f" {duration(timedelta(seconds=rpo))} is the objective",
        f"What changed since {moment(newest)} could not be brought back. Take one now: drtool backup {name}",
        newest + timedelta(seconds=rpo),
        name,
        facts=view.facts(name),
    )


def _empty(view: View, name: str) -> Iterator[Condition]:
    """A backup that read nothing of a source that held something before: the wrong server, or an accident."""
    last = view.last_backup(name)
    emptied = {} if last is None else dict(last.figures.get("emptied") or {})
    if last is None or not emptied:
        return
    sources, before = ", ".join(sorted(emptied)), ", ".join(sorted(set(emptied.values())))
    yield Condition(
        f"empty/{name}",
        Severity.WARNING,
        f"The last backup of {name} found nothing in {sources}, which held something before",
        f"Was everything deleted, a volume not mounted, or does the configuration point elsewhere? What it held last is"
        f" in {before}, which retention keeps.",
        last.started,
        name,
        last.id,
        view.facts(name),
    )


def _unanswered(view: View) -> Iterator[Condition]:
    """Not after a moment only: it may have been asked twice within it."""
    missing = None if view.survey is None else view.survey.unanswered
    if missing is None or abs(missing.at - missing.since) < _UNREACHABLE:
        return
    is_long = view.now - missing.since >= _UNREACHABLE_LONG
    yield Condition(
        "unreachable",
        Severity.CRITICAL if is_long else Severity.WARNING,
        f"The repository has not answered since {moment(missing.since)}: {missing.message}",
        f"{missing.hint} Nothing is known of backups since then but what runs on this host.".strip(),
        missing.since,
        facts={"Error": missing.kind, "Last tried": moment(missing.at), **view.heads()},
    )


def _gone(view: View, name: str) -> Iterator[Condition]:
    last = view.last_backup(name)
    if last is None or not last.figures.get("snapshot") or not view.was_seen_since(last):
        return
    yield Condition(
        f"gone/{name}",
        Severity.CRITICAL,
        f"No snapshot of {name} is left in the repository, though this host took one at {moment(last.started)}",
        f"Who removed them? Is it the right repository? Take one now: drtool backup {name}",
        last.ended or last.started,
        name,
        last.id,
        view.facts(name),
    )


def _to_come(view: View, name: str, seen: JobSurvey) -> Iterator[Condition]:
    """Its age cannot be told: nothing would be late for as long as that lies ahead."""
    if max(seen.instant, seen.created) <= view.now + _AHEAD:
        return
    yield Condition(
        f"clock/{name}",
        Severity.WARNING,
        f"The newest snapshot of {name} is from {moment(max(seen.instant, seen.created))}, which is still to come",
        "The clock of this host is wrong, or that of the host which took it was. Set up NTP there, and take another"
        " snapshot: until then nobody can tell how old the newest one is.",
        view.now,
        name,
        facts=view.facts(name),
    )


def _doubtful(view: View, name: str, seen: JobSurvey) -> Iterator[Condition]:
    if seen.suspect:
        yield Condition(
            f"suspect/{name}",
            Severity.CRITICAL,
            f"The newest snapshot of {name} is suspect: it may lack changes that the source did not tell of",
            f"Read everything anew: drtool backup {name} --full",
            seen.created,
            name,
            facts=view.facts(name),
        )
    if seen.verification_failed:
        yield Condition(
            f"disproved/{name}",
            Severity.CRITICAL,
            f"The newest snapshot of {name} failed its verification",
            f"drtool verify {seen.newest} shows what is wrong with it; the next backup stores anew what is bad.",
            seen.verified_at or seen.created,
            name,
            facts=view.facts(name),
        )


def _unverified(view: View, name: str, job: Job, seen: JobSurvey) -> Iterator[Condition]:
    wanted = _wanted_level(view, name, job)
    if wanted is None:
        return
    shown = [at for level, at in seen.verified.items() if _level(level) >= wanted] + _parts_verified(view, name, job)
    since = max(shown, default=_first_known(view, name))
    if since is None or view.now - since < _UNVERIFIED:
        return
    last = f"since {moment(since)}" if shown else "ever"
    yield Condition(
        f"unverified/{name}",
        Severity.WARNING,
        f"No snapshot of {name} was verified to {wanted.label} {last}",
        f"A backup that nobody has read back may be none. Do it now: drtool verify {name}@latest"
        f" --level {wanted.label}",
        since + _UNVERIFIED,
        name,
        facts=view.facts(name),
    )


def _wanted_level(view: View, name: str, job: Job) -> Level | None:
    """The lowest level that the configuration has the job's snapshots verified to; None for none at all."""
    wanted = [] if job.verify is None else [_level(job.verify.level)]
    wanted += [_level(settings.level) for _, settings in _verifications(view, name) if settings.level is not None]
    return min(wanted, default=None)


def _verifications(view: View, name: str) -> list[tuple[str, ScheduledTask]]:
    """The schedules that verify snapshots of a job."""
    found = []
    for entry, settings in view.config.schedules.items():
        about = {snapshot.partition("@")[0] for snapshot in settings.snapshots}
        if settings.task == "verify" and settings.level is not None and (not about or name in about):
            found.append((entry, settings))
    return found


def _parts_verified(view: View, name: str, job: Job) -> list[datetime]:
    """When what the configuration has looked at in part was last found good: a part raises no snapshot's level, and
    yet it is what was asked for."""
    verify, ledger = "verify", view.ledger
    runs = []
    if job.verify is not None and job.verify.sample is not None:
        runs += ledger.runs(task=verify, job=name, state=RunState.OK, limit=1)
    for entry, settings in _verifications(view, name):
        if settings.sample is not None or settings.shares is not None:
            runs += ledger.runs(task=verify, entry=entry, state=RunState.OK, limit=1)
    return [run.started for run in runs]


def _level(label: str) -> Level:
    return Level[label.upper()]


def _first_known(view: View, name: str) -> datetime | None:
    """Since when there have been backups, as far as this host knows."""
    runs = view.ledger.runs(task="backup", job=name, state=RunState.OK)
    return runs[-1].started if runs else None


def _log(view: View, source: str, log: LogSurvey) -> Iterator[Condition]:
    allowed = _allowed_lag(view, source)
    lag = timedelta(seconds=log.lag)
    if lag > allowed:
        yield Condition(
            f"pitr-lag/{source}",
            Severity.CRITICAL if lag > _BAD_LAG * allowed else Severity.WARNING,
            f"The archived log of {source} is {duration(lag)} behind",
            f"No moment after {moment(log.archived_until)} can be restored. Archive it now: drtool pitr capture"
            f" {source}",
            log.archived_until + allowed,
        )
    covered = max((at for job in _jobs_of(view, source) if (at := view.newest(job)) is not None), default=None)
    gaps = [gap for gap in log.gaps if covered is None or gap.last > covered]
    if gaps:
        yield Condition(
            f"pitr-gap/{source}",
            Severity.WARNING,
            f"The archived log of {source} has a gap from {moment(gaps[0].first)} to {moment(gaps[0].last)}",
            "No moment after it can be restored before there is a snapshot that was taken since. Take one now.",
            gaps[-1].last,
        )
    elif log.leads_on is False:
        yield Condition(
            f"pitr-base/{source}",
            Severity.WARNING,
            f"No snapshot leads into the archived log of {source}: nothing of it can be restored",
            "Take a snapshot with drtool backup, and let drtool pitr capture go on.",
            log.archived_until,
        )


def _jobs_of(view: View, source: str) -> list[str]:
    return [name for name, job in view.config.jobs.items() if source in job.sources]


def _allowed_lag(view: View, source: str) -> timedelta:
    intervals = [
        entry.schedule.interval(view.now)
        for entry, _ in view.entries
        if entry.task == "pitr capture" and source in (view.config.schedules[entry.name].sources or view.config.sources)
    ]
    return max(_LAG * min(intervals, default=_LEAST_LAG), _LEAST_LAG)
