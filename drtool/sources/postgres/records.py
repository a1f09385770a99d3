"""Records: a header of four bytes, and a table's row as COPY gives it, or what sequences and large objects have.

The header is one byte and a length of three (big-endian), that of what follows. The byte's lower six bits are the
number of columns at the beginning of the row that are its key; its second bit from the top says that the row is text.
In a binary row a column is a length of four bytes (big-endian, -1 for null) and as many bytes, after two bytes with the
number of columns (PostgreSQL's manual, "COPY", Binary Format); a row of text is a line of COPY's text format with its
end.

A row longer than 4 MiB is several records, in each of which the byte's top bit is set and the row's bytes are preceded
by: part number (u32), how many parts there are (u32), the length of the row's key (u32), the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812

from xxhash import xxh3_128_digest

from drtool.errors import SourceError
from drtool.sources.cutting import Record

HEADER = 4
#: Rows longer than this are records of several parts.
MOST = 4 * 1024 * 1024
PART = 0x80
#: Added to the number of key columns where rows are text.
TEXT = 0x40
#: What is no row: where a sequence stands, and a piece of a large object. No key has so many columns.
SEQUENCE = 0x3E
LARGE_OBJECT = 0x3F
_KEY_COLUMNS = 0x3F
_head = Struct(">I")
_width = Struct(">i").unpack_from
_part = Struct(">III")
#: Follows a row's key in the key of its parts: no column begins like this.
_MARK = b"\xff\xff\xff\xfe"


def head(kind: int, length: int) -> bytes:
    """A record's header; `kind` is its first byte."""
    return _head.pack(kind << 24 | length)


def key_of(kind: int, row: bytes | memoryview) -> bytes:
    """The key of a row: the bytes of its key columns; a digest of all of it where it has none."""
    columns = kind & _KEY_COLUMNS
    if columns >= SEQUENCE:
        return _own_key(columns, bytes(row))
    if not columns:
        return xxh3_128_digest(row)
    if kind & TEXT:
        return b"\t".join(bytes(row).split(b"\t", columns)[:columns]).removesuffix(b"\n")
    at = 2
    for _ in range(columns):
        at += 4 + _width(row, at)[0]
    return bytes(row[2:at])


def _own_key(kind: int, row: bytes) -> bytes:
    """Schema and name of a sequence, number and part of a large object."""
    return row[:8] if kind == LARGE_OBJECT else row[: row.index(b"\0", row.index(b"\0") + 1)]


def parts(kind: int, row: memoryview) -> Iterator[Record]:
    """A row longer than ``MOST`` as records."""
    key = key_of(kind, row)
    room = MOST - 64 - len(key)
    count = -(-len(row) // room)
    for number in range(count):
        piece = row[number * room : (number + 1) * room]
        body = _part.pack(number, count, len(key)) + key
        yield part_key(key, number), b"".join((head(kind | PART, len(body) + len(piece)), body, piece))


def part_key(key: bytes, number: int) -> bytes:
    """The record key of a part of a row; the first has that of the row."""
    return key + _MARK + _head.pack(number) if number else key


def key_and_part(key: bytes) -> tuple[bytes, int]:
    """A record's key taken apart: that of its row, and which part of it."""
    if len(key) >= 8 and key[-8:-4] == _MARK:
        return key[:-8], _head.unpack(key[-4:])[0]
    return key, 0


def records(chunk: bytes) -> Iterator[Record]:
    """Each record with its key, in order. ``SourceError`` where the chunk does not consist of whole records."""
    view = memoryview(chunk)
    for kind, start, end in each(chunk):
        try:
            if kind & PART:
                key, number, _, _ = part_of(chunk, start, end)
                yield part_key(key, number), view[start - HEADER : end]
            else:
                yield key_of(kind, view[start:end]), view[start - HEADER : end]
        except (IndexError, ValueError, StructError) as error:
            raise SourceError("a chunk holds a row that is none") from error


def rows(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes | memoryview]]:
    """Each row and its kind (without ``PART``), put together from its parts. ``SourceError`` where one is not whole."""
    pieces: list[bytes] = []
    for chunk in chunks:
        view = memoryview(chunk)
        for kind, start, end in each(chunk):
            if not kind & PART:
                yield kind, view[start:end]
                continue
            _, number, count, piece = part_of(chunk, start, end)
            if number != len(pieces):
                raise SourceError("a part of a long row is missing")
            pieces.append(piece)
            if len(pieces) == count:
                yield kind & ~PART, b"".join(pieces)
                pieces = []
    if pieces:
        raise SourceError("a part of a long row is missing")


def each(chunk: bytes) -> Iterator[tuple[int, int, int]]:
    """The first byte of each header, and where what follows it begins and ends."""
    position, unpack = 0, _head.unpack_from
    while position < len(chunk):
        if position + HEADER > len(chunk):
            raise SourceError("a chunk does not consist of whole records")
        (word,) = unpack(chunk, position)
        start = position + HEADER
        position = start + (word & 0xFFFFFF)
        if position > len(chunk):
            raise SourceError("a chunk does not consist of whole records")
        yield word >> 24, start, position


def part_of(chunk: bytes, start: int, end: int) -> tuple[bytes, int, int, bytes]:
    """A part of a long row, which begins and ends there: the row's key, the part's number, how many there are, and its
    share of the row's bytes."""
    number, count, length = _part.unpack_from(chunk, start)
    at = start + _part.size
    return chunk[at : at + length], number, count, chunk[at + length : end]
