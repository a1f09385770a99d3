"""What is in the store at one look: packs, index, tombstones, and which chunks are in use."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from drtool.errors import MissingObjectError
from drtool.repository.index import NOBODY
from drtool.repository.layout import Layout, ids_of
from drtool.repository.liveness import Liveness
from drtool.repository.packs import pack_name
from drtool.repository.repository import Repository
from drtool.repository.tombstones import Tombstone, read_tombstones

_HASH_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Stored:
    """A pack as the store lists it: its size in bytes, and when it was put by the store's clock."""

    size: int
    modified: datetime


@dataclass(slots=True)
class Survey:
    """One look at everything. By pack, as far as the index tells: ``held`` is how many bytes its chunks take, ``live``
    how many of these are in use."""

    layout: Layout
    packs: dict[bytes, Stored]
    tombstones: tuple[Tombstone, ...]
    held: dict[bytes, int] = field(init=False)
    live: dict[bytes, int] = field(init=False)
    _in_use: npt.NDArray[np.bool_] = field(init=False)

    @classmethod
    def take(cls, repository: Repository, liveness: Liveness) -> Survey:
        """Look. Whatever cannot be read is an error: nothing may be decided without it."""
        layout = Layout.read(repository)
        liveness.look(layout)
        if len(layout.not_found(liveness.used)):
            layout = Layout.read(repository)  # what was committed meanwhile was indexed before
        lost = len(layout.not_found(liveness.used))
        if lost:
            raise MissingObjectError(
                f"{lost:,} chunks that snapshots need are in no index object",
                hint="drtool repair index finds them again where their packs are there; drtool repair snapshots says"
                " which snapshots need them.",
            )
        # After the index: a pack that it names and that is not listed is gone.
        packs = {
            bytes.fromhex(info.name[-_HASH_DIGITS:]): Stored(info.size, info.modified)
            for info in repository.storage.list("packs/")
            if is_pack(info.name)
        }
        survey = cls(layout, packs, tuple(read_tombstones(repository)))
        survey._count(liveness)
        return survey

    def _count(self, liveness: Liveness) -> None:
        self._in_use = self.layout.in_use(liveness.used)
        self.live = self._by_pack(self._in_use)
        self.held = self._by_pack(np.ones_like(self._in_use))

    def _by_pack(self, mask: npt.NDArray[np.bool_]) -> dict[bytes, int]:
        stored = self.layout.stored_by_entry(mask)
        return {pack: int(max(stored[number] for number in numbers)) for pack, numbers in self.layout.by_pack.items()}

    def needed(self, pack: bytes) -> set[bytes]:
        """The chunks in use that lie in a pack, as any index entry says."""
        found: set[bytes] = set()
        for number in self.layout.by_pack.get(pack, ()):
            mask = self._in_use[self.layout.rows_of(number)]
            found.update(ids_of(self.layout.entries[number].rows[mask]))
        return found

    def indexers(self, pack: bytes) -> frozenset[bytes]:
        """Who indexed a pack, and may therefore rely on it."""
        entries = (self.layout.entries[number] for number in self.layout.by_pack.get(pack, ()))
        return frozenset(entry.indexed_by for entry in entries) - {NOBODY}

    @property
    def marked(self) -> frozenset[bytes]:
        """The packs that any tombstone names."""
        return frozenset().union(*(tombstone.packs for tombstone in self.tombstones))

    @property
    def vanished(self) -> frozenset[bytes]:
        """Packs that the index names, that are not there, and that nothing needs."""
        return frozenset(pack for pack, live in self.live.items() if not live and pack not in self.packs)


def is_pack(name: str) -> bool:
    """Is it the name of a pack?"""
    digits = name[-_HASH_DIGITS:]
    is_hash = len(digits) == _HASH_DIGITS and not set(digits) - set("0123456789abcdef")
    return is_hash and name == pack_name(bytes.fromhex(digits))
