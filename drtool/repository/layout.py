"""What all index objects of a store say together, in arrays: which chunk lies in which pack.

Read from the store itself, not from the local copy: whoever decides what is deleted must not rely on a cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from drtool.errors import DamagedObjectError, DrtoolError
from drtool.repository.chunks import ID_BYTES
from drtool.repository.index import open_index, vouched_by
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import ROW_BYTES
from drtool.repository.primitives import KEY_BYTES
from drtool.repository.repository import Repository
from drtool.repository.wire import Cursor

#: A row of the index. ``head`` is the beginning of the chunk's id.
ROW = np.dtype(
    [
        ("head", ">u8"),
        ("tail", f"V{ID_BYTES - 8}"),
        ("kind", "u1"),
        ("slot", ">u2"),
        ("counter", ">u4"),
        ("offset", ">u4"),
        ("stored", ">u4"),
        ("length", ">u4"),
    ]
)
Heads = npt.NDArray[np.uint64]
"""Chunks by the first 8 bytes of their ids. Two that begin alike pass for each other: more is kept then."""

_NUMBERS = ("kind", "slot", "counter", "offset", "stored", "length")
#: SHA-256, size, header: what stands in an entry before its signer.
_PACK_BYTES = ID_BYTES + 8 + 4
_HEAD_BYTES = _PACK_BYTES + KEY_BYTES


@dataclass(frozen=True, slots=True)
class Entry:
    """What one index object says of one pack. ``indexed_by`` is who vouches for it; ``rows`` are of type `ROW`."""

    object: str
    pack: bytes
    size: int
    header: int
    indexed_by: bytes
    rows: npt.NDArray[np.void]

    def encode(self) -> bytes:
        """As it goes into another index object."""
        head = self.pack + self.size.to_bytes(8) + self.header.to_bytes(4) + self.indexed_by
        return head + len(self.rows).to_bytes(4) + self.rows.tobytes()


@dataclass(frozen=True, slots=True)
class Place:
    """A row of the index, and the entry that it is in."""

    entry: Entry
    id: bytes
    kind: int
    slot: int
    counter: int
    offset: int
    stored: int
    length: int


@dataclass(slots=True)
class Layout:
    """All entries of all index objects; ``objects`` are their names with the bytes of their entries."""

    entries: list[Entry]
    objects: dict[str, int]
    #: The numbers of the entries of a pack.
    by_pack: dict[bytes, list[int]] = field(init=False)
    heads: Heads = field(init=False)
    _entry_of: npt.NDArray[np.int32] = field(init=False)
    _first_row: npt.NDArray[np.int64] = field(init=False)
    _order: npt.NDArray[np.int64] = field(init=False)
    _sorted: Heads = field(init=False)

    def __post_init__(self) -> None:
        self.by_pack = defaultdict(list)
        for number, entry in enumerate(self.entries):
            self.by_pack[entry.pack].append(number)
        counts = np.array([len(entry.rows) for entry in self.entries], dtype=np.int64)
        self._first_row = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        self._entry_of = np.repeat(np.arange(len(self.entries), dtype=np.int32), counts)
        heads = [entry.rows["head"].astype(np.uint64) for entry in self.entries]
        self.heads = np.concatenate(heads) if heads else np.zeros(0, np.uint64)
        self._order = np.argsort(self.heads, kind="stable")
        self._sorted = self.heads[self._order]

    @classmethod
    def read(cls, repository: Repository) -> Layout:
        """Read every index object. The error of the first one that is bad is raised: what it should say is not known.

        Reads anew where objects vanish meanwhile, since others then say what they said.
        """
        while True:
            entries: list[Entry] = []
            objects: dict[str, int] = {}
            vanished = False
            for name, data in repository.fetch(repository.storage.list("index/")):
                if isinstance(data, DrtoolError):
                    raise data
                if data is None:
                    vanished = True
                    continue
                opened = open_index(data, name, repository.keyring, repository.document)
                objects[name] = len(opened.payload)
                entries += _entries(name, opened.payload, opened.signer, repository)
            if not vanished:
                return cls(entries, objects)

    def in_use(self, used: Heads) -> npt.NDArray[np.bool_]:
        """For each row, in the order of the entries: is its chunk among `used` (sorted)?"""
        return is_among(self.heads, used)

    def rows_of(self, number: int) -> slice:
        """The rows of the entry of this number."""
        return slice(int(self._first_row[number]), int(self._first_row[number + 1]))

    def stored_by_entry(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """For each entry, how many bytes of its pack the rows of `mask` take."""
        stored = [entry.rows["stored"].astype(np.float64) for entry in self.entries]
        weights = np.concatenate(stored)[mask] if stored else np.zeros(0)
        return np.bincount(self._entry_of[mask], weights=weights, minlength=len(self.entries)).astype(np.float64)

    def not_found(self, used: Heads) -> Heads:
        """Those of `used` that no row has."""
        return used[~is_among(used, self._sorted)]

    def rows_with(self, heads: Heads) -> npt.NDArray[np.int64]:
        """For each of these, how many rows have it."""
        before = np.searchsorted(self._sorted, heads, side="left")
        return (np.searchsorted(self._sorted, heads, side="right") - before).astype(np.int64)

    def places_of_kind(self, kind: ChunkKind) -> dict[bytes, list[Place]]:
        """Where all chunks of a kind lie: for the few that pages are, faster than `places` for each."""
        found: dict[bytes, list[Place]] = defaultdict(list)
        for entry in self.entries:
            rows = entry.rows[entry.rows["kind"] == kind]
            numbers = (rows[name].tolist() for name in _NUMBERS)
            for id_, *row in zip(ids_of(rows), *numbers, strict=True):
                found[id_].append(Place(entry, id_, *row))
        return found

    def places(self, id_: bytes) -> list[Place]:
        """Everywhere a chunk lies."""
        head = np.uint64(int.from_bytes(id_[:8]))
        start = int(np.searchsorted(self._sorted, head, side="left"))
        end = int(np.searchsorted(self._sorted, head, side="right"))
        found = []
        for row in self._order[start:end]:
            number = int(self._entry_of[row])
            entry = self.entries[number]
            place = place_of(entry, int(row - self._first_row[number]))
            if place.id == id_:
                found.append(place)
        return found


def is_among(heads: Heads, sorted_: Heads) -> npt.NDArray[np.bool_]:
    """Which of `heads` are among the sorted ones?"""
    if not len(sorted_):
        return np.zeros(len(heads), dtype=np.bool_)
    at = np.minimum(np.searchsorted(sorted_, heads), len(sorted_) - 1)
    found: npt.NDArray[np.bool_] = sorted_[at] == heads
    return found


def place_of(entry: Entry, number: int) -> Place:
    """A row of an entry."""
    row = entry.rows[number : number + 1]
    numbers = [int(row[name][0]) for name in _NUMBERS]
    return Place(entry, row.tobytes()[:ID_BYTES], *numbers)


def ids_of(rows: npt.NDArray[np.void]) -> list[bytes]:
    """The ids of the chunks that rows are of."""
    data = rows.tobytes()
    return [data[at : at + ID_BYTES] for at in range(0, len(data), ROW_BYTES)]


def heads_of(ids: Iterable[bytes]) -> Heads:
    """The beginnings of ids, in their order."""
    return np.frombuffer(b"".join(id_[:8] for id_ in ids), dtype=">u8").astype(np.uint64)


def _entries(name: str, payload: bytes, signer: bytes, repository: Repository) -> Iterator[Entry]:
    cursor = Cursor(payload, name)
    kinds = np.array(list(ChunkKind), dtype=np.uint8)
    while not cursor.at_end:
        pack, size, header = cursor.take(ID_BYTES), cursor.u64(), cursor.u32()
        indexed_by = vouched_by(cursor.take(KEY_BYTES), signer, repository.document)
        rows = np.frombuffer(cursor.take(cursor.u32() * ROW_BYTES), dtype=ROW)
        if not np.isin(rows["kind"], kinds).all():
            raise DamagedObjectError(f"{name} names a kind of chunk that this version does not know").about(name)
        yield Entry(name, pack, size, header, indexed_by, rows)
