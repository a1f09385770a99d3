"""Repositories whose keys change: who can open them, and what they read there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

from drtool.operations.keys.recipients import Added, add_recipient
from drtool.operations.reporting import Silent
from drtool.repository.agent_key import AgentKey
from drtool.repository.authority import Authority
from drtool.repository.chain import read_catalogue
from drtool.repository.identity import Identity
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import decode_streams
from drtool.repository.pages import walk
from drtool.repository.public_file import PublicHalf
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.storage.base import Storage
from tests.repository.builders import Made, Stream

Contents = list[dict[str, tuple[bytes, ...]]]


@contextlib.contextmanager
def rooted(made: Made, host: str = "root") -> Iterator[tuple[Repository, Authority]]:
    """The repository as its root opens it, to change keys."""
    with contextlib.closing(made.as_owner(host)) as repository:
        yield repository, Authority(repository)


def second(made: Made) -> Identity:
    """An identity that another person made for this repository."""
    return Identity.generate(made.identity.root)


def add(made: Made, identity: Identity, name: str = "Ada", **options: Any) -> Added:
    """Make it a recipient."""
    with rooted(made) as (repository, authority):
        return add_recipient(repository, authority, PublicHalf.of(identity), Silent(), name=name, **options)


def read_as(made: Made, identity: Identity, host: str = "reader") -> Contents:
    """Everything in the repository's snapshots, oldest first, read with this identity alone."""
    with contextlib.closing(made._open(None, identity, host)) as repository:
        return contents(repository)


def contents(repository: Repository) -> Contents:
    """The chunks of every stream of every snapshot; nothing must be wrong with any of them."""
    assert repository.refresh_index() == []
    catalogue = read_catalogue(repository)
    assert catalogue.problems == ()
    with contextlib.closing(ChunkReader(repository)) as reader:
        found: Contents = []
        for snapshot in catalogue.snapshots:
            lists = [reader.get(ChunkKind.CATALOG, id_, n) for id_, n in snapshot.manifest.stream_chunks]
            streams = {}
            for entry in decode_streams(lists):
                refs = [ref for leaf in walk(entry.root, reader.get_page) for ref in leaf.chunks]
                streams[entry.name] = tuple(reader.stream(refs))
            found.append(streams)
        return found


def stream(number: int) -> Stream:
    """A stream that no other number's has chunks in common with."""
    return Stream("db.c", tuple(b"record %d of %d" % (each, number) * 50 for each in range(5)))


def agent_opens(made: Made, agent: AgentKey, host: str = "agent") -> int:
    """How many snapshots an agent lists, all of them sound."""
    with contextlib.closing(made.as_agent(host, agent)) as repository:
        catalogue = read_catalogue(repository)
        assert catalogue.problems == ()
        return len(catalogue.snapshots)


class Killed(BaseException):
    """The process is no more."""


class Dying:
    """A storage whose process is killed before the write with this number (from 1) and does nothing afterwards."""

    def __init__(self, storage: Storage, before: int) -> None:
        self._storage = storage
        self._left = before

    @property
    def survived(self) -> bool:
        """Was it never killed?"""
        return self._left > 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if name == "probe":
            return found
        if name not in ("put", "delete"):
            return self._alive(found)

        def count(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            return self._alive(found)(*arguments, **options)

        return count

    def _alive(self, call: Any) -> Any:
        def checked(*arguments: Any, **options: Any) -> Any:
            if self._left <= 0:
                raise Killed
            return call(*arguments, **options)

        return checked if callable(call) else call


def dying(storage: Storage, before: int) -> tuple[Storage, Dying]:
    """The storage, and what to ask whether it died."""
    made = Dying(storage, before)
    return cast(Storage, made), made
