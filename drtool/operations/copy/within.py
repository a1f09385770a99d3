"""Copying within a lineage: chunks, slots, manifests and segments go as they are, and no identity is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from drtool.errors import PreconditionFailedError, TamperedError
from drtool.operations.contents import Contents
from drtool.operations.copy.moving import Mover, Shipped
from drtool.operations.copy.outlook import missing_segments
from drtool.operations.copy.reading import read_again, require_awake
from drtool.operations.copy.wanted import tree_of, trees_of
from drtool.operations.locking import lock_packs
from drtool.repository.archive import Archived, open_segment
from drtool.repository.chain import Snapshot, open_snapshot
from drtool.repository.repository import Repository
from drtool.repository.runs import Run


class Within:
    """A ``Carrier``. Without a `run` it looks only. `there` are the ids of the destination's snapshots, `removed` names
    of segments that it had and retention removed."""

    def __init__(
        self,
        source: Repository,
        destination: Repository,
        mover: Mover,
        run: Run | None,
        there: Collection[str],
        removed: Collection[str],
    ) -> None:
        self._source = source
        self._destination = destination
        self._mover = mover
        self._run = run
        self._there = there
        self._removed = removed
        #: By chain the last snapshot that was copied, and its leaves; None before the first.
        self._last: dict[str, tuple[str, set[bytes]] | None] = {}

    def snapshot(self, snapshot: Snapshot, *, thorough: bool) -> Shipped:
        """See ``Carrier.snapshot``."""
        name = snapshot.manifest.name
        data = read_again(self._source, name, snapshot.hash)
        opened = open_snapshot(self._destination, name, data)  # by the destination's own rules
        self._begin(snapshot)
        contents = Contents(self._mover.reader, snapshot.manifest)
        shipped = self._mover.ship(lambda: trees_of(contents), snapshot.signer, thorough=thorough)
        if self._run is not None:
            lock_packs(self._destination, shipped.packs)
            self._run.renew()
            self._put(self._run, name, data)
            self._destination.state.saw_heads([opened.head])
            self._last["/".join(snapshot.chain)] = snapshot.id, shipped.leaves
        return shipped

    def missing(self, source: str, segments: Iterable[Archived]) -> tuple[list[Archived], list[Archived]]:
        """See ``Carrier.missing``."""
        return missing_segments(self._destination, source, segments, self._removed)

    def segments(self, segments: Sequence[Archived]) -> Shipped:
        """See ``Carrier.segments``."""
        shipped = Shipped()
        for signer, group in groupby(segments, key=lambda one: one.signer):
            shipped.add(self._of_one(signer, list(group)))
        return shipped

    def again(self, segments: Sequence[Archived]) -> Shipped:
        """See ``Carrier.again``."""
        return self.segments(segments)

    def _of_one(self, signer: bytes, segments: Sequence[Archived]) -> Shipped:
        read = [(one.segment.name, read_again(self._source, one.segment.name, one.hash)) for one in segments]
        opened = [open_segment(self._destination, name, data) for name, data in read]
        shipped = self._mover.ship(lambda: (tree_of(one.segment) for one in segments), signer)
        if self._run is not None:
            lock_packs(self._destination, shipped.packs)
            self._run.renew()
            for name, data in read:
                self._put(self._run, name, data)
            self._destination.state.saw_heads(one.head for one in opened)
        return shipped

    def flush(self) -> None:
        """See ``Carrier.flush``."""
        self._mover.flush()

    def finish(self) -> None:
        """See ``Carrier.finish``."""
        if self._run is None:
            return
        for chain, last in self._last.items():
            if last is not None:
                self._destination.state.keep_copied_leaves(chain, *last)
        self._mover.carry_slots()

    def close(self) -> None:
        """See ``Carrier.close``."""
        self._mover.close()

    def _begin(self, snapshot: Snapshot) -> None:
        """Before the first snapshot of a chain: what this host copied last need not be looked up again, as long as it
        is there."""
        chain = "/".join(snapshot.chain)
        if chain in self._last:
            return
        self._last[chain] = None
        before, leaves = self._destination.state.copied_leaves(chain)
        if before in self._there:
            self._mover.trust(snapshot.signer, leaves)

    def _put(self, run: Run, name: str, data: bytes) -> None:
        """Commit, in a run that was renewed just before."""
        storage = self._destination.storage
        try:
            storage.put(name, data, if_absent=True)
        except PreconditionFailedError as error:
            if storage.get(name) != data:
                raise TamperedError(
                    f"{name} at {storage.url} is not what it was copied from",
                    hint="It was altered there. Delete it there, and copy again.",
                ).about(name) from error
        require_awake(run, name)
        run.outcome = "committed"
