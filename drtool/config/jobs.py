"""``jobs``: which sources are backed up together."""

from __future__ import annotations

from pydantic import Field, field_validator

from drtool.config.model import Model


class Job(Model):
    """Sources that are backed up together, by name; at least one, each once."""

    sources: tuple[str, ...] = Field(min_length=1, description="Names of sources.")

    @field_validator("sources")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("names a source twice")
        return names
