"""What there is to go back to: snapshots with the level that each has reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drtool.errors import DrtoolError
from drtool.operations.choosing import Chosen, choose
from drtool.repository.chain import Catalogue, Snapshot, read_catalogue
from drtool.repository.evidence import Reached, reached, read_evidence
from drtool.repository.levels import Level
from drtool.repository.repository import Repository

_NOTHING = Reached(Level.NONE, None, None, False)


@dataclass(frozen=True, slots=True)
class Known:
    """All snapshots, the level reached of each by the hash of its manifest, and everything that is wrong."""

    catalogue: Catalogue
    levels: Mapping[str, Reached]
    problems: tuple[DrtoolError, ...]

    def level(self, snapshot: Snapshot) -> Reached:
        """What evidence says of a snapshot."""
        return self.levels.get(snapshot.hash, _NOTHING)

    def is_suspect(self, snapshot: Snapshot) -> bool:
        """May it lack changes, as a later snapshot says?"""
        return snapshot.id in self.catalogue.suspects()

    def trial_rate(self) -> float | None:
        """Bytes of records per second of the newest trial restore, comparing included; None without one."""
        tried = [s for s in self.catalogue.snapshots if self.level(s).level is Level.RESTORED and self.level(s).seconds]
        if not tried:
            return None
        newest = max(tried, key=lambda s: self.level(s).at or "")
        return newest.manifest.statistics.bytes / self.level(newest).seconds

    def choose(self, text: str) -> Chosen:
        """The snapshot that a user named."""
        return choose(text, self.catalogue, self.levels)


def read_known(repository: Repository) -> Known:
    """Manifests and evidence, checked."""
    stored = read_evidence(repository)
    catalogue = read_catalogue(repository)  # after the evidence, since announcements are among what it reads
    levels, problems = reached(repository, catalogue.removed_evidence, stored)
    return Known(catalogue, levels, (*catalogue.problems, *problems, *repository.storage.hidden()))
