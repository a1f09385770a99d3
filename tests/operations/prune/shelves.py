"""Repositories with made-up chunks to clean up, and whether everything that is committed can still be read."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from unittest import mock

from drtool.operations.prune.prune import Pruned, Wishes, prune
from drtool.operations.reporting import Silent
from drtool.repository.chain import Snapshot, read_catalogue
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import decode_streams
from drtool.repository.pages import walk
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from tests.repository.builders import Made, Stream, put_removal

PACK = 40_000
CHUNK = 3000


def chunk(number: int) -> bytes:
    """The content of a chunk, which does not compress."""
    return random.Random(number).randbytes(CHUNK)


def stream(numbers: Iterable[int], name: str = "db.c") -> Stream:
    """A stream of such chunks."""
    return Stream(name, tuple(chunk(number) for number in numbers))


@contextlib.contextmanager
def small_packs() -> Iterator[None]:
    """Inside, a pack holds some ten chunks."""
    with mock.patch("drtool.repository.packs.PACK_BYTES", PACK):
        yield


def remove(made: Made, snapshots: Sequence[Snapshot], number: int = 1) -> None:
    """Announce a removal, and remove."""
    with closing(made.as_owner("remover")) as owner:
        assert owner.maintainer is not None
        put_removal(owner, snapshots, owner.maintainer, number)


def clean(made: Made, wishes: Wishes | None = None, host: str = "owner") -> Pruned:
    """Prune as the owner of the identity."""
    with closing(made.as_owner(host)) as owner:
        return prune(owner, wishes or Wishes(), Silent())


def contents(repository: Repository) -> dict[str, list[bytes]]:
    """Every committed snapshot's chunks, by its id, read through `repository`'s own index; definitions are read too."""
    found: dict[str, list[bytes]] = {}
    reader = ChunkReader(repository)
    try:
        for snapshot in read_catalogue(repository).snapshots:
            lists = snapshot.manifest.stream_chunks
            chunks: list[bytes] = []
            for entry in decode_streams(reader.get(ChunkKind.CATALOG, id_, length) for id_, length in lists):
                reader.get(ChunkKind.PRIVATE, entry.definition, entry.definition_length)
                for leaf in walk(entry.root, reader.get_page):
                    reader.get(ChunkKind.PRIVATE, leaf.bounds, leaf.bounds_length)
                    chunks += reader.stream(leaf.chunks)
            found[snapshot.id] = chunks
    finally:
        reader.close()
    return found


def read_all(made: Made) -> dict[str, list[bytes]]:
    """The same on a host that has never seen the repository."""
    with closing(made.as_owner(f"reader-{secrets.token_hex(4)}")) as owner:
        owner.refresh_index()
        return contents(owner)


def packs(made: Made) -> set[str]:
    """The names of all packs."""
    return {info.name for info in made.storage.list("packs/")}
