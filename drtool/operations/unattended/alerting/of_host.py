"""What is wrong with this host: room on its file systems."""

from __future__ import annotations

from collections.abc import Iterator

from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.unattended.alerting.view import View
from drtool.operations.unattended.standing.spaces import spaces
from drtool.operations.unattended.standing.survey import Space

_LOW, _VERY_LOW = 0.10, 0.02
#: So little is low even where it is a larger share, unless it is a quarter: small file systems are not all full.
_LOW_BYTES, _SMALL = 5_000_000_000, 0.25
_WHAT = {"state": "drtool's state", "repository": "the repository"}


def conditions_of_host(view: View) -> Iterator[Condition]:
    """Those of the state and of a repository in a directory; one where both lie on the same file system."""
    seen: set[int | str] = set()
    found = view.survey.spaces if view.survey is not None else spaces(view.config)
    for space in found:
        which = space.path if space.device is None else space.device
        if space.place not in _WHAT or which in seen:
            continue
        seen.add(which)
        severity = how_low(space)
        if severity is not None:
            yield _low(view, space, severity)


def how_low(space: Space) -> Severity | None:
    """How bad it is; None where there is enough."""
    share = space.free / max(1, space.total)
    if share < _VERY_LOW:
        return Severity.CRITICAL
    is_low = share < _LOW or (space.free < _LOW_BYTES and share < _SMALL)
    return Severity.WARNING if is_low else None


def _low(view: View, space: Space, severity: Severity) -> Condition:
    share = space.free / max(1, space.total)
    return Condition(
        f"disk/{space.place}",
        severity,
        f"Only {space.free / 1e9:.1f} GB ({share:.0%}) are left where {_WHAT[space.place]} lies: {space.path}",
        "Backups fail when it is full. Free some space, or let retention and prune remove what is not needed.",
        view.now,
    )
