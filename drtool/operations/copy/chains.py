"""The places that copies from another lineage get in the chains of the repository that they go to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace

from drtool import __version__
from drtool.errors import DrtoolError, RepositoryError, TamperedError
from drtool.operations.backup.inheriting import ChainEnd, end_of_chain
from drtool.operations.copy.reading import require_awake
from drtool.repository.archive import open_segment
from drtool.repository.chain import Catalogue, Snapshot, open_snapshot
from drtool.repository.manifests import MAX_MANIFEST_BYTES, CopiedFrom, Manifest
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.sealed import Kind
from drtool.repository.segments import OPLOG, Segment, source_id

_TOOL = f"drtool {__version__}"
#: In the copy itself, since only a later one can doubt it in its chain, and none need follow.
_DOUBTED = "may lack changes, as a later snapshot says where it was copied from"


@dataclass(frozen=True, slots=True)
class _SegmentEnd:
    number: int = 0
    hash: str | None = None


class Chains:
    """Signs and commits snapshots and segments as the next ones of this host's chains in `destination`. `catalogue` is
    what it holds, `origins` what is copied from."""

    def __init__(self, destination: Repository, catalogue: Catalogue, origins: Catalogue) -> None:
        self._destination = destination
        self._catalogue = catalogue
        self._doubted = {(*one.chain, one.manifest.number) for one in origins.snapshots if one.id in origins.suspects()}
        self._ends: dict[str, ChainEnd] = {}
        self._segment_ends: dict[tuple[str, str], _SegmentEnd] = {}
        self._read_sources: set[str] = set()
        #: The numbers here of what was copied, by the chain there.
        self._copied: dict[tuple[str, str, str], dict[int, int]] = {}
        for one in catalogue.snapshots:
            if one.signer == destination.signer.public and one.manifest.repository == destination.id:
                self._note(one.manifest)

    def add_snapshot(self, run: Run, origin: Snapshot, content: Manifest) -> None:
        """Commit `content` as a copy of `origin`; it says what the snapshot holds, and where and when it was taken."""
        destination = self._destination
        end = self._ends.get(content.job) or end_of_chain(destination, self._catalogue, content.job)
        warned = (*origin.chain, origin.manifest.number) in self._doubted
        sources = (replace(one, warnings=(*one.warnings, _DOUBTED)) if warned else one for one in content.sources)
        manifest = replace(
            content,
            sources=tuple(sources),
            repository=destination.id,
            number=end.number + 1,
            previous=end.hash,
            previous_snapshot=end.snapshot,
            run=run.id,
            host=socket.gethostname(),
            tool=_TOOL,
            base=None,
            suspects=tuple(self._suspects(origin)),
            copied_from=CopiedFrom(
                origin.manifest.repository, origin.signer.hex(), origin.manifest.number, origin.hash
            ),
        )
        payload = manifest.encode()
        if len(payload) > MAX_MANIFEST_BYTES:
            raise DrtoolError(f"the manifest would have {len(payload)} bytes, more than format 1 allows")
        data = destination.seal(Kind.MANIFEST, manifest.name, payload)
        run.renew()
        destination.storage.put(manifest.name, data, if_absent=True)
        require_awake(run, manifest.name)
        run.outcome = "committed"
        committed = open_snapshot(destination, manifest.name, data)
        destination.state.saw_heads([committed.head])
        self._ends[content.job] = ChainEnd(end.chain, manifest.number, committed.hash, committed.id)
        self._note(manifest)

    def require_same(self, origin: Snapshot, stream_chunks: tuple[tuple[bytes, int], ...]) -> None:
        """``TamperedError`` unless the snapshot with that id here is made of this stream list."""
        if any(
            one.id == origin.id and one.manifest.stream_chunks == stream_chunks for one in self._catalogue.snapshots
        ):
            return
        raise TamperedError(f"snapshot {origin.id} at {self._destination.storage.url} is not what it was copied from")

    def add_segment(self, run: Run, content: Segment) -> None:
        """Commit a copy of a segment, whose `root` is of the destination; `run` was renewed just before."""
        destination = self._destination
        sid = source_id(destination.keyring, content.source)
        self._read_ends(sid)
        end = self._segment_ends.get((sid, content.timeline), _SegmentEnd())
        segment = replace(
            content,
            repository=destination.id,
            source_id=sid,
            number=end.number + 1,
            previous=end.hash,
            run=run.id,
            host=socket.gethostname(),
            tool=_TOOL,
        )
        data = destination.seal(Kind.SEGMENT, segment.name, segment.encode())
        destination.storage.put(segment.name, data, if_absent=True)
        require_awake(run, segment.name)
        run.outcome = "committed"
        archived = open_segment(destination, segment.name, data)
        destination.state.saw_heads([archived.head])
        self._segment_ends[sid, segment.timeline] = _SegmentEnd(segment.number, archived.hash)

    def _note(self, manifest: Manifest) -> None:
        origin = manifest.copied_from
        if origin is not None:
            numbers = self._copied.setdefault((origin.repository, origin.signer, manifest.job), {})
            numbers[origin.number] = manifest.number

    def _suspects(self, origin: Snapshot) -> Iterator[tuple[int, int]]:
        """Those copies of the chain's snapshots that may lack changes, by their numbers here: whichever snapshot says
        so there, in whatever order they were copied."""
        for number, here in sorted(self._copied.get(origin.chain, {}).items()):
            told = any(first <= number <= last for first, last in origin.manifest.suspects)
            if told or (*origin.chain, number) in self._doubted:
                yield here, here

    def _read_ends(self, sid: str) -> None:
        """Where this host's chains of a source's log end, as the store and this host's memory say together."""
        if sid in self._read_sources:
            return
        self._read_sources.add(sid)
        destination = self._destination
        mine = (destination.id, destination.signer.public.hex())
        for name, data in destination.fetch(destination.storage.list(f"{OPLOG}{sid}/")):
            if not isinstance(data, bytes):
                continue
            try:
                one = open_segment(destination, name, data)
            except RepositoryError:
                continue  # whoever reads the archive is told; a number that it had, this host remembers
            if one.chain[:2] == mine:
                self._take(sid, one.segment.timeline, _SegmentEnd(one.segment.number, one.hash))
        for head in destination.state.heads():
            if (head.origin, head.signer) == mine and head.job.startswith(f"{OPLOG}{sid}/"):
                self._take(sid, head.job.rpartition("/")[2], _SegmentEnd(head.number, head.hash))

    def _take(self, sid: str, timeline: str, end: _SegmentEnd) -> None:
        if end.number > self._segment_ends.get((sid, timeline), _SegmentEnd()).number:
            self._segment_ends[sid, timeline] = end
