"""Are the packs there that archived segments need? By a listing: nothing of what they hold is read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from drtool.errors import DamagedObjectError, MissingObjectError, WrongKeyError
from drtool.repository.archive import Archive, Archived, timelines
from drtool.repository.packs import pack_name
from drtool.repository.pages import walk
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import FETCHERS, Repository
from drtool.repository.segments import SegmentName

_WRONG = (DamagedObjectError, WrongKeyError)


def without_unheld(repository: Repository, archive: Archive) -> Archive:
    """The archive without the segments of which something is not there; those are among its problems.

    Reads the pages of every segment, which an agent key suffices for. The index must be up to date.
    """
    segments = [one for timeline in archive.timelines for stretch in timeline.stretches for one in stretch.segments]
    problems = [*archive.problems]
    there = {info.name: info.size for info in repository.storage.list("packs/")}
    held: list[Archived] = []
    lost: list[SegmentName] = []
    with contextlib.closing(ChunkReader(repository)) as reader, ThreadPoolExecutor(FETCHERS, "pages") as pool:
        for one, error in zip(segments, pool.map(partial(_check, reader, there), segments), strict=True):
            if error is None:
                held.append(one)
            else:
                problems.append(error)
                lost.append(SegmentName.parse(one.segment.name))
    if not lost:
        return archive
    return Archive(archive.source, timelines(held), tuple(problems), (*archive.lost, *lost))


def _check(reader: ChunkReader, there: Mapping[str, int], one: Archived) -> DamagedObjectError | None:
    name = one.segment.name
    try:
        for id_ in _needs(reader, one):
            locations = reader.locations(id_)
            if not any(there.get(pack_name(place.pack)) == place.pack_size for place in locations):
                pack = pack_name(locations[0].pack)
                state = "is not whole" if pack in there else "is missing"
                return MissingObjectError(f"{name} cannot be read: {pack}, which it needs, {state}")
    except _WRONG as error:
        return DamagedObjectError(f"{name} cannot be read: {error.message}", hint=error.hint)
    return None


def _needs(reader: ChunkReader, one: Archived) -> Iterator[bytes]:
    """The ids of the chunks that hold its entries and where they are; its pages were read meanwhile."""
    for leaf in walk(one.segment.root, reader.get_page):
        yield leaf.bounds
        for chunk in leaf.chunks:
            yield chunk.id
