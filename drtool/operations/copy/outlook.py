"""What a copy into another lineage would take, without opening anything."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from drtool.operations.copy.moving import Shipped
from drtool.repository.archive import Archived
from drtool.repository.chain import Snapshot
from drtool.repository.repository import Repository
from drtool.repository.segments import OPLOG, source_id


class Outlook:
    """A ``Carrier`` that only looks. What is stored there already shows only when it is cut and named by the keys
    there, so it tells the most that it can be: all of it."""

    def __init__(self, destination: Repository, removed: Collection[str]) -> None:
        self._destination = destination
        self._removed = removed

    def snapshot(self, snapshot: Snapshot, *, thorough: bool) -> Shipped:
        """See ``Carrier.snapshot``."""
        held = snapshot.manifest.statistics
        return Shipped(held.chunks) if thorough else Shipped(held.chunks, held.chunks, held.bytes)

    def missing(self, source: str, segments: Iterable[Archived]) -> tuple[list[Archived], list[Archived]]:
        """See ``Carrier.missing``."""
        return missing_segments(self._destination, source, segments, self._removed)

    def segments(self, segments: Sequence[Archived]) -> Shipped:
        """See ``Carrier.segments``."""
        roots = [one.segment.root for one in segments]
        chunks = sum(root.chunks for root in roots)
        return Shipped(chunks, chunks, sum(root.bytes for root in roots))

    def again(self, segments: Sequence[Archived]) -> Shipped:
        """See ``Carrier.again``: what of them is not there any more does not show."""
        return Shipped(sum(one.segment.root.chunks for one in segments))

    def flush(self) -> None:
        """See ``Carrier.flush``: nothing was taken in."""

    def finish(self) -> None:
        """See ``Carrier.finish``: nothing is left to be done."""

    def close(self) -> None:
        """See ``Carrier.close``: nothing is held."""


def missing_segments(
    destination: Repository, source: str, segments: Iterable[Archived], removed: Collection[str]
) -> tuple[list[Archived], list[Archived]]:
    """Those that `destination` neither holds, under the names that they have there, nor has `removed`; and those that
    it holds."""
    sid = source_id(destination.keyring, source)
    there = {info.name for info in destination.storage.list(f"{OPLOG}{sid}/")}
    missing: list[Archived] = []
    held: list[Archived] = []
    for one in segments:
        name = replace(one.segment, source_id=sid).name
        if name in there:
            held.append(one)
        elif name not in removed:
            missing.append(one)
    return missing, held
