"""Pages that a pack took with it, and that the host which wrote them still keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from drtool.operations.repair.losses import Damage
from drtool.repository.chunks import chunk_id
from drtool.repository.keyring import ChunkKind
from drtool.repository.pages import Inner, decode_page
from drtool.repository.repository import Repository
from drtool.repository.trust import Role
from drtool.repository.writer import ChunkWriter


def put_kept_pages(repository: Repository, damages: Iterable[Damage]) -> int:
    """Store lost pages, and what lies below them, as far as this host keeps them and may write; how many were lost.

    What is kept is no proof: it is stored only where it has the id of what is lost. What such a page leads to may be
    whole, so that a snapshot needs no more.
    """
    if repository.agent is None or not repository.document.allows(repository.signer.public, Role.WRITER):
        return 0
    kept = dict.fromkeys(
        data
        for damage in damages
        for loss in damage.losses
        for id_ in (*loss.chunks, *loss.pages)
        for data in _kept(repository, damage.snapshot.manifest.job, id_)
    )
    if not kept:
        return 0
    stored = 0
    with contextlib.closing(ChunkWriter(repository)) as writer:
        for kind, data in kept:
            before = writer.counts.stored_bytes
            writer.add(kind, data)
            stored += writer.counts.stored_bytes > before
        writer.flush()
    return stored


def _kept(repository: Repository, job: str, id_: bytes) -> Iterator[tuple[ChunkKind, bytes]]:
    """The page with this id and all pages below it, with the bounds of leaves."""
    kept = repository.state.page(job, id_)
    if kept is None or chunk_id(repository.keyring, ChunkKind.CATALOG, kept.data) != id_:
        return
    yield ChunkKind.CATALOG, kept.data
    page = decode_page(kept.data)
    if isinstance(page, Inner):
        for child in page.pages:
            yield from _kept(repository, job, child.id)
    elif chunk_id(repository.keyring, ChunkKind.PRIVATE, kept.bounds) == page.bounds:
        yield ChunkKind.PRIVATE, kept.bounds
