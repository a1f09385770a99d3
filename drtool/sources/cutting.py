"""Where a stream of records is cut into chunks: the cut rule, and how separately read parts join.

The rule (docs/format.md, "The cut rule"): after record r a cut falls if and only if the bytes since the last
cut are at least 256 KiB and H(cut key, record key) < T, or they are at least 4 MiB. It looks at
nothing else, so whoever reads the same records from the same cut finds the same chunks. This is
content-defined chunking with the record as its unit, so no rolling hash is needed; that the
cut points depend on a secret key keeps chunk lengths from revealing which records they hold. A *fine* rule cuts after a
dozen vectors instead of a hundred: where single records change that compress badly, an eighth is stored anew. H is XXH3
(https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), a tenth of the cost of a cryptographic hash: whoever
could choose keys to fool it gains chunks of 256 KiB or of 4 MiB, and nothing else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from xxhash import xxh3_64_intdigest

MIN_BYTES = 256 * 1024
MAX_BYTES = 4 * 1024 * 1024
#: Bytes expected between the minimum and the cut: chunks are MIN_BYTES + SPREAD_BYTES long on average.
SPREAD_BYTES = 512 * 1024
#: The same two of a fine rule.
FINE_MIN_BYTES = 32 * 1024
FINE_SPREAD_BYTES = 64 * 1024

Record = tuple[bytes, bytes | memoryview]
"""A record's key and its bytes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of whole records. ``first`` and ``last`` are record keys.

    ``beyond`` counts the records at its end that lie past the upper bound of the part it was read for.
    """

    data: bytes
    records: int
    first: bytes
    last: bytes
    beyond: int = 0


@dataclass(frozen=True, slots=True)
class CutRule:
    """The rule of one stream: ``key`` (32 bytes) is the lineage's cut key, ``threshold`` is T (0 < T <= 2**64).

    A ``fine`` rule has a smaller minimum.
    """

    key: bytes
    threshold: int
    fine: bool = False

    @property
    def seed(self) -> int:
        """The seed of H: the first 8 bytes of the key."""
        return int.from_bytes(self.key[:8])

    @classmethod
    def for_average(cls, key: bytes, record_bytes: float, *, fine: bool = False) -> CutRule:
        """The rule for records of this average size in bytes.

        The size is rounded to a power of two, so that a host that lost its state and measures again
        nearly always arrives at the same T.
        """
        exponent = max(0, round(record_bytes)).bit_length()
        return cls(key, min(1 << 64, (1 << (64 + exponent)) // (FINE_SPREAD_BYTES if fine else SPREAD_BYTES)), fine)

    def marks(self, record_key: bytes) -> bool:
        """H(cut key, record key) < T: may a cut fall after this record?"""
        return xxh3_64_intdigest(record_key, self.seed) < self.threshold


class Cutter:
    """The rule in motion: says after which records to cut. A new one stands at a cut."""

    __slots__ = ("_minimum", "_rule", "size")

    def __init__(self, rule: CutRule) -> None:
        self._rule = rule
        self._minimum = FINE_MIN_BYTES if rule.fine else MIN_BYTES
        self.size = 0

    def cuts_after(self, record_key: bytes, size: int) -> bool:
        """Take a record of `size` bytes; True if a cut falls after it."""
        self.size += size
        if self.size < self._minimum:
            return False
        if self.size >= MAX_BYTES or self._rule.marks(record_key):
            self.size = 0
            return True
        return False


def cut(records: Iterable[Record], rule: CutRule, *, until: Callable[[bytes], bool] | None = None) -> Iterator[Chunk]:
    """Cut `records`, which begin at a true cut, into chunks.

    With `until`, stops after the first chunk whose last key it accepts (an old boundary, say): from there on
    the old chunks hold, because the rule has no memory beyond the last cut. The end of `records` ends the last chunk.
    """
    yield from _cut(iter(records), iter(()), rule, until)


def cut_lists(lists: Iterable[tuple[Sequence[bytes], Sequence[bytes]]], rule: CutRule) -> Iterator[Chunk]:
    """`cut`, for many small records that come in lists, none empty: their keys and the records. The rule is spelt out,
    and asked only where a cut may fall."""
    minimum, threshold, seed = (FINE_MIN_BYTES if rule.fine else MIN_BYTES), rule.threshold, rule.seed
    held: list[bytes] = []
    size = 0
    first = last = b""
    for keys, records in lists:
        # Where each record ends, counted from the last cut before this list.
        ends = list(accumulate(map(len, records), initial=size))
        del ends[0]
        start, before, count = 0, 0, len(ends)
        while (at := bisect_left(ends, before + minimum, start)) < count:
            most = bisect_left(ends, before + MAX_BYTES, at)
            while at < most and xxh3_64_intdigest(keys[at], seed) >= threshold:
                at += 1
            if at == count:
                break
            if not held:
                first = keys[start]
            held += records[start : at + 1]
            yield Chunk(b"".join(held), len(held), first, keys[at])
            held = []
            start, before = at + 1, ends[at]
        if start < count:
            if not held:
                first = keys[start]
            held += records[start:]
        size, last = ends[-1] - before, keys[-1]
    if held:
        yield Chunk(b"".join(held), len(held), first, last)


def cut_part(own: Iterable[Record], beyond: Iterable[Record], rule: CutRule) -> Iterator[Chunk]:
    """Cut one part of a stream that others read at the same time.

    `own` are the part's records, `beyond` all that follow in the stream (read lazily). Goes on into `beyond`
    until a cut falls where the reader of the next part, who began with the first record of `beyond`, cuts too.
    """
    yield from _cut(iter(own), iter(beyond), rule, None)


def _cut(
    own: Iterator[Record],
    beyond: Iterator[Record],
    rule: CutRule,
    until: Callable[[bytes], bool] | None,
) -> Iterator[Chunk]:
    cutter = Cutter(rule)
    held: list[bytes | memoryview] = []
    first = last = b""
    for key, data in own:
        if not held:
            first = key
        held.append(data)
        last = key
        if cutter.cuts_after(key, len(data)):
            yield Chunk(b"".join(held), len(held), first, last)
            held = []
            if until is not None and until(key):
                return
    if not held:
        return  # the bound is a cut already: the next part's chunks follow as they are
    neighbour = Cutter(rule)
    past = 0
    for key, data in beyond:
        if not held:
            first = key
        held.append(data)
        last = key
        past += 1
        mine = cutter.cuts_after(key, len(data))
        theirs = neighbour.cuts_after(key, len(data))
        if mine:
            yield Chunk(b"".join(held), len(held), first, last, past)
            held = []
            past = 0
            if theirs:
                return
    if held:
        yield Chunk(b"".join(held), len(held), first, last, past)


def join(parts: Sequence[Sequence[T]], records: Callable[[T], int], beyond: Callable[[T], int]) -> list[T]:
    """The chunk list of the whole stream from those of its parts, in order.

    `records` and `beyond` read these counts off an entry. Raises ``ValueError`` where the parts do not fit, which
    cannot happen while all of them read the same records.
    """
    whole: list[T] = []
    for part in reversed(parts):
        overlap = sum(beyond(entry) for entry in part)
        kept = 0
        while overlap > 0 and kept < len(whole):
            overlap -= records(whole[kept])
            kept += 1
        if overlap != 0:
            raise ValueError("parts of a stream do not join: they did not read the same records")
        whole = [*part, *whole[kept:]]
    return whole
