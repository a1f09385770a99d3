"""When something is done repeatedly, and what goes with each run: what jobs and schedules have in common."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from drtool.config.model import Duration, Model
from drtool.config.secrets import Secret

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def _cron(expression: str) -> str:
    from croniter import CroniterBadDateError, croniter

    if expression.startswith("@"):
        if expression not in ALIASES:
            raise ValueError(f"must be one of {', '.join(ALIASES)}, or five fields such as '0 2 * * *'")
        return ALIASES[expression]
    if len(expression.split()) != 5 or not croniter.is_valid(expression):
        raise ValueError("must be a cron expression of five fields, such as '0 2 * * *'")
    try:
        croniter(expression).get_next()
    except CroniterBadDateError:
        raise ValueError("names a day that never comes") from None
    return expression


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is no time zone; write one such as Europe/Berlin or UTC") from None
    return name


Cron = Annotated[str, AfterValidator(_cron)]
"""A cron expression of five fields; ``@daily`` and the like are written out."""

Zone = Annotated[str, AfterValidator(_zone)]
"""The name of a time zone."""

Arguments = Annotated[tuple[str, ...], Field(min_length=1)]
"""A program and its arguments: no shell looks at them."""


class Hooks(Model):
    """Commands of the operator's around each run; argument lists, not shell strings. ``timeout`` is in seconds."""

    before: tuple[Arguments, ...] = Field(
        default=(), description="Before the run, in order; one that fails keeps it from starting, 75 skips it softly."
    )
    after: tuple[Arguments, ...] = Field(default=(), description="After a run that succeeded.")
    on_error: tuple[Arguments, ...] = Field(default=(), description="After a run that failed.")
    timeout: Duration = Field(default=300.0, description="How long each may take.", json_schema_extra={"default": "5m"})


class Ping(Model):
    """A dead man's switch in Healthchecks' manner: it raises the alarm when nothing comes."""

    url: Secret = Field(description="The check's address; /start, /fail and the run's id are added to it.")
    log: bool = Field(default=False, description="Whether the error's sentence is sent along when a run fails.")


class Repeated(Model):
    """When something is done, and what goes with it. Durations are in seconds."""

    timezone: Zone | None = Field(default=None, description="The time zone of the schedule; without it, this host's.")
    jitter: Duration = Field(
        default=0.0,
        description="Start up to so much later, always the same on one host, so that many hosts do not start at once.",
        json_schema_extra={"default": "0s"},
    )
    max_duration: Duration | None = Field(
        default=None, description="A run that takes longer is stopped and counts as failed."
    )
    catch_up: bool = Field(default=True, description="Whether a run that was missed is made up for, once.")
    hooks: Hooks = Field(default_factory=Hooks, description="Commands before and after each run.")
    ping: Ping | None = Field(default=None, description="Whom to tell of each run, so that silence is noticed.")
