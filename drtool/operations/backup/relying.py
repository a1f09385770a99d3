"""May a snapshot rely on the packs of the one before? Decided from what this host knows, not chunk by chunk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from drtool.errors import RepositoryError
from drtool.operations.backup.inheriting import Before
from drtool.operations.contents import needs_of
from drtool.repository.manifests import StreamEntry
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository

#: Why all is read where `footing` finds nothing.
NO_FOOTING = "this host does not know, or may not rely on, all that the last snapshot needs"
#: Of how many lost chunks the ranges are read again one by one; with more of them everything is.
MOST_LOST = 100_000


@dataclass(frozen=True, slots=True)
class Footing:
    """The packs, with their sizes, that a snapshot needs and that can be relied on; and the chunks that lie in none of
    them: what they stand for is to be read again."""

    packs: Mapping[bytes, int]
    lost: frozenset[bytes] = frozenset()


def footing(repository: Repository, before: Before, unusable: Collection[bytes]) -> Footing | None:
    """What the last snapshot stands on; None where that is not known, or too much of it is lost.

    What this host noted at its commit may hold more than it needs, and grows from increment to increment; where some of
    it is gone or not to be relied on, it is looked up chunk by chunk.
    """
    if before.last is None:
        return None
    noted = repository.state.relied(before.job, before.last.id)
    if noted is None:
        return None
    indexed = repository.cache.packs_indexed_by(repository.signer.public)
    if all(pack not in unusable and (pack, size) in indexed for pack, size in noted.items()):
        return Footing(noted)
    return _look_up(repository, before.reader, before.entries, unusable)


def packs_of(
    repository: Repository, reader: ChunkReader, entries: Iterable[StreamEntry], unusable: Collection[bytes]
) -> dict[bytes, int] | None:
    """The packs in which everything lies that these streams need; None where something lies in no usable one.

    Only what this signer indexed itself counts, as for a chunk that is written again.
    """
    found = _look_up(repository, reader, entries, unusable, most=0)
    return None if found is None else {**found.packs}


def _look_up(
    repository: Repository,
    reader: ChunkReader,
    entries: Iterable[StreamEntry],
    unusable: Collection[bytes],
    most: int = MOST_LOST,
) -> Footing | None:
    mine = repository.signer.public
    packs: dict[bytes, int] = {}
    lost: set[bytes] = set()
    try:
        for entry in entries:
            for need in needs_of(reader, entry):
                places = (place for place in repository.cache.locations(need.id) if need.fits(place))
                place = next((p for p in places if p.indexed_by == mine and p.pack not in unusable), None)
                if place is None:
                    lost.add(need.id)
                    if len(lost) > most:
                        return None
                else:
                    packs[place.pack] = place.pack_size
    except RepositoryError:
        return None  # a page of it cannot be read: nothing to rely on
    return Footing(packs, frozenset(lost))
