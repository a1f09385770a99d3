"""Committing what was read: everything it refers to is there, then one create-only put."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from drtool import __version__
from drtool.errors import DrtoolError, MissingObjectError
from drtool.operations.backup.gathering import Gathered, Ranges, SourceRead
from drtool.operations.backup.inheriting import Before
from drtool.operations.backup.relying import packs_of
from drtool.operations.backup.rounds import Tools
from drtool.operations.contents import weakest_proof
from drtool.operations.locking import lock_packs
from drtool.operations.overlaying import is_overlay
from drtool.repository.ids import new_id
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import (
    MAX_MANIFEST_BYTES,
    OVERLAY,
    Manifest,
    Statistics,
    StreamEntry,
    encode_streams,
    object_hash,
)
from drtool.repository.packs import pack_name
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.sealed import Kind
from drtool.repository.state import Head
from drtool.sources.reading import Consistency

_WEAKEST = list(Consistency)


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A committed snapshot in figures. Bytes are those of records, but for ``stored_bytes`` (in packs).

    ``bytes``, ``records`` and ``chunks`` are what it holds, ``read_bytes`` what this run read. ``full_because`` is
    empty for an increment. ``distance`` is the largest between the instants of its sources, in seconds (None for one
    source). ``missed`` are streams of which the source had not told a change, and ``suspects`` the
    snapshots that may lack such changes. ``warnings`` are sentences about the sources, by their names, and ``emptied``
    says of those that hold nothing in which snapshot they held something last.
    """

    job: str
    snapshot: str
    consistency: Consistency
    instant: datetime
    streams: int
    records: int
    bytes: int
    read_bytes: int
    new_bytes: int
    stored_bytes: int
    chunks: int
    new_chunks: int
    seconds: float
    ranges: Ranges
    full_because: str
    number: int
    head: str
    missed: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    distance: float | None = None
    warnings: tuple[tuple[str, str], ...] = ()
    emptied: Mapping[str, str] = field(default_factory=dict)

    @property
    def incremental(self) -> bool:
        """Was something taken over from the last snapshot without being read?"""
        return not self.full_because


def commit(
    tools: Tools,
    run: Run,
    gathered: Gathered,
    ground: Mapping[bytes, int],
    started: float,
    tags: tuple[str, ...] = (),
) -> BackupResult:
    """Commit a snapshot of what was `gathered` with `tags`; `started` is when the run began, by the monotonic clock.

    `ground` are the packs (with their sizes) of the last snapshot, for what is taken over from it.
    ``MissingObjectError`` where a pack that it needs is not there: nothing is committed then.
    """
    repository, writer, before = tools.repository, tools.writer, tools.before
    reads = gathered.reads
    streams = [entry for read in reads for entry in read.streams]
    lists = tuple((writer.add(ChunkKind.CATALOG, data), len(data)) for data in encode_streams(streams))
    writer.flush()
    tools.pages.flush()
    inherited = ground if any(read.source.increments for read in reads) else {}
    packs = _require_packs(tools, {**inherited, **writer.packs}, streams, "the snapshot was not committed")
    lock_packs(repository, packs)
    manifest = _manifest(tools, run, gathered, streams, lists, started, tags)
    # Before the commit, because a snapshot that this host does not know again is none to start from.
    repository.state.rely(before.job, manifest.snapshot, manifest.number, tools.pages.used, packs)
    hash_ = _put_manifest(repository, run, manifest)
    if run.lapsed:
        # The machine slept while the manifest was on its way: what it refers to may be gone by now.
        _require_packs(tools, packs, streams, f"snapshot {manifest.snapshot} was committed, but cannot be restored")
    before.forget_missed(read.source.name for read in reads if read.missed and not read.source.increments)
    return _result(tools, manifest, hash_, reads, started)


def _manifest(
    tools: Tools,
    run: Run,
    gathered: Gathered,
    streams: Sequence[StreamEntry],
    lists: tuple[tuple[bytes, int], ...],
    started: float,
    tags: tuple[str, ...],
) -> Manifest:
    before, counts, reads = tools.before, tools.writer.counts, gathered.reads
    declared = [read.source.consistency for read in reads] + [entry.consistency for entry in streams]
    consistency = max(map(Consistency, declared), key=_WEAKEST.index)
    instant = max(datetime.fromisoformat(read.source.instant) for read in reads)
    is_increment = any(read.source.increments for read in reads)
    return Manifest(
        snapshot=new_id(),
        repository=tools.repository.id,
        job=before.job,
        number=before.number + 1,
        previous=before.hash,
        previous_snapshot=before.snapshot,
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        run=run.id,
        host=socket.gethostname(),
        tool=f"drtool {__version__}",
        consistency=consistency,
        proof=weakest_proof(streams),
        instant=instant.isoformat(),
        sources=tuple(read.source for read in reads),
        stream_count=len(streams),
        stream_chunks=lists,
        statistics=Statistics(
            records=sum(entry.records for entry in streams if not entry.beside),
            bytes=sum(entry.bytes for entry in streams),
            chunks=sum(entry.chunks for entry in streams),
            new_chunks=counts.new_chunks,
            new_bytes=counts.new_bytes,
            stored_bytes=counts.stored_bytes,
            seconds=round(time.monotonic() - started, 3),
            read_bytes=sum(read.bytes for read in reads),
        ),
        requires=(OVERLAY,) if any(read.has_overlay for read in reads) else (),
        base=before.last.id if is_increment and before.last is not None else None,
        suspects=tuple(dict.fromkeys((*before.suspects, *_newly_suspect(before, reads)))),
        tags=tags,
        distance=gathered.distance,
    )


