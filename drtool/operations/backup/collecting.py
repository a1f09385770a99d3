"""The chunks of one stretch of a stream as they come in, in little memory."""

from __future__ import annotations

from array import array

from drtool.repository.chunks import ID_BYTES
from drtool.repository.pages import Bounds, ChunkRef
from drtool.sources.cutting import Chunk


class PartList:
    """Stored chunks that follow one another in a stream, about 80 bytes for each.

    ``inherited`` says that they are an earlier snapshot's, and not read in this run.
    """

    def __init__(self, *, inherited: bool = False) -> None:
        self.inherited = inherited
        self._ids = bytearray()
        self._keys = bytearray()
        self.lengths = array("L")
        self.records = array("L")
        self.beyond = array("L")
        self._key_ends = array("Q")

    def add(self, id_: bytes, length: int, chunk: Chunk) -> None:
        """The next chunk, stored under `id_`."""
        self._ids += id_
        self.lengths.append(length)
        self.records.append(chunk.records)
        self.beyond.append(chunk.beyond)
        for key in (chunk.first, chunk.last):
            self._keys += key
            self._key_ends.append(len(self._keys))

    def __len__(self) -> int:
        return len(self.lengths)

    def id(self, index: int) -> bytes:
        """The id of a chunk by its place."""
        return bytes(self._ids[index * ID_BYTES : (index + 1) * ID_BYTES])

    def first(self, index: int) -> bytes:
        """The first record key of a chunk."""
        return bytes(self._keys[self._key_ends[2 * index - 1] if index else 0 : self._key_ends[2 * index]])

    def entry(self, index: int) -> tuple[ChunkRef, Bounds]:
        """A chunk by its place."""
        ref = ChunkRef(self.id(index), self.lengths[index], self.records[index])
        last = bytes(self._keys[self._key_ends[2 * index] : self._key_ends[2 * index + 1]])
        return ref, Bounds(self.first(index), last)
