"""The records of server replies, cut into chunks without decoding a document.

A reply to `find` or `getMore` holds its documents as a BSON array: for each a type byte, its decimal index as a C
string, and the document. The documents' bytes go from there into chunks. This is the one loop that touches every
record of a database, so it repeats the rule of ``drtool.sources.cutting`` in line: a record in
the first MIN_BYTES of a chunk costs a look at its length, and no record is copied by itself. A property test holds
both to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct

import bson
from xxhash import xxh3_64_intdigest

from drtool.sources.cutting import MAX_BYTES, MIN_BYTES, Chunk, CutRule, Cutter
from drtool.sources.mongodb.keys import FIXED_LENGTHS, key_of

_LENGTH = Struct("<i").unpack_from
#: pymongo's own way to the same end, in C; a private one, so whatever lacks it does without.
_strip_headers: Callable[[memoryview], bytes] | None = getattr(
    getattr(bson, "_cbson", None), "_array_of_documents_to_buffer", None
)
#: Length of the value by the first bytes of a document, after its length: ``_id`` of a type with a fixed length.
_FIXED = {bytes((kind,)) + b"_id\0": length for kind, length in FIXED_LENGTHS.items()}


@dataclass(frozen=True, slots=True)
class Batch:
    """The documents of one reply: `raw` from `start` (the first array element) to `end` (the array's closing zero).

    ``record`` is the last one's record id, where the reading asked for it.
    """

    raw: bytes
    start: int
    end: int
    record: int | None = None


def documents(batch: Batch) -> Iterator[bytes]:
    """The documents of a batch, one by one."""
    raw, position, end = batch.raw, batch.start, batch.end
    while position < end:
        start = raw.index(0, position) + 1
        position = start + _LENGTH(raw, start)[0]
        yield raw[start:position]


def cut_batches(own: Iterable[Batch], beyond: Iterable[Batch], rule: CutRule) -> Iterator[Chunk]:
    """``drtool.sources.cutting.cut_part`` over batches: the same chunks, faster.

    `own` holds the part's records from a true cut on, `beyond` (read lazily) all that follow.
    """
    return cut_buffers(map(joined, own), beyond, rule)


def cut_buffers(own: Iterable[bytes], beyond: Iterable[Batch], rule: CutRule) -> Iterator[Chunk]:
    """The same, where `own` are documents back to back."""
    rest = _Rest()
    for data in own:
        yield from _cut_buffer(data, rule, rest)
    if rest.records:
        yield from _go_on(rest, beyond, rule)


def joined(batch: Batch) -> bytes:
    """The documents of a batch back to back: its bytes without the array's headers."""
    if _strip_headers is not None:
        return bytes(_strip_headers(memoryview(batch.raw)[batch.start - 4 : batch.end + 1]))
    return b"".join(documents(batch))


class _Rest:
    """What follows the last cut: `size` bytes in `pieces`, of whole records; ``last`` is the last of them."""

    __slots__ = ("last", "pieces", "records", "size")

    def __init__(self) -> None:
        self.pieces: list[bytes | memoryview] = []
        self.size = self.records = 0
        self.last = b""

    def add(self, piece: bytes | memoryview, records: int, last: bytes) -> None:
        """The next records."""
        self.pieces.append(piece)
        self.size += len(piece)
        self.records += records
        self.last = last

    def take(self, beyond: int = 0) -> Chunk:
        """All of it as a chunk."""
        data = b"".join(self.pieces)
        chunk = Chunk(data, self.records, key_of(data), key_of(self.last), beyond)
        self.pieces, self.size, self.records = [], 0, 0
        return chunk


def _cut_buffer(data: bytes, rule: CutRule, rest: _Rest) -> Iterator[Chunk]:
    """The chunks that end in `data`, which holds whole records; what follows the last cut goes to `rest`."""
    position, end, start, records, at = 0, len(data), 0, 0, 0
    view = memoryview(data)  # what goes into a chunk is copied once, with it
    fixed, length_at, seed, threshold = _FIXED.get, _LENGTH, rule.seed, rule.threshold
    minimum, maximum = MIN_BYTES - rest.size, MAX_BYTES - rest.size
    while position < end:
        # no record that ends below the minimum can end a chunk: of those only the lengths are looked at
        below = minimum if minimum < end else end
        while True:
            at = position
            position += length_at(data, at)[0]
            records += 1
            if position >= below:
                break
        if position < minimum:
            break
        while position < maximum:
            size = fixed(data[at + 4 : at + 9])
            key = key_of(data, at) if size is None else data[at + 4 : at + 5] + data[at + 9 : at + 9 + size]
            if xxh3_64_intdigest(key, seed) < threshold:
                break
            if position >= end:
                rest.add(view[start:position], records, data[at:position])
                return
            at = position
            position += length_at(data, at)[0]
            records += 1
        rest.add(view[start:position], records, data[at:position])
        yield rest.take()
        start, records = position, 0
        minimum, maximum = start + MIN_BYTES, start + MAX_BYTES
    if start < end:
        rest.add(view[start:end], records, data[at:end])


def _go_on(rest: _Rest, beyond: Iterable[Batch], rule: CutRule) -> Iterator[Chunk]:
    """The chunks from the last cut of a part until its cuts join those of the next part."""
    mine, theirs = Cutter(rule), Cutter(rule)
    mine.size = rest.size
    past = 0
    for batch in beyond:
        for document in documents(batch):
            rest.add(document, 1, document)
            past += 1
            key = key_of(document)
            i_cut = mine.cuts_after(key, len(document))
            they_cut = theirs.cuts_after(key, len(document))
            if i_cut:
                yield rest.take(past)
                past = 0
                if they_cut:
                    return
    if rest.records:
        yield rest.take(past)
