"""Which snapshot a user means: an id, ``latest``, ``JOB@TIME``, …"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drtool.errors import NoSuchSnapshotError, UsageError
from drtool.operations.safekeeping import is_safety
from drtool.repository.chain import Catalogue, Snapshot
from drtool.repository.evidence import Reached
from drtool.repository.levels import VERIFIED

LATEST = "latest"
LATEST_VERIFIED = "latest-verified"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A snapshot and, where a time was asked for, how long before that time it was taken."""

    snapshot: Snapshot
    distance: timedelta | None = None


def choose(text: str, catalogue: Catalogue, levels: Mapping[str, Reached]) -> Chosen:
    """The snapshot that `text` names; ``NoSuchSnapshotError`` without one, ``UsageError`` where it is unclear.

    A safety snapshot has to be named by its id or its job.
    """
    job, at, moment = text.partition("@")
    if at:
        return _of_job(job, moment, catalogue, levels)
    if text in (LATEST, LATEST_VERIFIED):
        own = [s for s in catalogue.snapshots if not is_safety(s)]
        jobs = sorted({s.manifest.job for s in own})
        if len(jobs) > 1:
            candidates = ", ".join(f"{job}@{text}" for job in jobs)
            raise UsageError(f"{text} is unclear: there are several jobs", hint=f"Say which: {candidates}")
        return Chosen(_newest(_verified(catalogue, own, text, levels), text))
    return Chosen(catalogue.named(text))


def candidates(text: str, catalogue: Catalogue, levels: Mapping[str, Reached]) -> Sequence[Snapshot]:
    """The snapshots that a recovery to a moment may begin with: where `text` names no single one, all that it fits
    (of a job, verified ones). Errors as for `choose`."""
    chosen = choose(text, catalogue, levels).snapshot
    word = text.rpartition("@")[2]
    if word not in (LATEST, LATEST_VERIFIED):
        return [chosen]
    mine = [s for s in catalogue.snapshots if s.manifest.job == chosen.manifest.job]
    return _verified(catalogue, mine, word, levels)


def _of_job(job: str, moment: str, catalogue: Catalogue, levels: Mapping[str, Reached]) -> Chosen:
    mine = [s for s in catalogue.snapshots if s.manifest.job == job]
    if not mine:
        jobs = sorted({s.manifest.job for s in catalogue.snapshots})
        raise NoSuchSnapshotError(
            f"there is no snapshot of a job {job!r}", hint=f"There are snapshots of: {', '.join(jobs) or 'no job'}"
        )
    if moment in (LATEST, LATEST_VERIFIED):
        return Chosen(_newest(_verified(catalogue, mine, moment, levels), f"{job}@{moment}"))
    wanted = _time(moment)
    before = [s for s in mine if instant_of(s) <= wanted]
    if not before:
        oldest = min(instant_of(s) for s in mine)
        raise NoSuchSnapshotError(
            f"job {job} has no snapshot as old as {moment}; its oldest is of {oldest.isoformat()}"
        )
    newest = max(before, key=recency)
    return Chosen(newest, wanted - instant_of(newest))


def instant_of(snapshot: Snapshot) -> datetime:
    """The instant that a snapshot brings back."""
    return datetime.fromisoformat(snapshot.manifest.instant)


def recency(snapshot: Snapshot) -> tuple[datetime, int]:
    """Orders the snapshots of a job. Instants and ids are told to the second, so two may share them."""
    return instant_of(snapshot), snapshot.manifest.number


def _verified(
    catalogue: Catalogue, snapshots: Sequence[Snapshot], word: str, levels: Mapping[str, Reached]
) -> Sequence[Snapshot]:
    if word == LATEST:
        return snapshots
    suspects = catalogue.suspects()  # what a snapshot never got, no verification of it can miss
    verified = [
        s for s in snapshots if (found := levels.get(s.hash)) and found.level >= VERIFIED and not found.last_failed
    ]
    sound = [s for s in verified if s.id not in suspects]
    if verified and not sound:
        raise NoSuchSnapshotError(
            f"all snapshots that were verified to level {VERIFIED.label} are suspect: they may lack changes",
            hint=f"Verify one that is not (drtool verify latest --level {VERIFIED.label}), or name a suspect one.",
        )
    return sound


def _newest(snapshots: Sequence[Snapshot], what: str) -> Snapshot:
    if not snapshots:
        raise NoSuchSnapshotError(
            f"there is no snapshot for {what}",
            hint=f"Verify one with: drtool verify latest --level {VERIFIED.label}" if LATEST_VERIFIED in what else "",
        )
    return max(snapshots, key=recency)


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is neither latest, latest-verified nor a time",
            hint="Times are ISO 8601: 2026-08-01T02:00:00+02:00",
        ) from error
    if moment.tzinfo is None:
        raise UsageError(
            f"{text!r} has no time zone",
            hint=f"Say which is meant: {moment.isoformat()}Z or {moment.astimezone().isoformat()}",
        )
    return moment
