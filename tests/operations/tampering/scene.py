"""A repository that holds every kind of object, and what verifying all of it shows."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from drtool.errors import DrtoolError
from drtool.operations.budget import Budget
from drtool.operations.catalogue import read_known
from drtool.operations.contents import Contents, Problem, list_needed
from drtool.operations.pitr.writing import Place
from drtool.operations.reporting import Silent
from drtool.operations.verify.distrusting import distrust
from drtool.operations.verify.inspecting import Sample
from drtool.operations.verify.logcheck import LogCheck
from drtool.operations.verify.soundness import Soundness
from drtool.operations.verify.verify import Verifier
from drtool.repository.chain import read_catalogue
from drtool.repository.identity import Identity
from drtool.repository.keyring import ChunkKind
from drtool.repository.levels import Level
from drtool.repository.packs import ADDED_SLOT_BYTES, added_slots_name, pack_name
from drtool.repository.pins import protect
from drtool.repository.reader import ChunkReader
from drtool.repository.removals import Removal, announce
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.repository.tombstones import put_tombstones
from drtool.repository.trust import NamedRecipient, keys_name, seal_keyring, sign_lines
from drtool.sources.log import LogPosition
from drtool.storage.base import ObjectInfo
from drtool.storage.directory import DirectoryStorage
from tests.operations.pitr.shelf import Shelf, history
from tests.repository.builders import NOW, Made, Stream, backup, make, objects
from tests.repository.victims import STREAMS

LEVELS = (Level.LISTED, Level.INTACT, Level.READABLE)
OPENING = "opening"
SECOND = Identity(b"second" + b"\0" * 26)
_BUDGET = Budget(1, 1, 1, 8_000_000, 8_000_000)


class _Noting(DirectoryStorage):
    """Remembers the order in which objects were put, which a file's times tell too coarsely."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.names: list[str] = []

    def put(self, name: str, *arguments: Any, **options: Any) -> ObjectInfo:
        """See ``Storage.put``."""
        put = super().put(name, *arguments, **options)
        self.names.append(name)
        return put


@dataclass(frozen=True)
class Scene:
    """A repository, and the names of objects of each kind that it holds, those of a chain in its order."""

    made: Made
    order: Sequence[str]

    @property
    def root(self) -> Path:
        """The repository's directory."""
        return Path(self.made.storage.url)

    def names(self, kind: str) -> list[str]:
        """The objects of a kind, in the order in which they were put."""
        is_escrow = kind == "escrow"
        found = objects(self.made.storage, "keys/" if is_escrow else kind)
        found = {name: data for name, data in found.items() if name.endswith(".escrow") == is_escrow}
        return sorted(found, key=self.order.index)

    def packs(self, kind: ChunkKind) -> list[str]:
        """The packs with chunks of a kind that the newest snapshot needs, largest first."""
        with self.opened("host1", Level.LISTED) as repository, contextlib.closing(ChunkReader(repository)) as reader:
            repository.refresh_index()
            newest = read_catalogue(repository).snapshots[-1]
            needed = list_needed(repository, Contents(reader, newest.manifest)).packs
            found = [pack for pack in needed if any(row.kind is kind for row in repository.cache.rows(pack))]
        return [pack_name(pack) for pack in sorted(found, key=lambda pack: -needed[pack])]

    def copied(self, to: Path) -> Scene:
        """The same once more."""
        shutil.copytree(self.root, to / "repository")
        shutil.copytree(self.made.local, to / "local")
        storage = DirectoryStorage(to / "repository")
        return Scene(replace(self.made, storage=storage, local=to / "local"), self.order)

    def opened(self, host: str, level: Level) -> contextlib.closing[Repository]:
        """On a host; with the identity where the level needs it."""
        return contextlib.closing(self.made.as_both(host) if level >= Level.READABLE else self.made.as_agent(host))

    def first_level(self, host: str, levels: Sequence[Level] = LEVELS) -> tuple[str | None, list[Problem]]:
        """The first of these levels that finds something on this host, and what."""
        for level in levels:
            try:
                with self.opened(host, level) as repository:
                    found = problems_at(repository, level)
            except DrtoolError as error:
                return OPENING, [Problem.of(error)]
            if found:
                return level.label, found
        return None, []


def problems_at(repository: Repository, level: Level) -> list[Problem]:
    """All that ``drtool verify`` finds."""
    known = read_known(repository)
    found = [Problem.of(error) for error in (*known.problems, *repository.refresh_index())]
    with contextlib.closing(Verifier(repository, _BUDGET, Silent(), mock.Mock())) as verifier:
        for snapshot in known.catalogue.snapshots[-1:]:  # the others rest on the same
            found += verifier.verify(snapshot, level, Sample()).problems
    found += Soundness(repository).problems(level)
    for log in LogCheck(repository, Silent()).check(level, Sample(), ["app"]):
        found += log.problems
    return found


def set_up(directory: Path) -> Scene:
    """A repository with two or more objects of every kind; the host ``host1`` has seen all of it."""
    storage = _Noting(directory / "repository")
    made = make(directory, storage)
    _add_recipient(made)
    for number in range(5):
        with contextlib.closing(made.as_agent()) as agent:
            backup(agent, _streams(number))
    with contextlib.closing(made.as_both()) as both:
        _write_log(both)
        _remove_two(both)
        _put_records(both)
        for level in LEVELS:
            assert problems_at(both, level) == []
    return Scene(made, tuple(storage.names))


def _streams(number: int) -> Iterator[Stream]:
    yield replace(STREAMS[0], chunks=(*STREAMS[0].chunks, b"x%d" % number * 1000 * (number + 1)))


def _add_recipient(made: Made) -> None:
    document = made.document()
    keys = seal_keyring(made.agent.keyring, document.repository, SECOND.recipient, made.identity.root_key)
    made.storage.put(keys_name(SECOND.recipient), keys)
    made.publish(recipients=(*document.recipients, NamedRecipient(SECOND.recipient, "second", NOW)))
    fields = {"drtool": "escrow", "repository": document.repository.hex()}
    for identity in (made.identity, SECOND):
        fields["recipient"] = identity.recipient.fingerprint.hex()
        lines = sign_lines("escrow", fields, made.identity.root_key)
        made.storage.put(f"{keys_name(identity.recipient)}.escrow", lines)


def _write_log(repository: Repository) -> None:
    shelf = Shelf(repository, mock.Mock())
    place = Place("a" * 32, "", LogPosition((9, 1), 1))
    shelf.write("app", place, history(*range(10, 18)))


def _remove_two(repository: Repository) -> None:
    assert repository.maintainer is not None
    for snapshot in read_catalogue(repository).snapshots[:2]:
        announce(repository, Removal(snapshots=(snapshot,)), repository.maintainer)
        repository.storage.delete(snapshot.manifest.name)


def _put_records(repository: Repository) -> None:
    snapshots = read_catalogue(repository).snapshots
    packs = [bytes([number]) * 32 for number in range(2)]
    for pack, snapshot in zip(packs, snapshots, strict=False):
        protect(repository, snapshot, "a reason")
        distrust(repository, [pack], "a test", repository.verifier)
        put_tombstones(repository, [pack])
        name = added_slots_name(SECOND.recipient, pack)
        repository.storage.put(name, bytes(ADDED_SLOT_BYTES))
    with Run(repository, "verify"), Run(repository, "verify"):
        pass
