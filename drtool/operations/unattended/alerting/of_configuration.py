"""What is wrong with the configuration: that ``schedule run`` cannot use it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from drtool.monitoring.alerting.wording import moment
from drtool.monitoring.conditions import Condition, Severity
from drtool.operations.unattended.alerting.view import View
from drtool.operations.unattended.configuration.noting import Broken, broken

CONFIGURATION = "configuration"
_MOST = 5


def conditions_of_configuration(view: View) -> Iterator[Condition]:
    """One, while it cannot."""
    found = broken(view.ledger, view.config.path)
    if found is None:
        return
    first, *others = found.problems
    more = [*others[:_MOST], *([f"and {len(others) - _MOST} more"] if len(others) > _MOST else [])]
    also = f"Also: {'; '.join(more)}. " if more else ""
    yield Condition(
        CONFIGURATION,
        Severity.CRITICAL,
        f"drtool schedule run cannot use its configuration: {first}",
        f"{also}Nothing is started on schedule until it is mended{_next(view)}. drtool config check tells what is"
        " wrong; once nothing is, schedules go on by themselves.",
        found.since,
        facts=_facts(view, found),
    )


def _next(view: View) -> str:
    """What will not be started first."""
    planned = [
        (standing.due_slot or standing.next_slot, entry) for entry, standing in view.entries if standing.paused is None
    ]
    if not planned:
        return ""
    slot, entry = min(planned, key=lambda one: (one[0], one[1].name))
    when = "was due at" if slot <= view.now else "is due at"
    return f"; {entry.name} ({entry.task}) {when} {moment(slot)}"


def _facts(view: View, found: Broken) -> dict[str, str]:
    told = {"Configuration": str(view.config.path)}
    try:
        changed = datetime.fromtimestamp(view.config.path.stat().st_mtime, UTC)
    except OSError:
        told["File"] = "cannot be looked at"
    else:
        told["File changed"] = moment(changed)
    if found.used is not None:
        told["Last used"] = moment(found.used)
    return told
