"""What an open repository says of each job and of each archived log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from drtool.config.root import Config
from drtool.errors import ConfigError
from drtool.local.clock import Clock, now
from drtool.operations.catalogue import Known, read_known
from drtool.operations.opening import open_source
from drtool.operations.unattended.standing.spaces import spaces
from drtool.operations.unattended.standing.survey import Growth, JobSurvey, LogGap, LogSurvey, Survey
from drtool.repository.chain import Snapshot
from drtool.repository.levels import Level
from drtool.repository.repository import Repository
from drtool.repository.segments import OPLOG, source_id

if TYPE_CHECKING:
    from drtool.repository.archive import Archive

#: Over how many days growth is told.
GROWTH_DAYS = (7, 30)
_GAPS_TOLD = 10
_PROBLEMS_TOLD = 20


def take_survey(repository: Repository, config: Config, clock: Clock = now) -> Survey:
    """Ask an open repository. Reads manifests, evidence and segments, most of which this host has read before; no
    packs, no index, no source."""
    at = clock()  # before anything is listed: what is stored meanwhile may not be in it
    known = read_known(repository)
    return Survey(
        taken_at=at,
        repository=repository.id,
        jobs={name: found for name in config.jobs if (found := _job(name, known, at)) is not None},
        logs=dict(_logs(repository, config, known, at)),
        problems=tuple(problem.message for problem in known.problems[:_PROBLEMS_TOLD]),
        bytes=_stored(repository),
        spaces=spaces(config),
    )


def _job(job: str, known: Known, at: datetime) -> JobSurvey | None:
    mine = [snapshot for snapshot in known.catalogue.snapshots if snapshot.manifest.job == job]
    if not mine:
        return None
    newest = mine[-1]
    manifest, level = newest.manifest, known.level(newest)
    return JobSurvey(
        snapshots=len(mine),
        newest=newest.id,
        created=_time(manifest.created),
        instant=_time(manifest.instant),
        consistency=manifest.consistency,
        records=manifest.statistics.records,
        bytes=manifest.statistics.bytes,
        stored_bytes=manifest.statistics.stored_bytes,
        level=level.level.label,
        verified_at=_time(level.at) if level.at else None,
        verification_failed=level.last_failed,
        suspect=known.is_suspect(newest),
        head=newest.hash,
        verified=_verified(mine, known),
        failing=sum(known.level(snapshot).last_failed for snapshot in mine),
        suspects=sum(known.is_suspect(snapshot) for snapshot in mine),
        growth=tuple(_growth(mine, days, at) for days in GROWTH_DAYS),
    )


def _verified(snapshots: Sequence[Snapshot], known: Known) -> Mapping[str, datetime]:
    newest: dict[str, datetime] = {}
    for snapshot in snapshots:
        reached = known.level(snapshot)
        for level in Level:
            if reached.at and Level.NONE < level <= reached.level:
                newest[level.label] = max(newest.get(level.label, _time(reached.at)), _time(reached.at))
    return newest


def _growth(snapshots: Sequence[Snapshot], days: int, at: datetime) -> Growth:
    since = at - timedelta(days=days)
    within = [s for s in snapshots if _time(s.manifest.created) > since]
    before = [s for s in snapshots if _time(s.manifest.created) <= since]
    newest = snapshots[-1].manifest.statistics.bytes
    return Growth(
        days,
        sum(s.manifest.statistics.stored_bytes for s in within),
        newest - before[-1].manifest.statistics.bytes if before else None,
    )


def _logs(repository: Repository, config: Config, known: Known, at: datetime) -> Iterator[tuple[str, LogSurvey]]:
    """Of the sources of which something is archived: whether others could be is not asked."""
    for name in config.sources:
        if next(repository.storage.list(f"{OPLOG}{source_id(repository.keyring, name)}/"), None) is None:
            continue
        from drtool.repository.archive import read_archive  # after every backup, and most hosts archive no log

        archive = read_archive(repository, name)
        if archive.timelines:
            yield name, _log(archive, _leads_on(archive, config, known), at)


def _log(archive: Archive, leads_on: bool | None, at: datetime) -> LogSurvey:
    from drtool.operations.pitr.reach import moment

    current = archive.timelines[-1]
    until = moment(current.stretches[-1].end.at)
    gaps = [LogGap(moment(before.at), moment(after.at)) for before, after in reversed(current.gaps())]
    return LogSurvey(until, max(0.0, (at - until).total_seconds()), tuple(gaps[:_GAPS_TOLD]), leads_on)


def _leads_on(archive: Archive, config: Config, known: Known) -> bool | None:
    try:
        source = open_source(archive.source, config.sources[archive.source])
    except ConfigError:  # a password that cannot be fetched just now, say: the archive can be told of all the same
        return None
    from drtool.operations.pitr.reach import bases

    with contextlib.closing(source):
        log = source.log()
        if log is None:
            return None
        found = bases(archive, known.catalogue.snapshots, log.anchor)
        return any(base.stretch.segments[-1] is archive.timelines[-1].newest for base in found)


def _stored(repository: Repository) -> int | None:
    there = {info.name for info in repository.storage.list("index/")}
    if there != repository.cache.object_names():
        return None
    return sum(size for _, size in repository.cache.packs())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
