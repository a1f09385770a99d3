"""May a chunk's place go, because a maintainer moved the sealed bytes from there to another pack?"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drtool.errors import RepositoryError, StorageError, TransientStorageError
from drtool.operations.prune.survey import Survey
from drtool.repository.directories import Directory, read_directory_of
from drtool.repository.layout import heads_of, is_among
from drtool.repository.liveness import Liveness
from drtool.repository.packs import pack_name
from drtool.repository.repacking import SealedChunk, WholePack
from drtool.repository.repository import Repository
from drtool.repository.trust import Role

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Rest:
    """What would be lost with a pack: chunks in use that no other pack stands in for. None: nobody knows."""

    chunks: frozenset[bytes] | None

    @property
    def is_nothing(self) -> bool:
        """May the pack go?"""
        return self.chunks is not None and not self.chunks


class Covering:
    """Answers for one survey. A chunk in use that lies in a pack is not lost with it if it also lies in one which

    - is there, and none of `gone` (packs that may be about to go),
    - a maintainer made, as the signature of its directory shows: maintainers make packs of what they move,
    - everybody indexed who indexed the first one: so what was moved came from a pack that those vouched for, and
    - holds the very same sealed bytes: `moved` says of packs where their chunks were moved to by this process, and
      otherwise both packs are read.

    What others claim about a chunk's place costs nobody a place where it is.
    """

    def __init__(
        self,
        repository: Repository,
        survey: Survey,
        liveness: Liveness,
        gone: Collection[bytes],
        moved: Mapping[bytes, Mapping[bytes, bytes]] | None = None,
    ) -> None:
        self._repository = repository
        self._survey = survey
        self._liveness = liveness
        self._gone = gone
        self._moved = moved or {}
        self._directories: dict[bytes, Directory | None] = {}
        self._sealed: dict[bytes, Mapping[bytes, frozenset[bytes]]] = {}

    def read(self, packs: Iterable[bytes]) -> None:
        """Read the directories of these packs, so that `rest` goes by them too, and not by the index alone."""
        there = [pack for pack in packs if pack in self._survey.packs]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="directories") as pool:
            for _ in pool.map(self._directory, there):
                continue

    def rest(self, pack: bytes) -> Rest:
        """What of a pack no other one stands in for. Of one that no index object names the directory is read."""
        is_indexed = pack in self._survey.layout.by_pack
        needed, indexers = self._survey.needed(pack), self._survey.indexers(pack)
        if not is_indexed and pack not in self._survey.packs:
            return Rest(frozenset())
        if not is_indexed or pack in self._directories:
            directory = self._directory(pack)
            if directory is None:
                return Rest(None)
            needed = needed | directory.chunks
            indexers = indexers or frozenset({directory.signer})
        ids = sorted(needed)
        counts = self._survey.layout.rows_with(heads_of(ids))
        # Most chunks have one row, the one in this pack: no need to look closer.
        return Rest(
            frozenset(
                id_
                for id_, rows in zip(ids, counts, strict=True)
                if (rows <= 1 and is_indexed) or not self._is_elsewhere(id_, pack, indexers)
            )
        )

    def _is_elsewhere(self, id_: bytes, pack: bytes, indexers: frozenset[bytes]) -> bool:
        packs = {place.entry.pack for place in self._survey.layout.places(id_)} - {pack}
        return any(self._stands_in(other, pack, id_, indexers) for other in packs if other not in self._gone)

    def _stands_in(self, other: bytes, pack: bytes, id_: bytes, indexers: frozenset[bytes]) -> bool:
        if other not in self._survey.packs or not indexers <= self._survey.indexers(other):
            return False
        directory = self._directory(other)
        if directory is None or id_ not in directory.chunks:
            return False
        if not self._repository.document.allows(directory.signer, Role.MAINTAINER):
            return False
        return self._moved.get(pack, {}).get(id_) == other or self._is_same(other, pack, id_)

    def _is_same(self, other: bytes, pack: bytes, id_: bytes) -> bool:
        here = self._sealed_in(pack).get(id_)
        return here is not None and here <= self._sealed_in(other).get(id_, frozenset())

    def _sealed_in(self, pack: bytes) -> Mapping[bytes, frozenset[bytes]]:
        """What the chunks in use of a pack are, sealed, as hashes; nothing where it cannot be had."""
        if pack not in self._sealed:
            found: dict[bytes, set[bytes]] = defaultdict(set)
            directory = self._directory(pack) if pack in self._survey.packs else None
            whole = self._whole(pack) if directory is not None else None
            if whole is not None and directory is not None:
                for chunk in whole.chunks(directory.chunks, {}):
                    found[chunk.row.id].add(_hash_of(chunk))
            self._sealed[pack] = {id_: frozenset(hashes) for id_, hashes in found.items()}
        return self._sealed[pack]

    def _whole(self, pack: bytes) -> WholePack | None:
        repository = self._repository
        try:
            data = repository.storage.get(pack_name(pack))
            return WholePack.check(data, pack, repository.keyring, repository.document)
        except TransientStorageError:
            raise
        except (RepositoryError, StorageError):
            return None

    def _directory(self, pack: bytes) -> Directory | None:
        """A pack's own account of itself, of what is in use; None where it cannot be had."""
        if pack not in self._directories:
            self._directories[pack] = self._read_directory(pack)
        return self._directories[pack]

    def _read_directory(self, pack: bytes) -> Directory | None:
        if not self._repository.storage.is_alone(pack_name(pack)):
            # Somebody may have put another pack over it, whose end would tell of other chunks.
            whole = self._whole(pack)
            return None if whole is None else self._used(whole.entry.indexed_by, {row.id for row in whole.entry.rows})
        try:
            directory = read_directory_of(self._repository, pack, self._survey.packs[pack].size)
        except TransientStorageError:
            raise
        except (RepositoryError, StorageError):
            return None
        return self._used(directory.signer, directory.chunks)

    def _used(self, signer: bytes, chunks: Collection[bytes]) -> Directory:
        ids = sorted(chunks)
        used = is_among(heads_of(ids), self._liveness.used)
        return Directory(signer, frozenset(id_ for id_, is_used in zip(ids, used, strict=True) if is_used))


def _hash_of(chunk: SealedChunk) -> bytes:
    """Of all that it takes to open a chunk: the slot, the counter, and the sealed bytes."""
    about = chunk.slot.encode() + bytes([chunk.row.kind]) + chunk.row.counter.to_bytes(4)
    return hashlib.sha256(hashlib.sha256(about).digest() + chunk.data).digest()
