"""The streams that the bodies of codecs 2 and 3 consist of: each compressed where that makes it smaller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import zstandard

from drtool.errors import DamagedObjectError
from drtool.repository.wire import Cursor


def write_streams(
    streams: Iterable[bytes | memoryview], compressor: zstandard.ZstdCompressor
) -> Iterator[bytes | memoryview]:
    """Each stream with its stored length before it."""
    for stream in streams:
        frame = compressor.compress(stream)
        stored = frame if len(frame) < len(stream) else stream
        yield len(stored).to_bytes(4)
        yield stored


class Streams:
    """Takes streams off a body, one after the other."""

    def __init__(self, cursor: Cursor, decompressor: zstandard.ZstdDecompressor, what: str) -> None:
        self.cursor = cursor
        self._decompressor = decompressor
        self._what = what

    def next(self, length: int) -> bytes:
        """The next stream, which has `length` bytes when unpacked."""
        stored = self.cursor.take(self.cursor.u32())
        if len(stored) == length:
            return stored
        try:
            # The frame's own claim decides what is allocated.
            if len(stored) > length or zstandard.frame_content_size(stored) != length:
                raise DamagedObjectError(f"{self._what} holds a stream of another length")
            return self._decompressor.decompress(stored)
        except zstandard.ZstdError as error:
            raise DamagedObjectError(f"{self._what} does not unpack: {error}") from error
