"""``drtool backup``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.units import apart, counted, duration, size
from drtool.errors import DrtoolError, PartialError, SkippedError, UsageError, VerificationFailedError

if TYPE_CHECKING:
    from drtool.config.root import Config
    from drtool.operations.backup.committing import BackupResult
    from drtool.operations.backup.forecast import Forecast
    from drtool.sources.base import Source

_NAMED = 5


@drtool_command(
    example="""
drtool backup
drtool backup nightly --json
drtool backup nightly --full
drtool backup nightly --dry-run
"""
)
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option(
    "--source",
    "only",
    multiple=True,
    metavar="S",
    help="Only this source of the job (again for more): of several sources only with --dry-run.",
)
@click.option("--full", is_flag=True, help="Read everything, also what did not change since the last snapshot.")
@click.option("--tag", "tags", multiple=True, metavar="T", help="A word for retention to know it by (again for more).")
@click.option("--dry-run", is_flag=True, help="Say what would be read; read and write nothing.")
def command(
    context: Context, jobs: tuple[str, ...], only: tuple[str, ...], full: bool, tags: tuple[str, ...], dry_run: bool
) -> None:
    """Take a snapshot of each job; of all jobs without an argument.

    Every source is read at one instant, and of it what changed since the last snapshot, where the source can tell.
    What the repository holds already is not stored again. A job that fails does not keep the others from being
    backed up; the exit code is 3 then, as it is where one of a job's sources cannot be read: the others are, but there
    is no snapshot. With 4 the snapshot was taken, but those before it may lack changes.
    """
    config = context.config()
    words = _tags(tags)
    wanted = {job: _sources(config, job, only, dry_run=dry_run) for job in _jobs(config, jobs)}
    snapshots: list[str] = []
    context.output.result(snapshots=snapshots)

    def do(job: str) -> None:
        if dry_run:
            _forecast(context, job, wanted[job])
        else:
            _run(context, job, full=full, tags=words, snapshots=snapshots)

    if dry_run or not _is_several_of_a_schedule(config):
        _each(context, list(wanted), do)
    else:
        with context.attended("backup"):
            _each(context, list(wanted), do)


def _each(context: Context, jobs: Sequence[str], do: Callable[[str], None]) -> None:
    """Every job, also after one that failed. One that a hook wants skipped is no failure beside others."""
    failures: dict[str, DrtoolError] = {}
    skipped: dict[str, SkippedError] = {}
    for job in jobs:
        try:
            do(job)
        except DrtoolError as error:
            _show_causes(context, job, error)
            if len(jobs) == 1:
                raise
            if isinstance(error, SkippedError):
                skipped[job] = error
            else:
                failures[job] = error
            _show_failure(context, job, error)
    if failures:
        raise _summary(failures, len(jobs))
    if len(skipped) == len(jobs):
        raise next(iter(skipped.values()))


def _is_several_of_a_schedule(config: Config) -> bool:
    """Is it the turn of a schedule beside the jobs' own? Its run is one, and within it each job's is another."""
    from drtool.operations.unattended.attending.turn import Turn

    return Turn.of(os.environ).entry in config.schedules


def _run(context: Context, job: str, *, full: bool, tags: tuple[str, ...], snapshots: list[str]) -> None:
    """A snapshot of a job, with all that goes with a run; its id is added to `snapshots`."""
    from drtool.operations.opening import sources_of

    config = context.config()
    chosen = {name: config.sources[name] for name in config.jobs[job].sources}
    with context.attended("backup", job=job) as run, sources_of(chosen) as sources:
        result = _back_up(context, job, sources, full=full, tags=tags)
        run.figures |= _figures(result)
        snapshots.append(result.snapshot)
        context.output.result(snapshots=snapshots)
        _refuse_missed(result)


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    from drtool.config.rules import MOST_TAGS, check_tag

    try:
        found = tuple(dict.fromkeys(check_tag(tag) for tag in tags))
    except ValueError as error:
        raise UsageError(f"--tag: {error}") from error
    if len(found) > MOST_TAGS:
        raise UsageError(f"--tag: a snapshot has at most {MOST_TAGS} tags")
    return found


def _back_up(
    context: Context, job: str, sources: Sequence[Source], *, full: bool, tags: tuple[str, ...]
) -> BackupResult:
    from drtool.operations.backup.backup import back_up
    from drtool.operations.backup.inheriting import Thoroughness
    from drtool.operations.backup.intake.enlisting import enlisted
    from drtool.operations.budget import Budget
    from drtool.operations.joblock import job_lock
    from drtool.operations.opening import repository_of

    config = context.config()
    budget = Budget.within(config.limits.memory, config.limits.readers)
    thoroughness = Thoroughness(full, config.jobs[job].full_every, config.jobs[job].check)
    with (
        enlisted(sources, job, config.repository.state_dir, budget) as helpers,
        repository_of(config.repository, cancelled=context.stopping) as repository,
        job_lock(config.repository.state_dir / repository.id, job),
    ):
        result = back_up(repository, job, sources, budget, context.reporter(), thoroughness, tags, helpers)
    _show(context, result)
    return result


def _refuse_missed(result: BackupResult) -> None:
    if result.missed:
        before = f": {', '.join(result.suspects[:_NAMED])}" if result.suspects else ""
        more = f" and {len(result.suspects) - _NAMED} more" if len(result.suspects) > _NAMED else ""
        raise VerificationFailedError(
            f"{result.job}: the source had not told of a change in {', '.join(result.missed[:_NAMED])};"
            f" snapshot {result.snapshot} was read in full, {len(result.suspects)} before it are suspect{before}{more}",
            hint="Find out what changed it unseen: a member that was run standalone and wrote past the oplog, say.",
        )


def _summary(failures: Mapping[str, DrtoolError], jobs: int) -> DrtoolError:
    if len(failures) == jobs:
        return next(iter(failures.values()))
    return PartialError(
        f"{len(failures)} of {jobs} jobs failed: {', '.join(failures)}", hint="Why is told above; the others are done."
    )


def _show_failure(context: Context, job: str, error: DrtoolError) -> None:
    context.output.line("failure", job=job, kind=error.kind, message=error.message, hint=error.hint)
    context.reporter().warn(f"{job}: {error.message}" + (f" ({error.hint})" if error.hint else ""))


def _show_causes(context: Context, job: str, error: DrtoolError) -> None:
    """A line for each source that could not be read; people were told while it happened."""
    for source, cause in error.causes.items() if isinstance(error, PartialError) else ():
        context.output.line("failure", job=job, source=source, kind=cause.kind, message=cause.message, hint=cause.hint)


def _jobs(config: Config, jobs: Sequence[str]) -> list[str]:
    unknown = [job for job in jobs if job not in config.jobs]
    if unknown:
        raise UsageError(f"there is no job {unknown[0]!r}", hint=f"Jobs: {', '.join(sorted(config.jobs))}")
    return list(dict.fromkeys(jobs)) or sorted(config.jobs)


def _sources(config: Config, job: str, only: Sequence[str], *, dry_run: bool) -> list[str]:
    """Those of the job that were asked for. A snapshot of some of them would be none of the job: it would be what
    ``latest`` means, and push complete ones out."""
    sources = config.jobs[job].sources
    unknown = [name for name in only if name not in sources]
    if unknown:
        raise UsageError(f"job {job} has no source {unknown[0]!r}", hint=f"Its sources: {', '.join(sources)}")
    chosen = [name for name in sources if not only or name in only]
    if len(chosen) < len(sources) and not dry_run:
        fitting = [name for name, other in sorted(config.jobs.items()) if set(other.sources) == set(chosen)]
        raise UsageError(
            f"job {job} takes one snapshot of {', '.join(sources)} together, and none of {', '.join(chosen)} alone",
            hint=f"There is a job of just that: drtool backup {fitting[0]}"
            if fitting
            else f"Add a job with sources: [{', '.join(chosen)}]; what both jobs read is stored once.",
        )
    return chosen


def _show(context: Context, result: BackupResult) -> None:
    from dataclasses import asdict

    output = context.output
    output.line(
        "backup",
        job=result.job,
        snapshot=result.snapshot,
        consistency=result.consistency,
        instant=result.instant,
        streams=result.streams,
        records=result.records,
        bytes={"read": result.read_bytes, "new": result.new_bytes, "stored": result.stored_bytes},
        chunks={"total": result.chunks, "new": result.new_chunks},
        seconds=round(result.seconds, 3),
        incremental=result.incremental,
        ranges=asdict(result.ranges),
        full_because=result.full_because,
        suspect=list(result.suspects),
        distance=result.distance,
        head=result.head,
        warnings=[{"source": source, "message": message} for source, message in result.warnings],
        emptied=dict(result.emptied),
    )
    output.ok(f"{result.job}: snapshot {result.snapshot}")
    held = f"{counted(result.records, 'record')} in {counted(result.streams, 'stream')}"
    output.text(f"  {held}, {size(result.bytes)}, {result.consistency}")
    if result.distance is not None:
        output.text(f"  the sources' instants lie {apart(result.distance)} apart")
    ranges = result.ranges
    how = f"full ({result.full_because})" if result.full_because else "incremental"
    output.text(f"  {how}: {ranges.read} of {ranges.total} ranges read, {ranges.checked} checked")
    # Rounds store more than the snapshot needs at last.
    of = f" of {result.chunks}" if result.new_chunks <= result.chunks else ""
    output.text(
        f"  new {size(result.new_bytes)} in {result.new_chunks}{of} chunks, stored as {size(result.stored_bytes)}"
    )
    for source in result.emptied:
        output.text(f"  NOTHING was there of {source}, of which earlier snapshots hold something")
    output.text(f"  took {duration(result.seconds)}; head {result.head[:16]}")


def _figures(result: BackupResult) -> dict[str, Any]:
    """What is kept of it in the run's record."""
    return {
        "snapshot": result.snapshot,
        "consistency": result.consistency.value,
        "instant": result.instant.isoformat(),
        "streams": result.streams,
        "records": result.records,
        "bytes": result.bytes,
        "read_bytes": result.read_bytes,
        "new_bytes": result.new_bytes,
        "stored_bytes": result.stored_bytes,
        "incremental": not result.full_because,
        "full_because": result.full_because,
        "distance": result.distance,
        "suspects": len(result.suspects),
        "emptied": dict(result.emptied),
    }


def _forecast(context: Context, job: str, names: Sequence[str]) -> None:
    from drtool.operations.backup.forecast import forecast
    from drtool.operations.opening import sources_of

    config = context.config()
    with sources_of({name: config.sources[name] for name in names}) as sources:
        for found in forecast(sources):
            _show_forecast(context, job, found)


def _show_forecast(context: Context, job: str, found: Forecast) -> None:
    output = context.output
    output.line(
        "forecast",
        job=job,
        source=found.source,
        consistency=found.consistency,
        streams=found.streams,
        records=found.records,
        bytes=found.bytes,
    )
    output.text(
        f"{job}: would read {found.source} ({found.version}, {found.topology}): {counted(found.streams, 'stream')},"
        f" about {counted(found.records, 'record')}, {size(found.bytes)}, {found.consistency}"
    )
    for warning in found.warnings:
        context.reporter().warn(f"{found.source}: {warning}")
