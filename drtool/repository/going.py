"""What was announced as removed, and is there because retention has not come to delete it yet."""

from __future__ import annotations

from collections.abc import Collection

from drtool.repository.presence import alive
from drtool.repository.repository import Repository

#: What a run of retention is registered as.
RETENTION = "retention"


def going(repository: Repository, prefix: str, removed: Collection[str]) -> frozenset[str]:
    """Of objects below `prefix` that were read, and whose removal has been announced: those that nobody put back,
    because they are gone by now, or a retention is under way, or was killed, and deletes them yet."""
    if not removed:
        return frozenset()
    if any(run.kind == RETENTION for run in alive(repository)):
        return frozenset(removed)
    # After the runs: one that has just ended has deleted all that it announced.
    return frozenset(removed) - {info.name for info in repository.storage.list(prefix)}
