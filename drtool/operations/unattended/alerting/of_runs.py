"""What is wrong with runs: failed, missed, never, too long, put off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from drtool.config.schedules import TASKS
from drtool.errors import ExitCode, InterruptedRunError
from drtool.monitoring.alerting.wording import duration, moment
from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.unattended.alerting.view import View
from drtool.scheduling.due import GRACE, ON_TIME, Standing
from drtool.scheduling.entries import Entry
from drtool.scheduling.ledger import RunRecord, RunState

#: What nothing can be brought back without: the others are there for its sake.
_VITAL = ("backup", "pitr capture")
#: Runs that say nothing of whether it works are passed over, up to so many.
_LOOKED_AT = 50
#: The kind of error of a run that a signal stopped, which its time limit did not send.
_CALLED_OFF = InterruptedRunError("").kind
_LONG = timedelta(days=1)
_PAUSED_LONG = timedelta(days=7)
_BACK = timedelta(minutes=2)


def conditions_of_runs(view: View) -> Iterator[Condition]:
    """All of them."""
    failing: set[str] = set()
    for task, name, runs in _histories(view):
        condition = _failed(view, task, name, runs)
        if condition is not None:
            failing.add(name)
            yield condition
    for entry, standing in view.entries:
        yield from _of_entry(view, entry, standing, is_failing=entry.name in failing)
    yield from _clock(view)


def _histories(view: View) -> Iterator[tuple[str, str, Sequence[RunRecord]]]:
    """Of each job's tasks and each schedule's: the runs that say something, newest first."""
    for job in view.config.jobs:
        for task in TASKS:
            yield task, job, _telling(view, _runs(view, task, job=job))
    for name, settings in view.config.schedules.items():
        runs = _runs(view, settings.task, entry=name)
        yield settings.task, name, _telling(view, [run for run in runs if not run.job])


def _runs(view: View, task: str, job: str | None = None, entry: str | None = None) -> list[RunRecord]:
    """The newest that were not skipped: any number of those may lie between a failure and now."""
    return view.ledger.runs(task=task, job=job, entry=entry, but=RunState.SKIPPED, limit=_LOOKED_AT)


def _telling(view: View, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Those that ended, or whose process is gone. What a person called off says nothing."""
    return [
        run
        for run in runs
        if not (run.state is RunState.STOPPED and run.slot is None and run.kind == _CALLED_OFF)
        and not (run.state is RunState.RUNNING and view.ledger.is_alive(run))
    ]


def _failed(view: View, task: str, name: str, runs: Sequence[RunRecord]) -> Condition | None:
    """From the first failure in a row on."""
    if not runs or runs[0].state is RunState.OK:
        return None
    last = runs[0]
    row = []
    for run in runs:
        if run.state is RunState.OK:
            break
        row.append(run)
    again = f" {len(row)} times in a row" if len(row) > 1 else ""
    what = {
        RunState.PARTIAL: f"failed{again}" if last.has_no_snapshot else f"was not done in full{again}",
        RunState.STOPPED: f"was stopped{again}",
        RunState.LOST: f"was cut short{again}",
        RunState.RUNNING: f"was cut short{again}",
    }.get(last.state, f"failed{again}")
    is_gone = last.state in (RunState.LOST, RunState.RUNNING)
    message = last.message or ("its process is gone" if is_gone else "")
    because = f": {message}" if message else ""
    facts = {"Error": last.kind} if last.kind else {}
    job = last.job or (name if name in view.config.jobs else "")
    return Condition(
        f"failed/{task.replace(' ', '-')}/{name}",
        _how_bad(last),
        f"{_title(task, name)} {what}{because}",
        " ".join(filter(None, (last.hint, _meaning(task)))),
        row[-1].ended or row[-1].started,
        job,
        last.id,
        {**facts, **view.facts(job, *_entry(view, last))},
    )


def _how_bad(run: RunRecord) -> Severity:
    is_disproof = run.task == "verify" and run.exit_code == ExitCode.VERIFICATION_FAILED
    is_vital = run.task == "backup" and (run.state is not RunState.PARTIAL or run.has_no_snapshot)
    return Severity.CRITICAL if is_vital or is_disproof else Severity.WARNING


def _of_entry(view: View, entry: Entry, standing: Standing, *, is_failing: bool) -> Iterator[Condition]:
    if standing.paused is not None:
        yield from _paused(view, entry, standing)
    elif standing.missed and not _may_still_come(view, standing.missed[0]):
        yield _missed(view, entry, standing, standing.missed[0])
    elif not is_failing:
        yield from _without_success(view, entry, standing)
    yield from _too_long(view, entry, standing)


