"""What conditions are made of: how schedules and jobs stand at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from drtool.config.root import Config
from drtool.monitoring.alerting.wording import duration, moment
from drtool.operations.unattended.standing.survey import JobSurvey, Survey
from drtool.scheduling.due import Standing
from drtool.scheduling.entries import Entry, entries_of
from drtool.scheduling.ledger import Ledger, RunRecord, RunState
from drtool.scheduling.standings import known_since, last_tick, standings

_MOST_HEADS = 10


@dataclass(frozen=True, slots=True)
class View:
    """A moment. ``survey`` is what the repository last said, None where it never did; ``since`` is when this host first
    saw each schedule, ``ticked`` when ``schedule run`` was last called, None where it never was."""

    config: Config
    ledger: Ledger
    survey: Survey | None
    now: datetime
    entries: tuple[tuple[Entry, Standing], ...]
    since: Mapping[str, datetime]
    ticked: datetime | None

    @classmethod
    def of(cls, config: Config, ledger: Ledger, survey: Survey | None, now: datetime) -> View:
        """Look."""
        entries = entries_of(config)
        found, since = tuple(standings(entries, ledger, now)), known_since(ledger, entries)
        return cls(config, ledger, survey, now, found, since, last_tick(ledger))

    def job(self, name: str) -> JobSurvey | None:
        """What the repository last said of a job; None where it has no snapshot of it, or was never asked."""
        return None if self.survey is None else self.survey.jobs.get(name)

    def newest(self, job: str) -> datetime | None:
        """The instant of a job's newest snapshot that this host knows of: what the repository was seen to hold, and
        what was taken since."""
        seen = self.job(job)
        known = [] if seen is None else [seen.instant]
        last = self.last_backup(job)
        if last is not None and not self.was_seen_since(last):
            instant = last.figures.get("instant")
            known.append(datetime.fromisoformat(instant).astimezone(UTC) if instant else last.started)
        return max(known, default=None)

    def was_seen_since(self, run: RunRecord) -> bool:
        """Has the repository said since the end of a run what it holds?"""
        asked = None if self.survey is None else self.survey.taken_at
        return asked is not None and run.ended is not None and run.ended <= asked

    def last_backup(self, job: str) -> RunRecord | None:
        """The last run on this host that took a snapshot of a job."""
        runs = self.ledger.runs(task="backup", job=job, state=RunState.OK, limit=1)
        return runs[0] if runs else None

    def facts(self, job: str, entry: Entry | None = None, standing: Standing | None = None) -> dict[str, str]:
        """What whoever hears of something wrong with a job wants to know: what there is to go back to, what comes next,
        and the head of the chain, which ``restore --expect-head`` takes."""
        told: dict[str, str] = {}
        if entry is None:
            entry, standing = next(((e, s) for e, s in self.entries if e.name == job), (None, None))
        if entry is not None and standing is not None:
            told["Next run"] = "paused" if standing.paused is not None else moment(standing.next_slot)
        if not job:
            return told
        seen, newest = self.job(job), self.newest(job)
        if newest is None:
            return told | {"Last good snapshot": "none"}
        age = f"{moment(newest)}, {duration(self.now - newest)} old"
        last = self.last_backup(job)
        if last is not None and (seen is None or seen.instant < newest):
            return told | {"Last good snapshot": f"{last.figures.get('snapshot', '')} ({age})".strip()}
        assert seen is not None  # or nothing would be the newest
        verified = f" since {moment(seen.verified_at)}" if seen.verified_at is not None else ""
        return told | {
            "Last good snapshot": f"{seen.newest} ({age}){', suspect' if seen.suspect else ''}",
            "Verified": f"{seen.level}{verified}",
            "Head": seen.head,
        }

    def heads(self) -> dict[str, str]:
        """The head of each job's chain, as it was last seen: what the repository must still lead to."""
        seen = {} if self.survey is None else self.survey.jobs
        return {f"Head of {name}": job.head for name, job in list(seen.items())[:_MOST_HEADS]}
