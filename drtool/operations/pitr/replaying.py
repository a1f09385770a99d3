"""Replaying the archived log over what a restore has loaded; and before that, seeing that it can be."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from drtool.errors import AuthenticationError, SourceError
from drtool.operations.overlaying import replay_from
from drtool.operations.pitr.entries import Way
from drtool.operations.pitr.recovering import Recovery
from drtool.operations.reporting import Reporter
from drtool.sources.reading import StreamInfo
from drtool.sources.restoring import Rehearsed, Replayed, RestorePlan, Target


def rehearse_archive(
    recovery: Recovery,
    way: Way,
    target: Target,
    plan: RestorePlan,
    reporter: Reporter,
    others: Sequence[StreamInfo] = (),
) -> Rehearsed:
    """Read all of the log that is needed, look for what cannot be done again, and what it makes of the plan and, where
    they come to bear a name that is restored, of `others`. Nothing is written.

    Errors as of ``Way.checked`` and ``Target.rehearse``.
    """
    entries = way.checked(reporter)
    try:
        found = target.rehearse(plan, _since(recovery), chain(entries, way.beyond()), recovery.goal.stop, others)
    except AuthenticationError:
        raise
    except SourceError:
        _read_all(entries)  # if the log is damaged, or of another history, that is the error to tell
        raise
    _read_all(entries)
    return found


def replay_archive(recovery: Recovery, way: Way, target: Target, plan: RestorePlan, reporter: Reporter) -> Replayed:
    """Take the loaded streams to the goal: after all were loaded, before `Target.finish`."""
    task = "Replaying the log"

    def told() -> Iterator[bytes]:
        for chunk in way.chunks():
            yield chunk
            reporter.advance(task, len(chunk))

    reporter.start(task, way.size)
    try:
        return target.replay(plan, _since(recovery), told(), recovery.goal.stop)
    finally:
        reporter.finish(task)


def _since(recovery: Recovery) -> Mapping[str, Any]:
    """Where to begin: one replay also does what a snapshot with an overlay needs."""
    origin = recovery.base.source
    return replay_from(origin) or origin.point


def _read_all(entries: Iterator[bytes]) -> None:
    deque(entries, maxlen=0)
