"""Telling what is critical while nothing can be written down: a full disk must not silence the alarm that it causes.

What was told cannot be remembered then, so each call could tell it again, every minute. The time of the last message is
kept as the time of a file that is there already, which a full disk does not hinder, or of one in the directory for
temporary files.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.config.root import Config
from drtool.errors import StateError
from drtool.monitoring.alerting.delivering import Attempt, deliver
from drtool.monitoring.alerting.messages import Kind, Notice
from drtool.monitoring.alerting.rules import Route
from drtool.monitoring.conditions import Condition, Severity

if TYPE_CHECKING:
    from drtool.monitoring.targets.base import Target

PAUSE = timedelta(minutes=30)


def tell_without_state(
    config: Config,
    targets: Mapping[str, Target],
    directory: Path,
    problem: StateError,
    at: datetime,
    also: Sequence[Condition],
) -> Iterator[Attempt]:
    """Tell the targets of the `problem` and of what is critical of `also`, unless that was done just now."""
    places = _places(directory)
    conditions = [unusable(problem, at), *(one for one in also if one.severity is Severity.CRITICAL)]
    if len(conditions) == 1 and any(_was_just_now(place, at) for place in places):
        return
    notices = {
        route.target: [Notice(Kind.OPEN, one, at) for one in conditions if route.takes(one)]
        for route in map(Route.of, config.notify)
    }
    was_told = False
    for attempt in deliver(targets, notices, socket.gethostname(), at):
        was_told = was_told or bool(attempt.taken)
        yield attempt
    # What nobody took is tried again by the next call.
    if was_told:
        next((place for place in places if _marked(place, at)), None)


def unusable(problem: StateError, at: datetime) -> Condition:
    """What is wrong while the local state cannot be used."""
    return Condition(
        "state",
        Severity.CRITICAL,
        f"drtool cannot keep its state on this host: {problem.message}",
        f"No run is recorded, none is started on schedule, and alerts are incomplete. {problem.hint}".strip(),
        at,
    )


def mark_of(directory: Path) -> Path:
    """The file whose time is that of the last message; it is made while there is room for it."""
    return directory / "told-without-state"


def take_over(directory: Path) -> datetime | None:
    """When targets were last told while nothing could be kept, once; None where they were not, since this was asked."""
    times = [time for place in _places(directory) if (time := _time_of(place))]
    for place in _places(directory):
        if _time_of(place):
            _marked(place, None)
    return max(times, default=None)


def _places(directory: Path) -> tuple[Path, Path]:
    return mark_of(directory), Path(tempfile.gettempdir()) / f"drtool-{os.getuid()}-{directory.name}"


def _was_just_now(place: Path, at: datetime) -> bool:
    told = _time_of(place)
    return told is not None and timedelta(0) <= at - told < PAUSE


def _time_of(place: Path) -> datetime | None:
    """The time of a message; None for no such file, or one of which nothing was told."""
    try:
        found = place.lstat()
    except OSError:
        return None
    is_mark = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and found.st_mtime > 0
    return datetime.fromtimestamp(found.st_mtime, UTC) if is_mark else None


def _marked(place: Path, at: datetime | None) -> bool:
    stamp = 0.0 if at is None else at.timestamp()
    with contextlib.suppress(OSError):
        descriptor = os.open(place, os.O_CREAT | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
        try:
            os.utime(descriptor, (stamp, stamp))
        finally:
            os.close(descriptor)
        return True
    return False