def _may_still_come(view: View, slot: datetime) -> bool:
    """Has nobody looked at what is due since that slot, who may do so once an hour only?"""
    return view.ticked is not None and view.ticked < slot and view.now - slot <= ON_TIME


def _missed(view: View, entry: Entry, standing: Standing, first: datetime) -> Condition:
    count = len(standing.missed)
    is_critical = count > 1 and entry.task in _VITAL
    times = "was not started when it was due" if count == 1 else f"was not started {count} times when it was due"
    return Condition(
        f"missed/{entry.name}",
        Severity.CRITICAL if is_critical else Severity.WARNING,
        f"{_title(entry.task, entry.name)} {times}",
        f"Was this host off, or does nothing call drtool schedule run? drtool schedule list shows more."
        f" {_meaning(entry.task)}".strip(),
        first,
        entry.job,
        facts={"Was due": moment(standing.missed[-1]), **view.facts(entry.job, entry, standing)},
    )


def _without_success(view: View, entry: Entry, standing: Standing) -> Iterator[Condition]:
    """Nothing failed and nothing was missed, and still it was not done: skipped each time, say."""
    last = standing.last_success
    since = last.started if last is not None else view.since.get(entry.name)
    if since is None or (standing.running is not None and view.ledger.is_alive(standing.running)):
        return
    due = entry.schedule.next_after(since)
    second = entry.schedule.next_after(due)
    if view.now < second + GRACE:
        return
    title = _title(entry.task, entry.name)
    said = f"{title} has never succeeded" if last is None else f"{title} has not succeeded since {moment(since)}"
    yield Condition(
        f"never/{entry.name}" if last is None else f"late/{entry.name}",
        Severity.CRITICAL if entry.task in _VITAL else Severity.WARNING,
        said,
        f"Its runs are skipped: a hook or another run is in their way. {_meaning(entry.task)}".strip()
        if standing.last_run is not None and standing.last_run.state is RunState.SKIPPED
        else f"drtool schedule list shows its last runs. {_meaning(entry.task)}".strip(),
        due,
        entry.job,
        facts=view.facts(entry.job, entry, standing),
    )


def _too_long(view: View, entry: Entry, standing: Standing) -> Iterator[Condition]:
    run = standing.running
    if run is None or not view.ledger.is_alive(run):
        return
    expected = min(max(entry.schedule.interval(run.started), timedelta(hours=1)), _LONG)
    taken = view.now - run.started
    if taken <= expected:
        return
    yield Condition(
        f"long/{entry.name}",
        Severity.WARNING,
        f"{_title(entry.task, entry.name)} has been running for {duration(taken)}",
        "Nothing else of it starts before it ends. max_duration in its configuration would stop it after a time.",
        run.started + expected,
        run.job,
        run.id,
        view.facts(run.job, entry, standing),
    )


def _paused(view: View, entry: Entry, standing: Standing) -> Iterator[Condition]:
    pause = standing.paused
    if pause is None or view.now - pause.since < _PAUSED_LONG:
        return
    yield Condition(
        f"paused/{entry.name}",
        Severity.INFO,
        f"{_title(entry.task, entry.name)} has been paused for {duration(view.now - pause.since)} by {pause.who}",
        f"{pause.reason + '. ' if pause.reason else ''}It goes on with: drtool schedule resume {entry.name}",
        pause.since + _PAUSED_LONG,
        entry.job,
        facts=view.facts(entry.job, entry, standing),
    )


def _clock(view: View) -> Iterator[Condition]:
    ahead = view.ledger.runs(since=view.now + _BACK, limit=1)
    if ahead:
        yield Condition(
            "clock",
            Severity.WARNING,
            f"This host's clock was set back: a run is on record that began at {moment(ahead[0].started)}",
            "Schedules and the ages of backups go by the clock. Set up NTP, and look at the time.",
            view.now,
        )


def _entry(view: View, run: RunRecord) -> tuple[Entry, Standing] | tuple[None, None]:
    return next(((entry, standing) for entry, standing in view.entries if entry.name == run.entry), (None, None))


def _title(task: str, name: str) -> str:
    known = {"verify": "verification", "pitr capture": "archiving", "retention apply": "retention"}
    return f"{known.get(task, task).capitalize()} of {name}"


def _meaning(task: str) -> str:
    """What it means that this is not done."""
    return {
        "backup": "What changes from here on could not be brought back.",
        "pitr capture": "Until it works again, no moment after the last archived one can be restored.",
        "verify": "Nothing proves that these snapshots can be restored.",
        "retention apply": "Nothing is lost, but the repository grows.",
        "prune": "Nothing is lost, but the repository grows.",
        "copy": "The second repository falls behind.",
    }.get(task, "")
