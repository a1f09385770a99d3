"""Locks that last: what the repository needs is locked anew before the store lets it be deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from drtool.operations.reporting import Reporter
from drtool.repository.packs import pack_name
from drtool.repository.repository import Repository
from drtool.repository.trust import REPOSITORY_NAME

#: Everything that is kept by its lock as long as it is there. Index objects are not among it: they are replaced when
#: the index is merged, and ``drtool repair index`` makes them anew from the packs.
_KEPT = ("audit/", "distrust/", "evidence/", "keys/", "oplog/", "packs/", "pins/", "removals/", "slots/", "snapshots/")


def lock_packs(repository: Repository, packs: Iterable[bytes]) -> int:
    """Lock anew those of the packs of which less than half the lock is left; how many that were."""
    return repository.storage.extend(pack_name(pack) for pack in packs)


def lock_needed(repository: Repository, unneeded: Collection[bytes], reporter: Reporter) -> int:
    """The same for all that the repository holds, but for packs that nothing needs. For whoever cleans up."""
    storage = repository.storage
    if storage.rule is None:
        return 0
    task = "Extending locks"
    reporter.start(task)
    try:
        return storage.extend([REPOSITORY_NAME, *_needed(repository, {pack_name(pack) for pack in unneeded})])
    finally:
        reporter.finish(task)


def _needed(repository: Repository, unneeded: Collection[str]) -> Iterator[str]:
    for prefix in _KEPT:
        yield from (info.name for info in repository.storage.list(prefix) if info.name not in unneeded)
