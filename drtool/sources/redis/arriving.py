"""A dump that is walked while it arrives: by its end its keys are in order."""

from __future__ import annotations

from collections.abc import Callable
from mmap import ACCESS_READ, mmap

from drtool.sources.redis.rdb.dump import Dump, LeftOut
from drtool.sources.redis.rdb.strings import DamagedDumpError
from drtool.sources.redis.spool import Order
from drtool.sources.sorting.files import flush, new_file, write

#: Of a value that has not wholly arrived no more is kept in memory.
_MOST_BYTES = 4 * 1024 * 1024
#: How much of a file is walked at a time.
_STEP_BYTES = 8 * 1024 * 1024


class Arrival:
    """`take` what arrives, then `end`. The keys are in ``order``, everything else in ``dump``."""

    def __init__(self, left_out: Callable[[int], LeftOut]) -> None:
        self.order = Order()
        self.dump = Dump(self.order, left_out)
        self._rest = b""
        self._file: _Unfinished | None = None

    def take(self, block: bytes | memoryview) -> None:
        """What comes next of it. ``DamagedDumpError`` for what is damaged or unknown."""
        if self.dump.ended:
            return  # a checksum
        if self._file is not None:
            if self._file.add(block):
                self._walk(self._file)
            return
        data = self._rest + block
        self._rest = data[self.dump.walk(data, 0, len(data)) :]
        if len(self._rest) > _MOST_BYTES and not self.dump.ended:
            self._file = _Unfinished(self._rest)
            self._rest = b""

    def end(self) -> None:
        """That was all. ``DamagedDumpError`` where the dump's end is not among it."""
        if self._file is not None and not self.dump.ended:
            self._walk(self._file)
        if not self.dump.ended:
            raise DamagedDumpError("the server's dump ends in the middle of a value")
        self.order.end()

    def close(self) -> None:
        """Give up the files. Safe to call twice."""
        if self._file is not None:
            self._file.close()
        self.order.close()

    def _walk(self, held: _Unfinished) -> None:
        at, before = held.start, -1
        with held.mapped() as data:
            while at > before and not self.dump.ended:
                before = at
                at = self.dump.walk(data, at, min(len(data), at + _STEP_BYTES))
            if self.dump.ended or len(data) - at <= _MOST_BYTES:
                self._rest, self._file = data[at : at + _MOST_BYTES], None
            elif 2 * at < len(data):
                held.tried(at)
            else:  # begun anew, so that the file has at most twice the bytes that are needed
                self._file = _Unfinished(data[at : at + _STEP_BYTES])
                for start in range(at + _STEP_BYTES, len(data), _STEP_BYTES):
                    self._file.add(data[start : start + _STEP_BYTES])
                self._file.tried(0)
        if self._file is not held:
            held.close()


class _Unfinished:
    """The beginning of a large value, in a file; what is before ``start`` is done with."""

    def __init__(self, data: bytes) -> None:
        self._file = new_file()
        self.size = self.start = self._enough = 0
        self.add(data)
        self.tried(0)

    def add(self, block: bytes | memoryview) -> bool:
        """Returns whether it is worth while to look whether all of the value is there: when there is twice as much of
        it as the last time. So a value of many parts is walked twice, not once for each block."""
        write(self._file, block)
        self.size += len(block)
        return self.size >= self._enough

    def tried(self, start: int) -> None:
        """What begins at `start` was not all there."""
        self.start, self._enough = start, 2 * self.size - start

    def mapped(self) -> mmap:
        """All of it."""
        flush(self._file)
        return mmap(self._file.fileno(), self.size, access=ACCESS_READ)

    def close(self) -> None:
        """Give up the file."""
        self._file.close()
