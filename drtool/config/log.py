"""``log``: where drtool writes down what it did, beside standard error."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from drtool.config.model import Model, Size, no_truth_value
from drtool.config.paths import ConfigPath

LEAST_SIZE = 10_000


def _enough(size: int) -> int:
    if size < LEAST_SIZE:
        raise ValueError(f"must be at least {LEAST_SIZE // 1000} KB")
    return size


class LogSettings(Model):
    """A log file, journald, both or neither. ``max_size`` is in bytes."""

    file: ConfigPath | None = Field(default=None, description="A file that lines are added to, with mode 0600.")
    level: Literal["info", "warning", "error"] = Field(
        default="info", description="Lines of less than this are left out."
    )
    format: Literal["json", "text"] = Field(default="json", description="How a line of the file looks.")
    max_size: Annotated[Size, AfterValidator(_enough)] = Field(
        default=10_000_000,
        description="A file that would get larger is put aside as FILE.1, and the one before as FILE.2, and so on.",
        json_schema_extra={"default": "10 MB"},
    )
    keep: Annotated[int, Field(ge=0, le=1000), BeforeValidator(no_truth_value)] = Field(
        default=5, description="How many files that were put aside are kept."
    )
    journald: bool = Field(default=False, description="Whether lines go to systemd's journal, too, with their fields.")
