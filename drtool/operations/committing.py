"""Committing what was read: everything it refers to is there, then one create-only put."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from drtool import __version__
from drtool.errors import DrtoolError, MissingObjectError
from drtool.operations.contents import weakest_proof
from drtool.operations.gathering import SourceRead
from drtool.operations.inheriting import Before
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import (
    MAX_MANIFEST_BYTES,
    Manifest,
    Statistics,
    StreamEntry,
    encode_streams,
    new_id,
    object_hash,
)
from drtool.repository.packs import pack_name
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.sealed import Kind
from drtool.repository.state import Head
from drtool.repository.writer import ChunkWriter
from drtool.sources.base import Consistency

_WEAKEST = list(Consistency)


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A committed snapshot in figures. Bytes are those of records as read, but for ``stored_bytes`` (in packs)."""

    job: str
    snapshot: str
    consistency: Consistency
    instant: datetime
    streams: int
    records: int
    read_bytes: int
    new_bytes: int
    stored_bytes: int
    chunks: int
    new_chunks: int
    seconds: float
    parts: int
    full_because: str
    number: int
    head: str


def commit(
    repository: Repository,
    run: Run,
    writer: ChunkWriter,
    job: str,
    before: Before,
    reads: Sequence[SourceRead],
    started: float,
) -> BackupResult:
    """Commit a snapshot of `reads`; `started` is when the run began, by the monotonic clock.

    ``MissingObjectError`` where a pack that it needs is not there: nothing is committed then.
    """
    streams = [entry for read in reads for entry in read.streams]
    lists = tuple((writer.add(ChunkKind.CATALOG, data), len(data)) for data in encode_streams(streams))
    writer.flush()
    _require_packs(repository, writer.packs, "the snapshot was not committed")
    manifest = _manifest(repository, run, writer, job, before, reads, streams, lists, started)
    hash_ = _put_manifest(repository, run, manifest)
    if run.lapsed:
        # The machine slept while the manifest was on its way: what it refers to may be gone by now.
        _require_packs(repository, writer.packs, f"snapshot {manifest.snapshot} was committed, but cannot be restored")
    return _result(manifest, hash_, reads, started)


def _manifest(
    repository: Repository,
    run: Run,
    writer: ChunkWriter,
    job: str,
    before: Before,
    reads: Sequence[SourceRead],
    streams: Sequence[StreamEntry],
    lists: tuple[tuple[bytes, int], ...],
    started: float,
) -> Manifest:
    declared = [read.source.consistency for read in reads] + [entry.consistency for entry in streams]
    consistency = max(map(Consistency, declared), key=_WEAKEST.index)
    instant = max(datetime.fromisoformat(read.source.instant) for read in reads)
    counts = writer.counts
    return Manifest(
        snapshot=new_id(),
        repository=repository.id,
        job=job,
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
            records=sum(entry.records for entry in streams),
            bytes=sum(entry.bytes for entry in streams),
            chunks=sum(entry.chunks for entry in streams),
            new_chunks=counts.new_chunks,
            new_bytes=counts.new_bytes,
            stored_bytes=counts.stored_bytes,
            seconds=round(time.monotonic() - started, 3),
        ),
    )


def _result(manifest: Manifest, hash_: str, reads: Sequence[SourceRead], started: float) -> BackupResult:
    figures = manifest.statistics
    return BackupResult(
        job=manifest.job,
        snapshot=manifest.snapshot,
        consistency=Consistency(manifest.consistency),
        instant=datetime.fromisoformat(manifest.instant),
        streams=manifest.stream_count,
        records=figures.records,
        read_bytes=figures.bytes,
        new_bytes=figures.new_bytes,
        stored_bytes=figures.stored_bytes,
        chunks=figures.chunks,
        new_chunks=figures.new_chunks,
        seconds=time.monotonic() - started,
        parts=sum(read.parts for read in reads),
        full_because="first snapshot of the job" if manifest.previous_snapshot is None else "every range is read",
        number=manifest.number,
        head=hash_,
    )


def _require_packs(repository: Repository, packs: Mapping[bytes, int], outcome: str) -> None:
    """Level ``listed`` for what is about to be committed."""
    there = {info.name: info.size for info in repository.storage.list("packs/")}
    gone = [sha256 for sha256, size in packs.items() if there.get(pack_name(sha256)) != size]
    for sha256 in gone:
        repository.cache.forget_pack(sha256)
    if gone:
        which = pack_name(gone[0]) + (f" and {len(gone) - 1} more" if len(gone) > 1 else "")
        raise MissingObjectError(
            f"{which}, which this snapshot needs, is not there (or not whole): {outcome}",
            hint="Run the backup again: it stores those chunks anew. Find out what deleted the object.",
        )


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
