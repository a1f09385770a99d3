"""Replaying the archived log over what a restore has loaded."""

from __future__ import annotations

from collections.abc import Iterator

from drtool.operations.overlaying import replay_from
from drtool.operations.pitr.entries import Way
from drtool.operations.pitr.recovering import Recovery
from drtool.operations.reporting import Reporter
from drtool.sources.base import Replayed, RestorePlan, Target


def replay_archive(recovery: Recovery, way: Way, target: Target, plan: RestorePlan, reporter: Reporter) -> Replayed:
    """Take the loaded streams to the goal: after all were loaded, before `Target.finish`."""
    task = "Replaying the log"
    origin = recovery.base.source

    def told() -> Iterator[bytes]:
        for chunk in way.chunks():
            yield chunk
            reporter.advance(task, len(chunk))

    reporter.start(task, way.size)
    try:
        # One replay also does what a snapshot with an overlay needs.
        return target.replay(plan, replay_from(origin) or origin.point, told(), recovery.goal.stop)
    finally:
        reporter.finish(task)
