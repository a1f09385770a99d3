"""Builders of repositories and of what is in them, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from drtool.repository.agent_key import AgentKey
from drtool.repository.chain import Snapshot, open_snapshot
from drtool.repository.identity import Identity
from drtool.repository.ids import new_id
from drtool.repository.keyring import ChunkKind
from drtool.repository.locks import LockRule
from drtool.repository.manifests import Manifest, SourceEntry, Statistics, StreamEntry, encode_streams
from drtool.repository.pages import Bounds, ChunkRef, PageBuilder
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository, create
from drtool.repository.runs import Run
from drtool.repository.sealed import Kind
from drtool.repository.state import Head
from drtool.repository.trust import REPOSITORY_NAME, RepositoryDocument, Role, Signer
from drtool.repository.wire import encode_json
from drtool.repository.writer import ChunkWriter
from drtool.storage.base import Storage
from drtool.storage.directory import DirectoryStorage

NOW = "2026-11-21T02:00:00+00:00"


@dataclass
class Made:
    """A repository that was just made, its keys, and a directory for hosts' local files."""

    storage: Storage
    agent: AgentKey
    identity: Identity
    local: Path

    def as_agent(self, host: str = "host1", agent: AgentKey | None = None) -> Repository:
        """Opened as a backup host does, with local files of its own."""
        return self._open(agent or self.agent, None, host)

    def as_owner(self, host: str = "owner") -> Repository:
        """Opened with the identity alone."""
        return self._open(None, self.identity, host)

    def as_both(self, host: str = "host1") -> Repository:
        """Opened with both keys."""
        return self._open(self.agent, self.identity, host)

    def document(self) -> RepositoryDocument:
        """repository.json as it is."""
        return RepositoryDocument.parse(self.storage.get(REPOSITORY_NAME), self.identity.root)

    def publish(self, **changes: Any) -> RepositoryDocument:
        """The root's next version of repository.json."""
        document = self.document().next(**changes)
        self.storage.put(REPOSITORY_NAME, document.sign(self.identity.root_key))
        return document

    def enrol(self, name: str, *roles: Role) -> AgentKey:
        """A further agent with these roles (writer by default)."""
        agent = replace(self.agent, name=name, seed=hashlib.sha256(name.encode()).digest())
        signer = Signer(agent.signing_key.public, name, frozenset(roles or (Role.WRITER,)), NOW)
        self.publish(signers=(*self.document().signers, signer))
        return agent

    def _open(self, agent: AgentKey | None, identity: Identity | None, host: str) -> Repository:
        state, cache = self.local / host / "state", self.local / host / "cache"
        return Repository.open(self.storage, agent=agent, identity=identity, state_dir=state, cache_dir=cache)


def make(directory: Path, storage: Storage | None = None, rule: LockRule | None = None) -> Made:
    """An empty repository in a directory (or in `storage`); `rule` locks what is put there."""
    store = storage or DirectoryStorage(directory / "repository")
    created = create(store, "host1", rule)
    return Made(store, created.agent_key, created.identity, directory / "local")


@dataclass(frozen=True)
class Stream:
    """A stream to write: the bytes of its chunks, each taken for one record keyed by its number."""

    name: str
    chunks: tuple[bytes, ...]
    definition: bytes = b"a definition"

    def bounds(self, number: int) -> Bounds:
        """The bounds of a chunk."""
        key = f"{self.name}:{number:08}".encode()
        return Bounds(key, key)


def write_stream(writer: ChunkWriter, stream: Stream) -> StreamEntry:
    """Add a stream's chunks, bounds, pages and definition; the caller flushes."""
    pages = PageBuilder(
        lambda page: writer.add(ChunkKind.CATALOG, page), lambda bounds: writer.add(ChunkKind.PRIVATE, bounds)
    )
    for number, chunk in enumerate(stream.chunks):
        pages.add(ChunkRef(writer.add(ChunkKind.DATA, chunk), len(chunk), 1), stream.bounds(number))
    return StreamEntry(
        source="app",
        name=stream.name,
        kind="collection",
        identity="",
        proof="identical",
        consistency="exact",
        keyed=True,
        has_records=True,
        threshold=1 << 60,
        definition=writer.add(ChunkKind.PRIVATE, stream.definition),
        definition_length=len(stream.definition),
        root=pages.finish(),
    )


