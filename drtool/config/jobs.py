"""``jobs``: which sources are backed up together."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from drtool.config.model import Model, Percent, no_truth_value
from drtool.config.policies import Policy
from drtool.config.spans import Span


def _cron(expression: str) -> str:
    from croniter import CroniterBadDateError, croniter

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


class Job(Model):
    """Sources that are backed up together, by name; at least one, each once. ``check`` is from 0 to 1."""

    sources: tuple[str, ...] = Field(min_length=1, description="Names of sources.")
    full_every: Annotated[int, Field(ge=1), BeforeValidator(no_truth_value)] | None = Field(
        default=None, description="Every so many runs everything is read; without it, only where that is needed."
    )
    check: Percent = Field(
        default=0.02,
        description="The share of what did not change that an increment reads all the same, to check itself.",
        json_schema_extra={"default": "2%"},
    )
    schedule: Annotated[str, AfterValidator(_cron)] | None = Field(
        default=None,
        description="When backups are taken (cron), so that retention knows how many to expect.",
        json_schema_extra={"examples": ["0 2 * * *"]},
    )
    timezone: Annotated[str, AfterValidator(_zone)] | None = Field(
        default=None, description="The time zone of the schedule; without it, this host's."
    )
    retention: Policy | None = Field(
        default=None,
        description="Which snapshots to keep: the name of a policy, a file, or its rules; without it, all.",
    )
    pitr_window: Span | None = Field(
        default=None,
        description="How far back any moment is to be restorable; the archived oplog from before that goes with "
        "retention. Without it, all the way back to the oldest snapshot.",
    )

    @field_validator("sources")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("names a source twice")
        return names
