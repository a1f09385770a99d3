"""Comparing archived histories of one source: what each holds at a place, and where two of them part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drtool.operations.pitr.entries import pieces
from drtool.operations.pitr.reach import Base
from drtool.operations.pitr.writing import live
from drtool.repository.archive import Archived, Stretch
from drtool.repository.reader import ChunkReader
from drtool.repository.segments import At, number_of
from drtool.sources.log import Log, LogPosition, is_same

_LAST = ((1 << 32) - 1, (1 << 32) - 1)


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two stretches part: the place of the first entry that only the ``one`` has, and only the ``other``; None
    where there is none. ``shares`` says whether they have any entry in common."""

    one: At | None
    other: At | None
    shares: bool


class Histories:
    """Looks into archived entries, as few as will do. Errors of the repository are raised."""

    def __init__(self, reader: ChunkReader, log: Log) -> None:
        self._reader = reader
        self._log = log

    def entry(self, stretch: Stretch, at: At) -> LogPosition | None:
        """The entry at a place; None where there is none."""
        for one in stretch.within(at, at):
            for piece in pieces(self._reader, one):
                if piece.may_hold(at):
                    [data] = self._reader.stream([piece.ref])
                    return self._log.entry(data, at)
        return None

    def belongs(self, base: Base) -> bool:
        """Does the stretch hold the entry of the snapshot's instant?"""
        found = self.entry(base.stretch, base.anchor.at.at)
        return found is not None and is_same(found, base.anchor.at)

    def part(self, one: Stretch, other: Stretch) -> Parting | None:
        """Where they part; None where no time is covered by both."""
        begin = max(one.start.at, other.start.at)
        if min(one.end.at, other.end.at) <= begin:
            return None
        # Histories that parted never meet again: of the ends of segments the first few are in both, the others not.
        ends = [each for each in one.segments if begin < each.segment.end.at <= other.end.at]
        first, last = 0, len(ends)
        while first < last:
            middle = (first + last) // 2
            if self._holds(other, ends[middle]):
                first = middle + 1
            else:
                last = middle
        shares = first > 0
        if shares:
            begin = ends[first - 1].segment.end.at
        mine, others = self._after(one, begin), self._after(other, begin)
        while True:
            here, there = next(mine, None), next(others, None)
            if here is None or there is None or not is_same(here, there):
                return Parting(_place(here), _place(there), shares)
            shares = True

    def _holds(self, stretch: Stretch, archived: Archived) -> bool:
        end = live(archived.segment.end)
        found = self.entry(stretch, end.at)
        return found is not None and is_same(found, end)

    def _after(self, stretch: Stretch, begin: At) -> Iterator[LogPosition]:
        for one in stretch.within((begin[0], begin[1] + 1), _LAST):
            for piece in pieces(self._reader, one):
                if piece.last > number_of(begin):
                    [data] = self._reader.stream([piece.ref])
                    yield from (position for position in self._log.positions(data) if position.at > begin)


def _place(position: LogPosition | None) -> At | None:
    return None if position is None else position.at
