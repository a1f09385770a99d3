"""The records of server replies, cut into chunks without decoding a document.

A reply to `find` or `getMore` holds its documents as a BSON array: for each a type byte, its decimal index as a C
string, and the document. The documents' bytes go from there into chunks. This is the one loop that touches every
record of a database, so it repeats the rule of ``drtool.sources.cutting`` in line: a record in
the first MIN_BYTES of a chunk costs a length, an addition and a slice. A property test holds both to the same result.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct

from blake3 import blake3

from drtool.sources.cutting import MAX_BYTES, MIN_BYTES, Chunk, CutRule, Cutter
from drtool.sources.mongodb.keys import FIXED_LENGTHS, key_of

_LENGTH = Struct("<i").unpack_from
#: Length of the value by the first bytes of a document, after its length: ``_id`` of a type with a fixed length.
_FIXED = {bytes((kind,)) + b"_id\0": length for kind, length in FIXED_LENGTHS.items()}


@dataclass(frozen=True, slots=True)
class Batch:
    """The documents of one reply: `raw` from `start` (the first array element) to `end` (the array's last byte)."""

    raw: bytes
    start: int
    end: int


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
    held: list[bytes] = []
    size = 0
    for batch in own:
        size = yield from _cut_batch(batch, rule, held, size)
    if held:
        yield from _go_on(held, size, beyond, rule)


def _cut_batch(batch: Batch, rule: CutRule, held: list[bytes], size: int) -> Generator[Chunk, None, int]:
    """The chunks that end in `batch`; what follows the last cut, `size` bytes, stays in `held`. Returns `size`."""
    raw, position, end = batch.raw, batch.start, batch.end
    minimum, maximum = MIN_BYTES, MAX_BYTES
    fixed = _FIXED.get
    hasher = blake3(key=rule.key)
    limit = rule.threshold.to_bytes(8) if rule.threshold < 1 << 64 else b"\xff" * 9
    digits = 1
    while position < end:
        # Of all 9, 90, 900 … elements whose index has the same number of digits the header has the same length.
        header = digits + 2
        for _ in range(10 if digits == 1 else 9 * 10 ** (digits - 1)):
            start = position + header
            length = _LENGTH(raw, start)[0]
            position = start + length
            held.append(raw[start:position])
            size += length
            if size >= minimum:
                if size < maximum:
                    value = fixed(raw[start + 4 : start + 9])
                    if value is None:
                        key = key_of(raw, start)
                    else:
                        key = raw[start + 4 : start + 5] + raw[start + 9 : start + 9 + value]
                    if hasher.copy().update(key).digest(8) >= limit:
                        if position < end:
                            continue
                        return size
                yield _chunk(held)
                held.clear()
                size = 0
            if position >= end:
                return size
        digits += 1
    return size


def _go_on(held: list[bytes], size: int, beyond: Iterable[Batch], rule: CutRule) -> Iterator[Chunk]:
    """The chunks from the last cut of a part until its cuts join those of the next part."""
    mine, theirs = Cutter(rule), Cutter(rule)
    mine.size = size
    past = 0
    for batch in beyond:
        for document in documents(batch):
            held.append(document)
            past += 1
            key = key_of(document)
            i_cut = mine.cuts_after(key, len(document))
            they_cut = theirs.cuts_after(key, len(document))
            if i_cut:
                yield _chunk(held, past)
                held.clear()
                past = 0
                if they_cut:
                    return
    if held:
        yield _chunk(held, past)


def _chunk(held: list[bytes], beyond: int = 0) -> Chunk:
    return Chunk(b"".join(held), len(held), key_of(held[0]), key_of(held[-1]), beyond)
