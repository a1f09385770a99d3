"""The outcome of a walk in a file: entries in order, in compressed blocks, with an index of the blocks in memory.

A listing serves to read a tree's content in order without holding its names in memory, and, kept by this host, to
tell what changed when the tree is next walked.
"""

from __future__ import annotations

import json
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zstandard

from drtool.sources.files.entries import Entry

_MAGIC = b"drtool files 1\n"
_FIXED = struct.Struct("<HHIIIQqqQQ")
_LENGTH = struct.Struct("<I")
_END = struct.Struct("<IQ")
_BLOCK_ENTRIES = 2048
#: No block comes near this; what claims more is damaged.
_LARGEST_BLOCK = 1 << 28


class DamagedListingError(Exception):
    """A listing is not as it was written."""


@dataclass(slots=True)
class Listing:
    """A finished listing. ``instant`` is that of the walk in ns since the epoch."""

    path: Path
    stream: str
    instant: int
    count: int = 0
    _firsts: list[bytes] = field(default_factory=list)
    _places: list[int] = field(default_factory=list)

    def entries(self, lower: bytes | None = None) -> Iterator[Entry]:
        """All entries in order, or those from the last one before `lower` (or at it) on."""
        number = max(0, bisect_right(self._firsts, lower) - 1) if lower is not None else 0
        if number >= len(self._places):
            return
        with self.path.open("rb") as file:
            file.seek(self._places[number])
            held: Entry | None = None
            for entry in _entries(file):
                if lower is not None:
                    if entry.key <= lower:
                        held = entry
                        continue
                    if held is not None:
                        yield held
                    lower = None
                yield entry
            if lower is not None and held is not None:
                yield held


class ListingWriter:
    """Writes a listing; entries come in order."""

    def __init__(self, path: Path, stream: str, instant: int) -> None:
        self.listing = Listing(path, stream, instant)
        self._file: IO[bytes] = path.open("xb")
        self._file.write(_MAGIC + json.dumps({"stream": stream, "instant": instant}).encode() + b"\n")
        self._held: list[Entry] = []
        self._compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)

    def add(self, entry: Entry) -> None:
        """The next one."""
        self._held.append(entry)
        if len(self._held) == _BLOCK_ENTRIES:
            self._write()

    def finish(self) -> Listing:
        """The listing, complete."""
        self._write()
        self._file.write(_END.pack(0, self.listing.count))
        self.close()
        return self.listing

    def close(self) -> None:
        """Without `finish` it stays incomplete, and is damaged for who opens it."""
        self._file.close()

    def _write(self) -> None:
        if not self._held:
            return
        listing = self.listing
        listing._firsts.append(self._held[0].key)
        listing._places.append(self._file.tell())
        listing.count += len(self._held)
        fixed = [
            _FIXED.pack(len(e.key), len(e.first), e.mode, e.uid, e.gid, e.size, e.mtime, e.ctime, e.inode, e.device)
            for e in self._held
        ]
        names = [name for entry in self._held for name in (entry.key, entry.first)]
        data = self._compressor.compress(_LENGTH.pack(len(self._held)) + b"".join(fixed) + b"".join(names))
        self._file.write(_LENGTH.pack(len(data)) + data)
        self._held.clear()


def open_listing(path: Path) -> tuple[str, int, Iterator[Entry]]:
    """The stream, the instant and the entries of a listing that was kept. Raises ``DamagedListingError``, for an
    incomplete one at its end; ``OSError``."""
    with path.open("rb") as file:
        header = file.readline()
        told = file.readline()
    if header != _MAGIC:
        raise DamagedListingError(f"{path} is no listing")
    try:
        values = json.loads(told)
        return str(values["stream"]), int(values["instant"]), _all(path, len(header) + len(told))
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedListingError(f"{path}: {error}") from error


def _all(path: Path, start: int) -> Iterator[Entry]:
    with path.open("rb") as file:
        file.seek(start)
        yield from _entries(file)


def _entries(file: IO[bytes]) -> Iterator[Entry]:
    decompressor = zstandard.ZstdDecompressor()
    make = Entry._make
    while True:
        head = file.read(_LENGTH.size)
        if len(head) != _LENGTH.size:
            raise DamagedListingError("a listing ends early")
        length = _LENGTH.unpack(head)[0]
        if length == 0:
            return
        try:
            data = decompressor.decompress(file.read(length), _LARGEST_BLOCK)
        except zstandard.ZstdError as error:
            raise DamagedListingError(f"a listing is damaged: {error}") from error
        count = _LENGTH.unpack_from(data)[0]
        at = _LENGTH.size + count * _FIXED.size
        for key_length, first_length, *fields in _FIXED.iter_unpack(data[_LENGTH.size : at]):
            end = at + key_length
            key = data[at:end]
            at = end + first_length
            yield make((key, *fields, data[end:at]))
