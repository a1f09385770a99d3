"""From what an operator asks for (a moment, or an operation to stop before) to a snapshot and the way from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drtool.errors import NoSuchSnapshotError, UsageError
from drtool.operations.pitr.entries import Way
from drtool.operations.pitr.goals import Goal
from drtool.operations.pitr.histories import Histories
from drtool.operations.pitr.reach import Base, bases, reaching
from drtool.operations.pitr.timelines import choose
from drtool.repository.archive import Archive
from drtool.repository.chain import Snapshot
from drtool.repository.reader import ChunkReader
from drtool.sources.log import Log


@dataclass(frozen=True, slots=True)
class Recovery:
    """A goal, and the snapshot and stretch of the archive that lead there."""

    goal: Goal
    base: Base
    log: Log

    def way(self, reader: ChunkReader) -> Way:
        """The entries to be replayed."""
        return Way(reader, self.log, self.base, self.goal.at, must_exist=self.goal.is_operation)


def recover(
    archive: Archive, snapshots: Sequence[Snapshot], log: Log, goal: Goal, timeline: str | None, reader: ChunkReader
) -> Recovery:
    """The way to `goal` from one of `snapshots`; in the timeline whose id begins with `timeline`, where given.

    ``OutOfReachError`` where there is none, ``UsageError`` for a timeline that is none, where none has the operation,
    and where several lead to the goal that differ.
    """
    named = archive if timeline is None else _only(archive, timeline)
    if not snapshots:
        raise NoSuchSnapshotError(f"there is no snapshot of source {archive.source} to begin with")
    fitting = reaching(named, bases(named, snapshots, log.anchor), goal.at, goal.text)
    # Whoever names a timeline wants that one, whatever happened in others.
    return Recovery(goal, choose(archive, fitting, goal, Histories(reader, log), is_named=timeline is not None), log)


def _only(archive: Archive, timeline: str) -> Archive:
    ids = [one.id for one in archive.timelines if one.id.startswith(timeline)]
    if len(ids) != 1:
        raise UsageError(
            f"--timeline {timeline} fits {len(ids) or 'none'} of the timelines of {archive.source}",
            hint="drtool pitr status lists them.",
        )
    return Archive(archive.source, tuple(t for t in archive.timelines if t.id == ids[0]), archive.problems)
