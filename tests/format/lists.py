"""Chunk lists: the tree of pages that holds one, the bounds in its leaves, and the rule that cut the stream."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from xxhash import xxh3_64_intdigest

from tests.format.chunks import CATALOG, PRIVATE, Chunks
from tests.format.keys import reading, require

HIGHEST_LEVEL = 16
SMALLEST_CUT, LARGEST_CUT = 262_144, 4_194_304
_LEAF = struct.Struct(">BI32sI")
_LEAF_ENTRY = struct.Struct(">32sII")
_INNER = struct.Struct(">BI")
_INNER_ENTRY = struct.Struct(">32sQQQ")
_BOUNDS_OF_A_LEAF = 1 << 20


class Reference(NamedTuple):
    """A chunk in a leaf page, with the keys of its first and last record."""

    id: bytes
    length: int
    records: int
    first: bytes
    last: bytes


class Page(NamedTuple):
    """A page, as its parent or the stream's entry announces it: what is below it."""

    id: bytes
    chunks: int
    records: int
    bytes: int


_Entry = TypeVar("_Entry", Reference, Page)


@dataclass(frozen=True)
class Root:
    """The top of a tree; level 0 is a leaf."""

    page: Page
    level: int


def walk(chunks: Chunks, root: Root) -> Iterator[Reference]:
    """The chunks below `root`, in order, each page checked."""
    require(root.level <= HIGHEST_LEVEL, "a page tree is too high")
    yield from _walk(chunks, root.page, root.level)


def _walk(chunks: Chunks, page: Page, level: int) -> Iterator[Reference]:
    data = chunks.read(CATALOG, page.id)
    with reading(f"page {page.id.hex()}"):
        require(data[0] == level, "is of another level")
        if level == 0:
            references = _leaf(chunks, data)
            below = [Page(entry.id, 1, entry.records, entry.length) for entry in references]
        else:
            below = [Page(*fields) for fields in _entries(data, _INNER, _INNER_ENTRY)]
        totals = tuple(sum(column) for column in zip(*(entry[1:] for entry in below), strict=True)) or (0, 0, 0)
        require(totals == page[1:], "does not hold what is announced")
    if level == 0:
        yield from references
    else:
        for entry in below:
            yield from _walk(chunks, entry, level - 1)


def _entries(data: bytes, head: struct.Struct, entry: struct.Struct) -> list[tuple[Any, ...]]:
    count = struct.unpack_from(">I", data, 1)[0]
    require(len(data) == head.size + count * entry.size, "has another length than its entries")
    return list(entry.iter_unpack(data[head.size :]))


def _leaf(chunks: Chunks, data: bytes) -> list[Reference]:
    _level, _count, bounds_id, bounds_length = _LEAF.unpack_from(data)
    entries = _entries(data, _LEAF, _LEAF_ENTRY)
    bounds = _decoded_bounds(chunks.read(PRIVATE, bounds_id, bounds_length))
    require(len(bounds) == len(entries), "has bounds of other chunks")
    return [Reference._make((*entry, first, last)) for entry, (first, last) in zip(entries, bounds, strict=True)]


def _decoded_bounds(data: bytes) -> list[tuple[bytes, bytes]]:
    keys, at = [], 0
    while at < len(data):
        end = at + 4 + struct.unpack_from(">I", data, at)[0]
        require(end <= len(data), "has a bound that is cut off")
        keys.append(data[at + 4 : end])
        at = end
    return list(zip(keys[::2], keys[1::2], strict=True))


def encoded_bounds(references: Sequence[Reference]) -> bytes:
    """The private chunk that holds the bounds of a leaf."""
    keys = [key for reference in references for key in (reference.first, reference.last)]
    return b"".join(len(key).to_bytes(4, "big") + key for key in keys)


def planted(chunks: Chunks, references: Sequence[Reference]) -> Root | None:
    """The root of the tree that the page's rule makes of this list."""
    if not references:
        return None
    level, pages = 0, [_leaf_of(chunks, part) for part in _cut_pages(references, _bounds_are_full)]
    while len(pages) > 1:
        level += 1
        pages = [_inner_of(chunks, level, part) for part in _cut_pages(pages, lambda _entries: False)]
    return Root(pages[0], level)


def _cut_pages(entries: Sequence[_Entry], is_full: Callable[[list[_Entry]], bool]) -> Iterator[list[_Entry]]:
    page: list[_Entry] = []
    for entry in entries:
        page.append(entry)
        may_end = int.from_bytes(entry.id[:8], "big") < 1 << 57
        if len(page) >= 512 or (len(page) >= 32 and may_end) or is_full(page):
            yield page
            page = []
    if page:
        yield page


def _bounds_are_full(page: list[Reference]) -> bool:
    return sum(8 + len(entry.first) + len(entry.last) for entry in page) >= _BOUNDS_OF_A_LEAF


def _leaf_of(chunks: Chunks, entries: list[Reference]) -> Page:
    bounds = encoded_bounds(entries)
    head = _LEAF.pack(0, len(entries), chunks.id_of(PRIVATE, bounds), len(bounds))
    data = head + b"".join(_LEAF_ENTRY.pack(*entry[:3]) for entry in entries)
    totals = (len(entries), sum(entry.records for entry in entries), sum(entry.length for entry in entries))
    return Page(chunks.id_of(CATALOG, data), *totals)


def _inner_of(chunks: Chunks, level: int, entries: list[Page]) -> Page:
    data = _INNER.pack(level, len(entries)) + b"".join(_INNER_ENTRY.pack(*entry) for entry in entries)
    totals = (sum(column) for column in zip(*(entry[1:] for entry in entries), strict=True))
    return Page(chunks.id_of(CATALOG, data), *totals)


class CutRule:
    """Says after which records a keyed stream is cut."""

    def __init__(self, cut_key: bytes, threshold: int) -> None:
        require(1 <= threshold <= 1 << 64, "a threshold is out of range")
        self._cut_key = cut_key
        self._threshold = threshold
        self._bytes = 0

    def cuts_after(self, key: bytes, length: int) -> bool:
        """Take the next record of the stream: does a chunk end with it?"""
        self._bytes += length
        cut = self._bytes >= LARGEST_CUT or (self._bytes >= SMALLEST_CUT and self._hash(key) < self._threshold)
        if cut:
            self._bytes = 0
        return cut

    def _hash(self, key: bytes) -> int:
        return xxh3_64_intdigest(key, int.from_bytes(self._cut_key[:8], "big"))


def first_threshold(records: int, length: int) -> int:
    """T for the first snapshot of a stream of so many records and bytes."""
    average = _rounded(length, records) if records else 0
    return int(min(1 << 64, (1 << (64 + average.bit_length())) // 524_288))


def _rounded(dividend: int, divisor: int) -> int:
    """The quotient as an integer, halves to the even one."""
    quotient, rest = divmod(dividend, divisor)
    return quotient + (2 * rest > divisor or (2 * rest == divisor and quotient % 2 == 1))