def _newly_suspect(before: Before, reads: Sequence[SourceRead]) -> Iterator[tuple[int, int]]:
    """The increments that rest on the full read since when a source did not tell of every change."""
    yield from before.may_lack(read.source.name for read in reads if read.missed)


def _result(tools: Tools, manifest: Manifest, hash_: str, reads: Sequence[SourceRead], started: float) -> BackupResult:
    figures = manifest.statistics
    new = tuple(_newly_suspect(tools.before, reads))
    parts = [entry for read in reads for entry in read.streams if is_overlay(entry) or entry.beside]
    return BackupResult(
        job=manifest.job,
        snapshot=manifest.snapshot,
        consistency=Consistency(manifest.consistency),
        instant=datetime.fromisoformat(manifest.instant),
        streams=manifest.stream_count - len(parts),
        records=figures.records - sum(entry.records for entry in parts if not entry.beside),
        bytes=figures.bytes,
        read_bytes=figures.read_bytes,
        new_bytes=figures.new_bytes,
        stored_bytes=figures.stored_bytes,
        chunks=figures.chunks,
        new_chunks=figures.new_chunks,
        seconds=time.monotonic() - started,
        ranges=sum((read.ranges for read in reads), Ranges()),
        full_because="" if manifest.base is not None else _why_full(reads),
        number=manifest.number,
        head=hash_,
        missed=tuple(name for read in reads for name in read.missed),
        suspects=tools.before.chain_between(new),
        distance=manifest.distance,
        warnings=tuple((source.name, warning) for source in manifest.sources for warning in source.warnings),
        emptied={source.name: source.emptied for source in manifest.sources if source.emptied},
    )


def _why_full(reads: Sequence[SourceRead]) -> str:
    """Why everything was read; of each source where that is not the same for all."""
    reasons = {read.source.name: read.source.full_because for read in reads}
    if len(set(reasons.values())) == 1:
        return reads[0].source.full_because
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


def _require_packs(
    tools: Tools, packs: Mapping[bytes, int], streams: Sequence[StreamEntry], outcome: str
) -> Mapping[bytes, int]:
    """Level ``listed`` for what is about to be committed; the packs that it needs.

    What an increment takes over may have been in a pack that nothing needs any more: where one is gone, the streams
    are followed chunk by chunk.
    """
    repository = tools.repository
    gone = _not_there(repository, packs.items())
    if not gone:
        return packs
    # Whatever else this host indexed and is gone: a chunk that lies in two packs needs one that is there.
    absent = {*gone, *_not_there(repository, repository.cache.packs_indexed_by(repository.signer.public))}
    exact = packs_of(repository, tools.before.reader, streams, absent | tools.writer.unusable)
    if exact is not None and not any(sha256 in tools.writer.packs for sha256 in gone):
        return {**exact, **tools.writer.packs}
    repository.state.note_bad_packs(absent, ())
    which = pack_name(gone[0]) + (f" and {len(gone) - 1} more" if len(gone) > 1 else "")
    raise MissingObjectError(
        f"{which}, which this snapshot needs, is not there (or not whole): {outcome}",
        hint="Run the backup again: it stores those chunks anew. Find out what deleted the object.",
    )


def _not_there(repository: Repository, packs: Iterable[tuple[bytes, int]]) -> list[bytes]:
    """Those packs that the store does not list with their sizes. They were stored before it is asked.

    What somebody hid can still be read, but nothing new is to rest on it.
    """
    there = {info.name: info.size for info in repository.storage.list("packs/") if info.is_latest}
    return [sha256 for sha256, size in packs if there.get(pack_name(sha256)) != size]


def _put_manifest(repository: Repository, run: Run, manifest: Manifest) -> str:
    payload = manifest.encode()
    if len(payload) > MAX_MANIFEST_BYTES:
        raise DrtoolError(f"the manifest would have {len(payload)} bytes, more than format 1 allows")
    data = repository.seal(Kind.MANIFEST, manifest.name, payload)
    run.renew()
    repository.storage.put(manifest.name, data, if_absent=True)
    hash_ = object_hash(data)
    chain = (repository.id, repository.signer.public.hex(), manifest.job)
    repository.state.saw_heads([Head(*chain, manifest.number, hash_, manifest.snapshot)])
    return hash_