def backup(repository: Repository, streams: Iterable[Stream], *, job: str = "nightly") -> Snapshot:
    """A whole backup: run, chunks, manifest; it follows the head that the repository's state remembers."""
    with Run(repository, "backup", job) as run:
        problems = repository.refresh_index()
        assert not problems
        writer = ChunkWriter(repository)
        try:
            entries = [write_stream(writer, stream) for stream in streams]
            lists = [(writer.add(ChunkKind.CATALOG, data), len(data)) for data in encode_streams(entries)]
            writer.flush()
        finally:
            writer.close()
        run.renew()
        snapshot = commit(repository, job=job, stream_chunks=lists, stream_count=len(entries))
        run.outcome = "committed"
    return snapshot


def commit(repository: Repository, /, *, signer: SigningKey | None = None, **fields: Any) -> Snapshot:
    """Sign and store a manifest; what `fields` leave out is plausible and follows the remembered head."""
    key = signer or repository.signer
    manifest = manifest_after(remembered(repository, key, str(fields.get("job", "nightly"))), repository, **fields)
    data = repository.seal(Kind.MANIFEST, manifest.name, manifest.encode(), key)
    repository.storage.put(manifest.name, data, if_absent=True)
    snapshot = open_snapshot(repository, manifest.name, data)
    repository.state.saw_heads([snapshot.head])
    return snapshot


def remembered(repository: Repository, signer: SigningKey, job: str) -> Head | None:
    """The head that the host's state holds for a job of this repository."""
    chain = (repository.id, signer.public.hex(), job)
    return next((head for head in repository.state.heads() if (head.origin, head.signer, head.job) == chain), None)


def manifest_after(head: Head | None, repository: Repository, /, **fields: Any) -> Manifest:
    """A manifest without streams, the next after `head`."""
    manifest = Manifest(
        snapshot=new_id(),
        repository=repository.id,
        job="nightly",
        number=head.number + 1 if head else 1,
        previous=head.hash if head else None,
        previous_snapshot=head.snapshot if head else None,
        created=NOW,
        run="20261121t020000z-0000000000",
        host="host1",
        tool="drtool 0",
        consistency="exact",
        proof="identical",
        instant=NOW,
        sources=(SourceEntry("app", "mongodb", "6.0.5", "replica-set", "", NOW, "exact", {}, ()),),
        stream_count=0,
        stream_chunks=(),
        statistics=Statistics(0, 0, 0, 0, 0, 0, 0.0),
    )
    if "stream_chunks" in fields:
        fields["stream_chunks"] = tuple(fields["stream_chunks"])
    return replace(manifest, **fields)


def put_record(
    repository: Repository, kind: Kind, prefix: str, fields: Mapping[str, Any], signer: SigningKey | None = None
) -> str:
    """Store a sealed JSON record under a fresh id; returns its name."""
    name = prefix + new_id()
    payload = encode_json({"format": 1, **fields})
    repository.storage.put(name, repository.seal(kind, name, payload, signer), if_absent=True)
    return name


def put_removal(repository: Repository, snapshots: Sequence[Snapshot], signer: SigningKey, number: int = 1) -> str:
    """Announce that snapshots are removed, and remove them."""
    entries = [
        {
            "snapshot": snapshot.id,
            "repository": snapshot.manifest.repository,
            "signer": snapshot.signer.hex(),
            "job": snapshot.manifest.job,
            "number": snapshot.manifest.number,
            "hash": snapshot.hash,
        }
        for snapshot in snapshots
    ]
    name = put_record(repository, Kind.REMOVAL, "removals/", {"number": number, "snapshots": entries}, signer)
    for snapshot in snapshots:
        repository.storage.delete(snapshot.manifest.name)
    return name


def objects(storage: Storage, prefix: str = "") -> dict[str, bytes]:
    """Every object of a store, by name."""
    return {info.name: storage.get(info.name) for info in storage.list(prefix)}


def flipped(data: bytes, position: int) -> bytes:
    """`data` with one bit of the byte at `position` changed."""
    return data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]
