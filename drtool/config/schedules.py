"""``schedules``: what is done repeatedly beside the jobs' backups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, field_validator, model_validator

from drtool.config.model import Percent
from drtool.config.timing import Cron, Repeated


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of repeated task: the command that does it, and how a schedule's settings become its arguments.

    ``options`` maps a setting to the command's option; to "" where its values are arguments.
    """

    command: tuple[str, ...]
    about: str
    options: Mapping[str, str] = field(default_factory=dict)


#: What a schedule can be of. A further kind is an entry here, and a setting of `ScheduledTask` where it needs one.
TASKS: Mapping[str, Task] = {
    "backup": Task(("backup",), "Snapshots of jobs", {"jobs": ""}),
    "pitr capture": Task(("pitr", "capture"), "Archiving oplogs", {"sources": ""}),
    "verify": Task(
        ("verify",), "Verification", {"snapshots": "", "level": "--level", "sample": "--sample", "shares": "--share"}
    ),
    "retention apply": Task(("retention", "apply"), "Removing what no policy keeps", {"jobs": ""}),
    "prune": Task(("prune",), "Deleting what nothing needs"),
    "copy": Task(("copy",), "Copies to a second repository", {"snapshots": "", "to": "--to"}),
}

#: The settings that say what a task works on.
SETTINGS = tuple(dict.fromkeys(name for task in TASKS.values() for name in task.options))


class ScheduledTask(Repeated):
    """One thing that is done repeatedly. ``sample`` is a share from 0 to 1."""

    task: str = Field(description="What is done: a command.", json_schema_extra={"enum": list(TASKS)})
    schedule: Cron = Field(description="When it is done (cron).", json_schema_extra={"examples": ["30 4 * * *"]})
    jobs: tuple[str, ...] = Field(default=(), description="The jobs that it is about; without it, all.")
    sources: tuple[str, ...] = Field(default=(), description="The sources that it is about; without it, all.")
    snapshots: tuple[str, ...] = Field(
        default=(),
        description="Snapshots, such as nightly@latest; without it, all.",
        json_schema_extra={"examples": [["nightly@latest"]]},
    )
    level: Literal["listed", "intact", "readable", "restored"] | None = Field(
        default=None, description="How far snapshots are verified."
    )
    sample: Percent | None = Field(default=None, description="The share of the chunks that is looked at.")
    shares: int | None = Field(
        default=None, ge=2, le=366, description="In so many runs everything is looked at: each takes the next share."
    )
    to: str | None = Field(default=None, description="The repository to copy to: one of repository.copies.")

    @field_validator("task")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in TASKS:
            raise ValueError(f"must be one of {', '.join(TASKS)}")
        return name

    @model_validator(mode="after")
    def _fits(self) -> ScheduledTask:
        wrong = [name for name in SETTINGS if getattr(self, name) and name not in TASKS[self.task].options]
        if wrong:
            can = ", ".join(TASKS[self.task].options) or "nothing"
            raise ValueError(f"{wrong[0]} says nothing to {self.task}; beside its timing it takes {can}")
        if self.task == "retention apply" and len(self.jobs) > 1:
            raise ValueError("retention apply takes one job, or none for all: write a schedule for each")
        if self.task == "verify" and self.level is None:
            raise ValueError("verify needs a level: listed, intact, readable or restored")
        if self.task == "copy" and self.to is None:
            raise ValueError("copy needs to: the address of one of repository.copies")
        if self.sample is not None and self.shares is not None:
            raise ValueError("sample and shares exclude each other")
        return self
