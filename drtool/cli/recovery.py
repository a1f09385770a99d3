"""``--at`` and ``--before`` of ``drtool restore``: which snapshot leads there, and through which archive."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drtool.cli.context import Context
from drtool.errors import OutOfReachError, RepositoryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drtool.operations.catalogue import Known
    from drtool.operations.choosing import Chosen
    from drtool.operations.pitr.goals import Goal
    from drtool.operations.pitr.recovering import Recovery
    from drtool.repository.chain import Snapshot
    from drtool.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Aim:
    """What was typed: a time, or an operation to stop before; and which timeline and sources."""

    at: str | None
    before: str | None
    timeline: str | None
    sources: tuple[str, ...]

    def goal(self) -> Goal | None:
        """Where to go; None for the snapshot as it is."""
        from drtool.operations.pitr.goals import Goal
        from drtool.operations.pitr.times import parse_moment, parse_place

        if self.at is not None and self.before is not None:
            raise UsageError("--at and --before exclude each other")
        if self.at is not None:
            return Goal.at_moment(parse_moment(self.at))
        if self.before is not None:
            return Goal(parse_place(self.before), f"operation {self.before}", is_operation=True)
        if self.timeline is not None:
            raise UsageError("--timeline goes with --at or --before")
        return None


def find_recovery(
    context: Context, stack: contextlib.ExitStack, opened: Repository, found: Known, name: str, aim: Aim
) -> Recovery | None:
    """The way to what is aimed at, beginning with the snapshot that `name` is or one of those that it fits; None where
    only a snapshot is asked for."""
    from drtool.cli.logs import log_of
    from drtool.operations.choosing import candidates
    from drtool.operations.pitr.recovering import recover
    from drtool.repository.archive import read_archive
    from drtool.repository.reader import ChunkReader

    goal = aim.goal()
    if goal is None:
        return None
    snapshots = candidates(name, found.catalogue, found.levels)
    source = _source(context, snapshots, aim.sources)
    log = log_of(context, stack, source)
    archive = read_archive(opened, source)
    reporter = context.reporter()
    for problem in archive.problems:
        reporter.warn(problem.message)
    opened.refresh_index()  # the restore does so again, and tells what is wrong with it
    reader = ChunkReader(opened, fetchers=2)
    stack.callback(reader.close)
    sound = [one for one in snapshots if not found.is_suspect(one)] or snapshots
    try:
        return recover(archive, sound, log, goal, aim.timeline, reader)
    except OutOfReachError:
        if len(sound) == len(snapshots):
            raise
        return recover(archive, snapshots, log, goal, aim.timeline, reader)


def hint_at_closer(
    context: Context, stack: contextlib.ExitStack, opened: Repository, chosen: Chosen, name: str, source: str
) -> None:
    """Tell that a source's archived log leads closer to the time of ``JOB@TIME`` than the snapshot chosen."""
    from drtool.operations.pitr.recovering import recover
    from drtool.repository.archive import read_archive
    from drtool.repository.reader import ChunkReader

    goal = Aim(name.partition("@")[2], None, None, ()).goal()
    archive = read_archive(opened, source)
    if goal is None or not archive.timelines:
        return
    from drtool.cli.logs import log_of

    # A hint only: whoever follows it is told what is wrong.
    with contextlib.suppress(RepositoryError, UsageError), contextlib.closing(ChunkReader(opened)) as reader:
        recover(archive, [chosen.snapshot], log_of(context, stack, source), goal, None, reader)
        context.reporter().note(
            f"the archived log of {source} leads to that very second: restore it with --source {source}"
            f" --at {goal.text}"
        )


def announce_recovery(context: Context, recovery: Recovery) -> None:
    """Say how the way goes on from the snapshot."""
    base, goal = recovery.base, recovery.goal
    to = f"just before {goal.text}" if goal.is_operation else goal.text
    context.output.result(timeline=base.stretch.timeline)
    context.output.text(f"  then replays the archived log to {to} (timeline {base.stretch.timeline[:8]})")
    others = [source.name for source in base.snapshot.manifest.sources if source.name != base.source.name]
    if others:
        context.reporter().warn(
            f"{base.source.name} alone goes to that moment: {', '.join(others)} would come back of"
            f" {base.snapshot.manifest.instant} and would not fit; they are left as they are"
        )


def _source(context: Context, snapshots: Sequence[Snapshot], names: Sequence[str]) -> str:
    from drtool.cli.logs import log_sources

    held = {source.name for snapshot in snapshots for source in snapshot.manifest.sources}
    for name in names:
        if name not in held:
            raise UsageError(f"no such snapshot has a source {name!r}", hint=f"There are: {', '.join(sorted(held))}")
    if len(names) > 1:
        raise UsageError(
            "--at and --before go with one source: the others of the snapshot have no way to the same moment",
            hint="Restore that one, then the others as they are in the snapshot, knowing that they will not fit.",
        )
    if names:
        log_sources(context, tuple(names))
        return names[0]
    having = [one for one in log_sources(context, ()) if one in held]
    if len(having) != 1:
        raise UsageError(
            "several sources have an archived log" if having else "the snapshot has no source with a log",
            hint=f"Say which with --source: {', '.join(having or sorted(held))}",
        )
    return having[0]
