"""Where this host's audit log of a repository lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.local.clock import Clock, now
from drtool.monitoring.audit_log import AuditLog
from drtool.scheduling.ledger import unattended_directory

if TYPE_CHECKING:
    from drtool.config.repository import RepositorySettings
    from drtool.config.root import Config


@dataclass(frozen=True, slots=True)
class Place:
    """A repository as this host knows it, and the configuration's path."""

    settings: RepositorySettings
    config: Path

    @classmethod
    def of(cls, config: Config) -> Place:
        """What the configuration says."""
        return cls(config.repository, config.path)

    def log(self, clock: Clock = now) -> AuditLog:
        """The log; ``StateError`` where it cannot be used."""
        return AuditLog(unattended_directory(self.settings.state_dir, self.settings.url), clock)
