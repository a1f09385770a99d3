"""The configuration as a whole."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PrivateAttr

from drtool.config.jobs import Job
from drtool.config.limits import Limits
from drtool.config.log import LogSettings
from drtool.config.metrics import MetricsSettings
from drtool.config.model import Model, Name
from drtool.config.notify import AnyTarget
from drtool.config.relations import Relation
from drtool.config.repository import RepositorySettings
from drtool.config.schedules import ScheduledTask
from drtool.config.sources import AnySource


class Config(Model):
    """Everything in ``drtool.yaml``, checked: each job's sources exist. ``path`` is the file, absolute; ``text`` what
    stood in it."""

    repository: RepositorySettings
    sources: dict[Name, AnySource] = Field(min_length=1, description="The systems that are backed up, by name.")
    jobs: dict[Name, Job] = Field(min_length=1, description="What is backed up together, by name.")
    relations: tuple[Relation, ...] = Field(
        default=(), description="What must hold between streams of a snapshot, checked by trial restores."
    )
    schedules: dict[Name, ScheduledTask] = Field(
        default_factory=dict, description="What is done repeatedly beside the jobs' backups, by name."
    )
    notify: tuple[AnyTarget, ...] = Field(default=(), description="Whom to tell what is wrong.")
    limits: Limits = Field(default_factory=Limits, description="How much of this host drtool may use.")
    log: LogSettings = Field(default_factory=LogSettings, description="Where lines about each run go.")
    metrics: MetricsSettings | None = Field(
        default=None, description="Where to write what Prometheus reads; without it, drtool metrics prints it."
    )

    _path: Path = PrivateAttr(default=Path())
    _text: str = PrivateAttr(default="")

    @property
    def path(self) -> Path:
        """The file that this was read from."""
        return self._path

    @property
    def text(self) -> str:
        """What this was read from; there may be secrets in it."""
        return self._text

    def read_from(self, path: Path, text: str) -> Config:
        """The same configuration with its file noted."""
        copy = self.model_copy()
        copy._path, copy._text = path, text
        return copy
