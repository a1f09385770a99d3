"""The records of server replies, cut into chunks without decoding a document.

A reply to `find` or `getMore` holds its documents as a BSON array: for each a type byte, its decimal index as a C
string, and the document. The documents' bytes go from there into chunks. Every record of a database goes this way, so
the rule of ``drtool.sources.cutting`` is repeated here for many at a time: a record in the first MIN_BYTES of a chunk
costs a look at its length, and no record is copied by itself. A property test holds both to the same result.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from struct import Struct
from typing import NamedTuple

import bson
from xxhash import xxh3_64_intdigest

from drtool.sources.cutting import MAX_BYTES, MIN_BYTES, Chunk, CutRule, Cutter
from drtool.sources.mongodb.keys import FIXED_LENGTHS, key_of

_LENGTH = Struct("<i").unpack_from
#: pymongo's own way to the same end, in C; a private one, so whatever lacks it does without.
_strip_headers: Callable[[memoryview], bytes] | None = getattr(
    getattr(bson, "_cbson", None), "_array_of_documents_to_buffer", None
)
#: So many keys are taken at a time.
_BLOCK = 128
#: Length of the value by the first bytes of a document, after its length: ``_id`` of a type with a fixed length.
_FIXED = {bytes((kind,)) + b"_id\0": length for kind, length in FIXED_LENGTHS.items()}
#: And of those that say how long they are (string, binary): what is to be added to that.
_COUNTED = {b"\x02_id\0": 4, b"\x05_id\0": 5}


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


class Documents(NamedTuple):
    """Documents back to back; ``starts`` is where each begins, and at last where they end. ``head`` is what all begin
    with after their length, where that is known: type and name of the first element."""

    data: bytes
    starts: list[int]
    head: bytes | None = None


def cut_batches(own: Iterable[Batch], beyond: Iterable[Batch], rule: CutRule) -> Iterator[Chunk]:
    """``drtool.sources.cutting.cut_part`` over batches: the same chunks, faster.

    `own` holds the part's records from a true cut on, `beyond` (read lazily) all that follow.
    """
    return cut_documents((apart(joined(batch)) for batch in own), beyond, rule)


def cut_documents(own: Iterable[Documents], beyond: Iterable[Batch], rule: CutRule) -> Iterator[Chunk]:
    """The same, where `own` are documents already."""
    rest = _Rest()
    for some in own:
        yield from _cut(some, rule, rest)
    if rest.records:
        yield from _go_on(rest, beyond, rule)


def joined(batch: Batch) -> bytes:
    """The documents of a batch back to back: its bytes without the array's headers."""
    if _strip_headers is not None:
        return bytes(_strip_headers(memoryview(batch.raw)[batch.start - 4 : batch.end + 1]))
    return b"".join(documents(batch))


def apart(data: bytes) -> Documents:
    """Documents that stand back to back, with their places."""
    position, end, length_at = 0, len(data), _LENGTH
    starts = [0]
    while position < end:
        position += length_at(data, position)[0]
        starts.append(position)
    return Documents(data, starts)


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


def _cut(some: Documents, rule: CutRule, rest: _Rest) -> Iterator[Chunk]:
    """The chunks that end in `some`; what follows the last cut goes to `rest`."""
    data, starts, _ = some
    view = memoryview(data)  # what goes into a chunk is copied once, with it
    count, first = len(starts) - 1, 0
    while first < count:
        begin = starts[first] - rest.size
        # Of documents that end below the minimum nothing is looked at: no cut falls after them.
        least = bisect_left(starts, begin + MIN_BYTES, first + 1)
        most = bisect_left(starts, begin + MAX_BYTES, max(least, first + 1))
        last = _marked(some, least - 1, min(most - 1, count), rule)
        if last is None and most > count:
            rest.add(view[starts[first] :], count - first, data[starts[count - 1] :])
            return
        after = most if last is None else last + 1
        rest.add(view[starts[first] : starts[after]], after - first, data[starts[after - 1] : starts[after]])
        yield rest.take()
        first = after


def _marked(some: Documents, first: int, end: int, rule: CutRule) -> int | None:
    """The first document from `first` on, before `end`, that `rule` marks."""
    data, starts, head = some
    seeds, threshold = repeat(rule.seed), rule.threshold
    for block in range(first, end, _BLOCK):
        keys = keys_of(data, starts[block : min(block + _BLOCK, end)], head)
        for number, digest in enumerate(map(xxh3_64_intdigest, keys, seeds), start=block):
            if digest < threshold:
                return number
    return None


def keys_of(data: bytes, starts: Sequence[int], head: bytes | None = None) -> list[bytes]:
    """The record keys of the documents that begin there; of `head` see ``Documents``."""
    heads = {data[start + 4 : start + 9] for start in starts} if head is None else {head}
    if len(heads) == 1:
        [head] = heads
        size = _FIXED.get(head)
        if head in _COUNTED:
            lengths = {data[start + 9 : start + 13] for start in starts}
            size = _COUNTED[head] + _LENGTH(lengths.pop())[0] if len(lengths) == 1 else None
        if size is not None:
            kind = head[:1]
            return [kind + data[start + 9 : start + 9 + size] for start in starts]
    return [key_of(data, start) for start in starts]


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
