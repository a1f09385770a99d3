"""What a snapshot inherits from the one before: its place in the chain, cut rules, and where to split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drtool.errors import DrtoolError, RepositoryError
from drtool.operations.choosing import recency
from drtool.operations.contents import Contents
from drtool.operations.reporting import Reporter
from drtool.repository.chain import Snapshot, read_catalogue
from drtool.repository.manifests import StreamEntry
from drtool.repository.pages import PageRef, decode_bounds, leaf_at
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.sources.base import KeyRange, StreamInfo


class Before:
    """The job's last snapshot as the next one sees it.

    ``number``, ``hash`` and ``snapshot`` are its place in this signer's chain (0, None, None before the first). Its
    streams and ``points`` come from the job's newest snapshot, whoever signed it.
    """

    def __init__(self, repository: Repository, job: str, reporter: Reporter) -> None:
        self._repository = repository
        self._reader = ChunkReader(repository)
        catalogue = read_catalogue(repository)
        for problem in catalogue.problems:
            reporter.warn(f"the repository is not as it should be: {problem.message}")
        chain = (repository.id, repository.signer.public.hex(), job)
        head = catalogue.heads().get(chain)
        remembered = next((h for h in repository.state.heads() if (h.origin, h.signer, h.job) == chain), None)
        self.number, self.hash, self.snapshot = 0, None, None
        if head is not None:
            self.number, self.hash, self.snapshot = head.manifest.number, head.hash, head.id
        if remembered is not None and remembered.number > self.number:
            # Going on from what this host knows keeps the gap visible for ever.
            self.number, self.hash, self.snapshot = remembered.number, remembered.hash, remembered.snapshot
        last = max((s for s in catalogue.snapshots if s.manifest.job == job), key=recency, default=None)
        self.points: Mapping[str, Mapping[str, Any]] = {}
        self._streams: dict[tuple[str, str], StreamEntry] = {}
        if last is not None:
            self.points = {source.name: source.point for source in last.manifest.sources}
            self._streams = self._streams_of(last, reporter)

    def threshold(self, source: str, stream: StreamInfo) -> int | None:
        """The T that the stream had; None where it is new."""
        entry = self._streams.get((source, stream.identity)) or self._streams.get((source, stream.name))
        return entry.threshold if entry is not None else None

    def parts(self, source: str, stream: StreamInfo, count: int) -> Sequence[KeyRange] | None:
        """`count` ranges that begin where chunks of the last snapshot began; None where that is not known here.

        Where nothing changed they begin at true cuts, so that no chunk is stored that no snapshot refers to.
        """
        entry = self._streams.get((source, stream.identity)) if stream.identity else None
        if entry is None or entry.root is None or entry.root.chunks < count:
            return None
        try:
            keys = self._first_keys(entry.root, [number * entry.root.chunks // count for number in range(1, count)])
        except RepositoryError:
            return None  # what is damaged in the last snapshot must not keep the next from being taken
        if keys is None:
            return None
        lowers: list[bytes | None] = [None, *keys]
        return [KeyRange(lower, upper) for lower, upper in zip(lowers, [*keys, None], strict=True)]

    def _first_keys(self, root: PageRef, places: Sequence[int]) -> list[bytes] | None:
        keys: list[bytes] = []
        for number in places:
            leaf, place = leaf_at(root, number, self._reader.get_page)
            sealed = self._repository.state.bounds(leaf.bounds)
            bounds = decode_bounds(sealed) if sealed is not None else []
            if len(bounds) != len(leaf.chunks):
                return None
            keys.append(bounds[place].first)
        return keys

    def close(self) -> None:
        """Give up the threads."""
        self._reader.close()

    def _streams_of(self, last: Snapshot, reporter: Reporter) -> dict[tuple[str, str], StreamEntry]:
        found: dict[tuple[str, str], StreamEntry] = {}
        try:
            for entry in Contents(self._reader, last.manifest).streams():
                found[entry.source, entry.name] = entry
                if entry.identity:
                    found[entry.source, entry.identity] = entry
        except DrtoolError as error:
            reporter.warn(
                f"the last snapshot's stream list cannot be read, so more than needed may be stored: {error.message}"
            )
        return found
