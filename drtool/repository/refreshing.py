"""Bringing the local index in line with the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from drtool.errors import DamagedObjectError, DrtoolError, TamperedError, WrongKeyError
from drtool.repository.index import decode_index
from drtool.repository.packs import PackEntry
from drtool.storage.base import ObjectInfo

if TYPE_CHECKING:
    from drtool.repository.repository import Repository

#: How much of the index (bytes) is in memory at a time, unless a single object is larger.
_AT_ONCE_BYTES = 8 * 1024 * 1024


def refresh(repository: Repository, progress: Callable[[int, int], None] | None) -> list[DrtoolError]:
    """Forget index objects that vanished, read those that are new; what is wrong with any."""
    # Before the listing: what another process of this host puts there meanwhile did not vanish.
    here = repository.cache.object_names()
    there = {info.name: info for info in repository.storage.list("index/")}
    repository.cache.drop(here - there.keys())
    missing = [there[name] for name in sorted(there.keys() - here)]
    problems: list[DrtoolError] = []
    vanished = False
    done = 0
    for batch in _batches(missing):
        read: list[tuple[str, list[PackEntry]]] = []
        for name, data in repository.fetch(batch):
            vanished = vanished or data is None
            if isinstance(data, DrtoolError):
                problems.append(data)
            elif data is not None:
                try:
                    read.append((name, decode_index(data, name, repository.keyring, repository.document)))
                except (DamagedObjectError, TamperedError, WrongKeyError) as error:
                    problems.append(error.about(name))
            done += 1
            if progress is not None:
                progress(done, len(missing))
        repository.cache.add_all(read)
    # Garbage collection merges index objects: what one said that is gone since, another one says.
    return [*problems, *refresh(repository, progress)] if vanished else problems


def _batches(objects: Iterable[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    batch: list[ObjectInfo] = []
    for info in objects:
        if batch and sum(one.size for one in batch) + info.size > _AT_ONCE_BYTES:
            yield batch
            batch = []
        batch.append(info)
    if batch:
        yield batch
