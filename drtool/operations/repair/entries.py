"""What packs say of themselves: index entries from their own directories."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drtool.errors import DamagedObjectError, DrtoolError, ObjectMissingError, TamperedError, WrongKeyError
from drtool.operations.verify.inspecting import PACKS_AT_ONCE
from drtool.repository.index import NOBODY
from drtool.repository.packs import PackEntry, pack_name, read_directory
from drtool.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class PackFound:
    """A pack and its entry; None where it cannot be had, and ``error`` says why the pack's own account cannot."""

    sha256: bytes
    entry: PackEntry | None
    error: DrtoolError | None = None


def entries_of(
    repository: Repository, packs: Mapping[bytes, int], advance: Callable[[int], None]
) -> Iterator[PackFound]:
    """The entries of these packs (with their sizes); a pack that is gone meanwhile is left out.

    Packs are read whole, `PACKS_AT_ONCE` at a time: only then does a directory vouch for what lies before it. Who
    signed the directory is who indexed the pack. Of a pack whose directory is damaged this host may remember where
    its chunks lie: that serves readers, and no writer.
    """

    def look(sha256: bytes) -> PackFound | None:
        name = pack_name(sha256)
        try:
            data = repository.storage.get(name)
        except ObjectMissingError:
            return None
        advance(len(data))
        try:
            if hashlib.sha256(data).digest() != sha256:
                raise DamagedObjectError(f"{name} does not have its checksum: it was altered")
            return PackFound(sha256, read_directory(data, repository.keyring, repository.document, name))
        except (DamagedObjectError, TamperedError, WrongKeyError) as error:
            return PackFound(sha256, _remembered(repository, sha256), error.about(name))

    with ThreadPoolExecutor(PACKS_AT_ONCE, thread_name_prefix="repair") as pool:
        yield from filter(None, pool.map(look, packs))


def _remembered(repository: Repository, sha256: bytes) -> PackEntry | None:
    rows = repository.cache.rows(sha256)
    places = (place for row in rows[:1] for place in repository.cache.locations(row.id) if place.pack == sha256)
    place = next(places, None)
    return None if place is None else PackEntry(sha256, place.pack_size, place.pack_header, NOBODY, tuple(rows))
