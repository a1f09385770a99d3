"""Backing up a job: one snapshot of its sources, committed by one signed object."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drtool.errors import DrtoolError
from drtool.operations.admitting import require_writer
from drtool.operations.backup.committing import BackupResult, commit
from drtool.operations.backup.failing import Failures
from drtool.operations.backup.gathering import Gathering
from drtool.operations.backup.inheriting import Before, Thoroughness
from drtool.operations.backup.keeping import Pages
from drtool.operations.backup.relying import NO_FOOTING, footing
from drtool.operations.backup.rounds import Tools
from drtool.operations.budget import Budget
from drtool.operations.reporting import Reporter
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.writer import ChunkWriter
from drtool.sources.base import Probe, Source

if TYPE_CHECKING:
    from drtool.operations.backup.intake.helpers import Helpers

_DEFAULT = Thoroughness()


def back_up(
    repository: Repository,
    job: str,
    sources: Sequence[Source],
    budget: Budget,
    reporter: Reporter,
    thoroughness: Thoroughness = _DEFAULT,
    tags: tuple[str, ...] = (),
    helpers: Helpers | None = None,
) -> BackupResult:
    """Read of the job's sources what changed since the last snapshot, at one instant each, and commit a snapshot.

    On any error nothing is committed, and what was stored is kept for the next run; where a source of several fails the
    others are read first, and then ``PartialError`` tells. ``WrongKeyError`` where nobody would accept the snapshot.
    """
    started = time.monotonic()
    require_writer(repository, "backups")
    failures = Failures(job, [source.name for source in sources], reporter)
    probed = _probed(sources, failures, reporter)
    with Run(repository, "backup", job) as run:
        for problem in repository.refresh_index():
            reporter.warn(problem.message)
        with (
            contextlib.closing(Before(repository, job, reporter)) as before,
            _writing(repository, budget) as writer,
        ):
            run.keep_clear(writer.seen)
            pages = Pages(repository, writer, job, before.number + 1)
            tools = Tools(repository, writer, pages, before, thoroughness, budget, reporter, helpers)
            ground = footing(repository, before, writer.unusable)
            if ground is not None and ground.lost:
                before.lost = ground.lost
                reporter.warn(
                    f"{len(ground.lost):,} chunks of the last snapshot lie in no pack to rely on: their ranges are read"
                    " again, and stored anew"
                )
            gathered = Gathering(tools, "" if ground is not None else NO_FOOTING, failures).read_all(probed)
            failures.refuse()
            result = commit(tools, run, gathered, ground.packs if ground is not None else {}, started, tags)
        run.outcome = "committed"
    return result


def _probed(sources: Sequence[Source], failures: Failures, reporter: Reporter) -> dict[str, tuple[Source, Probe]]:
    """The sources that can be reached, by name, with what they say of themselves."""
    probed: dict[str, tuple[Source, Probe]] = {}
    for source in sources:
        with failures.of(source.name):
            probed[source.name] = source, source.probe()
            for warning in probed[source.name][1].warnings:
                reporter.warn(f"{source.name}: {warning}")
    return probed


@contextlib.contextmanager
def _writing(repository: Repository, budget: Budget) -> Iterator[ChunkWriter]:
    writer = ChunkWriter(repository, uploads=budget.uploads, pack_bytes=budget.pack_bytes)
    try:
        yield writer
    except BaseException:
        # What is there already serves the next run. If storing it fails too, the first error is the one to tell.
        with contextlib.suppress(DrtoolError):
            writer.flush()
        raise
    finally:
        writer.close()
