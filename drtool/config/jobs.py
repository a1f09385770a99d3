"""``jobs``: which sources are backed up together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from drtool.config.model import Duration, Model, Percent, no_truth_value
from drtool.config.policies import Policy
from drtool.config.spans import Span
from drtool.config.timing import Cron, Repeated


class VerifyAfter(Model):
    """How far each snapshot is verified once it is taken."""

    level: Literal["listed", "intact", "readable", "restored"] = Field(description="The level of verification.")
    sample: Percent | None = Field(default=None, description="The share of the chunks that is looked at.")


class Objectives(Model):
    """What recovery must reach, in seconds: monitoring and drills hold what is there against it."""

    rpo: Duration | None = Field(default=None, description="How old the newest snapshot may get.")
    rto: Duration | None = Field(default=None, description="How long a recovery may take.")


class Job(Repeated):
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
    schedule: Cron | None = Field(
        default=None,
        description="When drtool schedule run takes a backup (cron); retention knows from it how many to expect.",
        json_schema_extra={"examples": ["0 2 * * *", "@daily"]},
    )
    verify: VerifyAfter | None = Field(
        default=None, description="How far drtool schedule run verifies each snapshot, right after it was taken."
    )
    objectives: Objectives = Field(default_factory=Objectives, description="What recovery must reach.")
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
