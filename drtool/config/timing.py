"""When something is done repeatedly, and what goes with each run: what jobs and schedules have in common."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from drtool.config.model import Duration, Model, no_truth_value
from drtool.config.paths import ConfigPath
from drtool.config.secrets import Origin, Secret

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_BY_CHANCE = re.compile(r"(?i)(?<![a-z])[hr](?![a-z])")


def _cron(expression: str) -> str:
    from croniter import CroniterBadDateError, croniter

    if expression.startswith("@"):
        if expression not in ALIASES:
            raise ValueError(f"must be one of {', '.join(ALIASES)}, or five fields such as '0 2 * * *'")
        return ALIASES[expression]
    # croniter takes R for a number that it throws dice for, each time that it is asked.
    if len(expression.split()) != 5 or _BY_CHANCE.search(expression) or not croniter.is_valid(expression):
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
    ca_bundle: ConfigPath | None = Field(
        default=None, description="Certificate authorities to trust beside this host's (PEM)."
    )

    @field_validator("url")
    @classmethod
    def _web(cls, url: Secret) -> Secret:
        if url.origin is Origin.TEXT and not url.reveal().startswith(("https://", "http://")):
            raise ValueError("must be an address that begins with https:// or http://")
        return url


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
    retries: Annotated[int, Field(ge=0, le=10), BeforeValidator(no_truth_value)] = Field(
        default=0, description="How often a run that failed is tried again before the next one is due."
    )
    retry_after: Duration = Field(
        default=600.0,
        description="How long after its end a run that failed is tried again.",
        json_schema_extra={"default": "10m"},
    )
    catch_up: bool = Field(default=True, description="Whether a run that was missed is made up for, once.")
    hooks: Hooks = Field(default_factory=Hooks, description="Commands before and after each run.")
    ping: Ping | None = Field(default=None, description="Whom to tell of each run, so that silence is noticed.")
