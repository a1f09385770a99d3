"""From what an operator asks for (a moment, or an operation to stop before) to a snapshot and the way from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drtool.errors import NoSuchSnapshotError, UsageError
from drtool.operations.pitr.entries import Way
from drtool.operations.pitr.reach import Base, bases, choose_base
from drtool.repository.archive import Archive
from drtool.repository.chain import Snapshot
from drtool.repository.reader import ChunkReader
from drtool.repository.segments import At
from drtool.sources.base import Stop
from drtool.sources.log import Log


@dataclass(frozen=True, slots=True)
class Goal:
    """Everything before the place ``at`` is to come back. ``text`` is what was asked for; ``is_operation`` where that
    is an operation, which the log must hold."""

    at: At
    text: str
    is_operation: bool = False

    @classmethod
    def at_moment(cls, when: datetime, text: str) -> Goal:
        """All that happened before the second in which `when` lies."""
        return cls((int(when.timestamp()), 0), text)

    @property
    def stop(self) -> Stop:
        """As a target takes it."""
        return Stop(list(self.at), before=True)


@dataclass(frozen=True, slots=True)
class Recovery:
    """A goal, and the snapshot and stretch of the archive that lead there."""

    goal: Goal
    base: Base
    log: Log

    def way(self, reader: ChunkReader) -> Way:
        """The entries to be replayed."""
        return Way(reader, self.log, self.base, self.goal.at, must_exist=self.goal.is_operation)


def recover(archive: Archive, snapshots: Sequence[Snapshot], log: Log, goal: Goal, timeline: str | None) -> Recovery:
    """The way to `goal` from one of `snapshots`; in the timeline whose id begins with `timeline`, where given.

    ``OutOfReachError`` where there is none, ``UsageError`` for a timeline that is none.
    """
    if timeline is not None:
        ids = [one.id for one in archive.timelines if one.id.startswith(timeline)]
        if len(ids) != 1:
            raise UsageError(
                f"--timeline {timeline} fits {len(ids) or 'none'} of the timelines of {archive.source}",
                hint="drtool pitr status lists them.",
            )
        archive = Archive(archive.source, tuple(t for t in archive.timelines if t.id == ids[0]), archive.problems)
    if not snapshots:
        raise NoSuchSnapshotError(f"there is no snapshot of source {archive.source} to begin with")
    base = choose_base(archive, bases(archive, snapshots, log.anchor), goal.at, goal.text)
    return Recovery(goal, base, log)
