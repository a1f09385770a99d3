"""Records in a private file: for stores that give items and vectors together, when they are kept as two streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from drtool.sources.cutting import Record
from drtool.sources.throwaway import writing_in
from drtool.sources.vectors.records import records

_HEAD = 8


class Spool:
    """Blocks of records, written by one thread, then read by any."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with writing_in(path.parent):
            self._file = path.open("wb")
        self.records = 0

    def add(self, block: Iterable[Record]) -> None:
        """Append some records: at most as many as should be held at once."""
        data = [bytes(data) for _, data in block]
        with writing_in(self._path.parent):
            self._file.write(sum(map(len, data)).to_bytes(_HEAD))
            self._file.writelines(data)
        self.records += len(data)

    def close(self) -> None:
        """That was all; whoever reads sees it."""
        with writing_in(self._path.parent):
            self._file.close()

    def __iter__(self) -> Iterator[Record]:
        with self._path.open("rb") as file:
            while head := file.read(_HEAD):
                yield from records(file.read(int.from_bytes(head)))
