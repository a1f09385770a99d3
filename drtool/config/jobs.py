"""``jobs``: which sources are backed up together."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from drtool.config.model import Model, Percent, no_truth_value


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

    @field_validator("sources")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("names a source twice")
        return names
