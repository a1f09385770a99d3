"""Decisions about snapshots as lines and tables."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

from drtool.cli.context import Context
from drtool.cli.units import counted
from drtool.errors import UsageError

if TYPE_CHECKING:
    from drtool.operations.retention.planning import Decision, Objection, Plan


def require_job(context: Context, job: str | None, plan: Plan) -> None:
    """``UsageError`` where neither the configuration nor the repository knows the job."""
    if job is not None and not plan.decisions and job not in context.config().jobs:
        raise UsageError(f"there is no job {job!r}", hint=f"Jobs: {', '.join(sorted(context.config().jobs))}")


def show_plan(context: Context, plan: Plan) -> None:
    """What stays and what goes, and why."""
    from drtool.operations.retention.planning import NO_POLICY

    output = context.output
    for one in plan.decisions:
        manifest = one.snapshot.manifest
        output.line(
            "decision",
            snapshot=one.snapshot.id,
            job=manifest.job,
            time=manifest.created,
            tags=list(manifest.tags),
            keep=one.keep,
            reasons=list(one.reasons),
        )
    for objection in plan.objections:
        output.line("objection", **objection_fields(objection))
    rows = [
        (
            one.snapshot.id,
            one.snapshot.manifest.job,
            _shown(one.snapshot.manifest.created),
            "keep" if one.keep else "REMOVE",
            "; ".join(one.reasons),
        )
        for one in plan.decisions
    ]
    if rows:
        output.table(("SNAPSHOT", "JOB", "TAKEN", "", "BECAUSE"), rows)
    for job, decisions in by_job(plan.decisions).items():
        going = sum(not one.keep for one in decisions)
        staying = len(decisions) - going
        told = f"{job}: {counted(staying, 'snapshot stays', 'snapshots stay')}"
        if all(one.reasons == (NO_POLICY,) for one in decisions):
            output.text(f"{told}, whatever their age: the configuration names no policy for the job")
            continue
        output.text(f"{told}, {going:,} {'goes' if going == 1 else 'go'}")
    for warning in plan.warnings:
        context.reporter().warn(warning)


def _shown(moment: str) -> str:
    """To the minute, with the offset: what the policy counts by."""
    return datetime.fromisoformat(moment).isoformat(" ", "minutes")


def figures(plan: Plan) -> dict[str, object]:
    """The fields of the result."""
    return {
        "plan": plan.hash,
        "keep": sum(one.keep for one in plan.decisions),
        "remove": [one.id for one in plan.removal.snapshots],
        "segments": len(plan.removal.segments),
        "evidence": len(plan.removal.evidence),
        "objections": [objection_fields(one) for one in plan.objections],
    }


def told(plan: Plan) -> str:
    """What goes, in words."""
    removal = plan.removal
    parts = [counted(len(removal.snapshots), "snapshot")] if removal.snapshots or not removal else []
    parts += [counted(len(removal.evidence), "piece of evidence", "pieces of evidence")] if removal.evidence else []
    parts += [counted(len(removal.segments), "oplog segment")] if removal.segments else []
    return ", ".join(parts)


def objection_fields(objection: Objection) -> dict[str, str]:
    """An objection as JSON."""
    return {"obstacle": objection.obstacle.value, "job": objection.job, "message": objection.message}


def by_job(decisions: tuple[Decision, ...]) -> dict[str, list[Decision]]:
    """The decisions of each job."""
    found: dict[str, list[Decision]] = defaultdict(list)
    for one in decisions:
        found[one.snapshot.manifest.job].append(one)
    return found
