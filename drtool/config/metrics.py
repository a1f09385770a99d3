"""``metrics``: where Prometheus' node exporter finds what is measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from drtool.config.model import Model
from drtool.config.paths import ConfigPath

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
#: What drtool's own metrics, and Prometheus itself, call their labels.
RESERVED = frozenset(
    {"job", "stage", "schedule", "task", "source", "level", "place", "severity", "version", "instance"}
)


def _prom(path: Path) -> Path:
    if path.suffix != ".prom":
        raise ValueError("must end with .prom, or the node exporter passes over it")
    return path


class MetricsSettings(Model):
    """What each run leaves for Prometheus. ``labels`` go to every value."""

    textfile: Annotated[ConfigPath, AfterValidator(_prom)] = Field(
        description="The file to write after each run, in the directory of the node exporter's textfile collector.",
        json_schema_extra={"examples": ["/var/lib/prometheus/node-exporter/drtool.prom"]},
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels of your own that every value gets.",
        json_schema_extra={"examples": [{"environment": "prod"}]},
    )

    @field_validator("labels")
    @classmethod
    def _are_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not _LABEL.fullmatch(name) or name.startswith("__"):
                raise ValueError(f"{name} is no label's name: letters, digits and _, not beginning with a digit or __")
            if name in RESERVED:
                raise ValueError(f"{name} is a label that drtool or Prometheus gives")
        return labels
