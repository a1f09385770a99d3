"""``drtool backup``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from drtool.cli.command import Context, drtool_command
from drtool.cli.units import duration, size
from drtool.errors import DrtoolError, PartialError, UsageError

if TYPE_CHECKING:
    from drtool.config.root import Config
    from drtool.operations.committing import BackupResult
    from drtool.operations.forecast import Forecast
    from drtool.sources.base import Source


@drtool_command(
    example="""
drtool backup
drtool backup nightly --json
drtool backup nightly --dry-run
"""
)
@click.argument("jobs", nargs=-1, metavar="[JOB]...")
@click.option("--source", "only", multiple=True, metavar="S", help="Only this source of the job (again for more).")
@click.option("--dry-run", is_flag=True, help="Say what would be read; read and write nothing.")
def command(context: Context, jobs: tuple[str, ...], only: tuple[str, ...], dry_run: bool) -> None:
    """Take a snapshot of each job; of all jobs without an argument.

    Every source is read at one instant. What the repository holds already is not stored again. A job that fails
    does not keep the others from being backed up; the exit code is 3 then.
    """
    from drtool.operations.opening import sources_of

    config = context.config()
    wanted = {job: _sources(config, job, only) for job in _jobs(config, jobs)}
    snapshots: list[str] = []
    failures: dict[str, DrtoolError] = {}
    context.output.result(snapshots=snapshots)
    for job, names in wanted.items():
        try:
            with sources_of({name: config.sources[name] for name in names}) as sources:
                if dry_run:
                    _forecast(context, job, sources)
                else:
                    snapshots.append(_back_up(context, job, sources))
        except DrtoolError as error:
            if len(wanted) == 1:
                raise
            failures[job] = error
            _show_failure(context, job, error)
        context.output.result(snapshots=snapshots)
    if failures:
        raise _summary(failures, len(wanted))


def _back_up(context: Context, job: str, sources: Sequence[Source]) -> str:
    from drtool.operations.backup import back_up
    from drtool.operations.budget import Budget
    from drtool.operations.joblock import job_lock
    from drtool.operations.opening import repository_of

    config = context.config()
    budget = Budget.within(config.limits.memory, config.limits.readers)
    with (
        repository_of(config.repository, cancelled=context.stopping) as repository,
        job_lock(config.repository.state_dir / repository.id, job),
    ):
        result = back_up(repository, job, sources, budget, context.reporter())
    _show(context, result)
    return result.snapshot


def _summary(failures: Mapping[str, DrtoolError], jobs: int) -> DrtoolError:
    if len(failures) == jobs:
        return next(iter(failures.values()))
    return PartialError(
        f"{len(failures)} of {jobs} jobs failed: {', '.join(failures)}", hint="Why is told above; the others are done."
    )


def _show_failure(context: Context, job: str, error: DrtoolError) -> None:
    context.output.line("failure", job=job, kind=error.kind, message=error.message, hint=error.hint)
    context.reporter().warn(f"{job}: {error.message}" + (f" ({error.hint})" if error.hint else ""))


def _jobs(config: Config, jobs: Sequence[str]) -> list[str]:
    unknown = [job for job in jobs if job not in config.jobs]
    if unknown:
        raise UsageError(f"there is no job {unknown[0]!r}", hint=f"Jobs: {', '.join(sorted(config.jobs))}")
    return list(dict.fromkeys(jobs)) or sorted(config.jobs)


def _sources(config: Config, job: str, only: Sequence[str]) -> list[str]:
    sources = config.jobs[job].sources
    unknown = [name for name in only if name not in sources]
    if unknown:
        raise UsageError(f"job {job} has no source {unknown[0]!r}", hint=f"Its sources: {', '.join(sources)}")
    return [name for name in sources if not only or name in only]


def _show(context: Context, result: BackupResult) -> None:
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
        incremental=False,
        ranges={"total": result.parts, "read": result.parts, "checked": 0},
        full_because=result.full_because,
        head=result.head,
    )
    output.ok(f"{result.job}: snapshot {result.snapshot}")
    output.text(
        f"  {result.records:,} records in {result.streams} streams, {size(result.read_bytes)}, {result.consistency}"
    )
    output.text(
        f"  new {size(result.new_bytes)} in {result.new_chunks} of {result.chunks} chunks,"
        f" stored as {size(result.stored_bytes)}"
    )
    output.text(f"  took {duration(result.seconds)}; head {result.head[:16]}")


def _forecast(context: Context, job: str, sources: Sequence[Source]) -> None:
    from drtool.operations.forecast import forecast

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
        f"{job}: would read {found.source} ({found.version}, {found.topology}): {found.streams} streams,"
        f" about {found.records:,} records, {size(found.bytes)}, {found.consistency}"
    )
    for warning in found.warnings:
        context.reporter().warn(f"{found.source}: {warning}")
