"""``limits``: how much of this host drtool may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from drtool.config.model import Model, Size, no_truth_value

DEFAULT_MEMORY = 300_000_000
LEAST_MEMORY = 128_000_000


def _enough(memory: int) -> int:
    if memory < LEAST_MEMORY:
        raise ValueError(f"must be at least {LEAST_MEMORY // 1_000_000} MB")
    return memory


class Limits(Model):
    """How much memory (bytes) a run may use, and how many readers at once; None lets drtool choose."""

    memory: Annotated[Size, AfterValidator(_enough)] = Field(
        default=DEFAULT_MEMORY,
        description="Memory for what is being read, packed and sent.",
        json_schema_extra={"default": "300 MB"},
    )
    readers: Annotated[int, Field(ge=1, le=256), BeforeValidator(no_truth_value)] | None = Field(
        default=None, description="How many readers work at once; without it, drtool chooses."
    )
