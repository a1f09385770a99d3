"""The chunks of one stream as they come in, part by part and in order, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from drtool.repository.chunks import ID_BYTES
from drtool.repository.pages import Bounds, ChunkRef
from drtool.sources.cutting import Chunk, join


class PartList:
    """The stored chunks of one part of a stream, about 80 bytes for each."""

    def __init__(self) -> None:
        self._ids = bytearray()
        self._keys = bytearray()
        self._lengths = array("L")
        self.records = array("L")
        self.beyond = array("L")
        self._key_ends = array("Q")

    def add(self, id_: bytes, length: int, chunk: Chunk) -> None:
        """The next chunk, stored under `id_`."""
        self._ids += id_
        self._lengths.append(length)
        self.records.append(chunk.records)
        self.beyond.append(chunk.beyond)
        for key in (chunk.first, chunk.last):
            self._keys += key
            self._key_ends.append(len(self._keys))

    def __len__(self) -> int:
        return len(self._lengths)

    def entry(self, index: int) -> tuple[ChunkRef, Bounds]:
        """A chunk by its place."""
        ref = ChunkRef(
            bytes(self._ids[index * ID_BYTES : (index + 1) * ID_BYTES]), self._lengths[index], self.records[index]
        )
        start = self._key_ends[2 * index - 1] if index else 0
        middle, end = self._key_ends[2 * index], self._key_ends[2 * index + 1]
        return ref, Bounds(bytes(self._keys[start:middle]), bytes(self._keys[middle:end]))


def joined(parts: list[PartList]) -> Iterator[tuple[ChunkRef, Bounds]]:
    """The chunk list of the whole stream, from parts that were cut each for itself."""
    if len(parts) == 1:
        yield from (parts[0].entry(index) for index in range(len(parts[0])))
        return
    places = [[(part, index) for index in range(len(part))] for part in parts]
    for part, index in join(places, lambda p: p[0].records[p[1]], lambda p: p[0].beyond[p[1]]):
        yield part.entry(index)
