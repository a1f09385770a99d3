"""``drtool snapshots``."""

from __future__ import annotations

import click

from drtool.cli.choices import known, repository
from drtool.cli.command import Context, drtool_command
from drtool.cli.units import size
from drtool.errors import TamperedError, UsageError


@drtool_command(
    example="""
drtool snapshots
drtool snapshots nightly --json
"""
)
@click.argument("job", required=False)
def command(context: Context, job: str | None) -> None:
    """List the snapshots, oldest first, with the level that each was verified to.

    Exits with 4 when something in the repository was tampered with or is damaged; the rest is listed all the same.
    """
    from drtool.operations.retention.protecting import holding, protected

    with repository(context) as opened:
        found = known(context, opened)
        pins, bad_pins = holding(opened)
    shown = [s for s in found.catalogue.snapshots if job is None or s.manifest.job == job]
    jobs = sorted({s.manifest.job for s in found.catalogue.snapshots})
    if job is not None and not shown and job not in context.config().jobs:
        raise UsageError(f"there is no job {job!r}", hint=f"There are snapshots of: {', '.join(jobs) or 'no job'}")
    output = context.output
    kept_safe = protected(found, pins)
    rows = []
    for snapshot in shown:
        manifest, level = snapshot.manifest, found.level(snapshot)
        proof = level.proof or manifest.proof
        output.line(
            "snapshot",
            snapshot=snapshot.id,
            job=manifest.job,
            instant=manifest.instant,
            consistency=manifest.consistency,
            level=level.level.label,
            verified_at=level.at,
            verification_failed=level.last_failed,
            proof=proof,
            suspect=found.is_suspect(snapshot),
            bytes=manifest.statistics.bytes,
            stored_bytes=manifest.statistics.stored_bytes,
            records=manifest.statistics.records,
            protected=snapshot.id in kept_safe,
            tags=list(manifest.tags),
            head=snapshot.hash,
        )
        state = f"{level.level.label} {level.at[:16].replace('T', ' ')}" if level.at else level.level.label
        rows.append(
            (
                snapshot.id,
                manifest.job,
                manifest.instant[:19].replace("T", " ") + "Z",
                manifest.consistency,
                f"{manifest.statistics.records:,}",
                size(manifest.statistics.bytes),
                size(manifest.statistics.stored_bytes),
                _verified(state, failed=level.last_failed, suspect=found.is_suspect(snapshot)),
                level.proof if level.proof and not level.last_failed else "",
                "protected" if snapshot.id in kept_safe else "",
            )
        )
    if rows:
        columns = ("SNAPSHOT", "JOB", "INSTANT", "CONSISTENCY", "RECORDS", "SIZE", "STORED", "VERIFIED", "PROOF", "")
        output.table(columns, rows, right=("RECORDS", "SIZE", "STORED"))
    else:
        output.text("no snapshots yet: take one with drtool backup")
    for problem in bad_pins:
        context.reporter().warn(problem.message)
    problems = [*found.problems, *bad_pins]
    if problems:
        raise TamperedError(
            f"{len(problems)} things in the repository are not as they should be (listed above);"
            f" first: {problems[0].message}",
            hint=problems[0].hint,
        )


def _verified(state: str, *, failed: bool, suspect: bool) -> str:
    return ("FAILED" if failed else state) + (", SUSPECT" if suspect else "")
