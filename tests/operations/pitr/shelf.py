"""A repository that takes made-up histories, for what a server could not be made to write."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import bson
from bson.int64 import Int64
from bson.timestamp import Timestamp

from drtool.operations.budget import Budget
from drtool.operations.pitr.goals import Goal
from drtool.operations.pitr.histories import Histories
from drtool.operations.pitr.reach import Base, bases, reaching
from drtool.operations.pitr.timelines import choose
from drtool.operations.pitr.writing import Place, Writing
from drtool.operations.reporting import Silent
from drtool.repository.archive import Archive, read_archive
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.sources.cutting import Chunk
from drtool.sources.log import LogPosition
from drtool.sources.mongodb.oplog.archiving import MongoLog
from tests.operations.pitr.test_reach import anchor_of, snapshot
from tests.repository.builders import make


def _connect() -> NoReturn:
    raise AssertionError("this needs no server")


LOG = MongoLog(_connect)


@dataclass(frozen=True)
class Shelf:
    """A repository for made-up timelines."""

    repository: Repository
    reader: ChunkReader

    @property
    def histories(self) -> Histories:
        """What looks into them."""
        return Histories(self.reader, LOG)

    def archive(self, *histories: Sequence[bytes], size: int = 2) -> Archive:
        """An archive of the source ``app`` with a timeline for each history, in segments of `size` entries, each a
        chunk of its own."""
        source = os.urandom(8).hex()
        ids = [os.urandom(16).hex() for _ in histories]
        for id_, entries in zip(ids, histories, strict=True):
            first = position_of(entries[0])
            self.write(source, Place(id_, "", LogPosition((first.at[0] - 1, 1), 1)), entries, size)
        found = {each.id: each for each in read_archive(self.repository, source).timelines}
        return Archive("app", tuple(found[id_] for id_ in ids), ())

    def write(self, source: str, place: Place, entries: Sequence[bytes], size: int = 2) -> Place:
        """Segments of these entries; where the next one goes."""
        with Writing(self.repository, source, Budget.within(1 << 28, 1), Silent()) as writing:
            for begin in range(0, len(entries), size):
                writing.anew()
                for raw in entries[begin : begin + size]:
                    end = position_of(raw)
                    key = (end.at[0] << 32 | end.at[1]).to_bytes(8)
                    writing.add(Chunk(raw, 1, key, key))
                place = writing.commit(place, end, 1)
        self.repository.refresh_index()
        return place

    def base(self, archive: Archive, goal: Goal, *snapshots: int) -> Base:
        """What is taken for a goal, with snapshots of these seconds."""
        taken = [snapshot(second, cluster_time=[second, 0]) for second in snapshots]
        fitting = reaching(archive, bases(archive, taken, anchor_of), goal.at, goal.text)
        return choose(archive, fitting, goal, self.histories)

    def chosen(self, archive: Archive, goal: Goal, *snapshots: int) -> int:
        """The number of the timeline that is taken."""
        taken = self.base(archive, goal, *snapshots).stretch.timeline
        return [timeline.id for timeline in archive.timelines].index(taken)


def position_of(raw: bytes) -> LogPosition:
    """Where an entry stands."""
    [found] = LOG.positions(raw)
    return found


@contextmanager
def shelf_in(directory: Path) -> Iterator[Shelf]:
    """A new one."""
    with closing(make(directory).as_both()) as repository, closing(ChunkReader(repository)) as reader:
        yield Shelf(repository, reader)


def history(*seconds: int, mark: int = 1) -> list[bytes]:
    """No-ops of these seconds, with one mark."""
    made = {"op": "n", "ns": "", "o": {}}
    times = [{"ts": Timestamp(second, 0), "t": Int64(1), "v": Int64(2)} for second in seconds]
    return [bson.encode({**made, **time, "wall": bson.DatetimeMS(mark)}) for time in times]
