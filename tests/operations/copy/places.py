"""Hosts whose repositories are copied, and looking into both ends."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bson

from drtool.config.copies import CopySettings
from drtool.config.loading import load_config
from drtool.operations.budget import Budget
from drtool.operations.contents import Contents
from drtool.operations.copy.copying import Wish, copy
from drtool.operations.copy.opening import opened_pair
from drtool.operations.copy.results import CopiedLog, CopiedSnapshot
from drtool.operations.reporting import Silent
from drtool.repository.chain import read_catalogue
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.storage.directory import DirectoryStorage
from tests.cli.running import Ended
from tests.operations.site import Site
from tests.repository.builders import Stream, objects

NOWHERE = "mongodb://127.0.0.1:1/"
_CHANCE = random.Random(5)


def documents(first: int, last: int, size: int = 3000) -> tuple[bytes, ...]:
    """One document to a chunk, with these ids."""
    return tuple(bson.encode({"_id": number, "x": _CHANCE.randbytes(size)}) for number in range(first, last))


_BIG, _SMALL = documents(0, 60), documents(100, 140)
FIRST = (Stream("app.big", _BIG), Stream("app.small", _SMALL), Stream("app.view", ()))
SECOND = (FIRST[0], Stream("app.small", (*_SMALL[:20], *documents(200, 203), *_SMALL[20:])))


@dataclass(frozen=True)
class Place:
    """A host, and where its second repository is to be."""

    site: Site
    second: Path

    def copy(self, *arguments: str) -> Ended:
        """Run ``drtool copy`` there."""
        return self.site.drtool("copy", "--to", str(self.second), *arguments)

    def copied(self, *arguments: str) -> list[dict[str, Any]]:
        """Run it; it must succeed. Its lines about snapshots."""
        ended = self.copy(*arguments)
        assert ended.code == 0, ended.out + ended.err
        return [line for line in ended.lines if line["type"] == "copy"]

    @property
    def there(self) -> Site:
        """A bare machine with the identity that knows the second repository only."""
        directory = self.site.directory.parent / "bare"
        if directory.exists():
            return replace(self.site, directory=directory, url=str(self.second), keys=self.site.key_directory)
        directory.mkdir()
        bare = replace(self.site, directory=directory, url=str(self.second), keys=self.site.key_directory)
        return replace(bare, has_agent=False).write_config()


def make_place(directory: Path) -> Place:
    """A host with an empty repository."""
    directory.mkdir(parents=True)
    return Place(Site(directory, NOWHERE, {"nightly": ("app",)}).set_up(), directory.parent / "second")


def stored(directory: Path) -> dict[str, bytes]:
    """Every object of a repository but runs, which come and go, and what the audit log says of attempts."""
    found = objects(DirectoryStorage(directory))
    return {name: data for name, data in found.items() if not name.startswith(("runs/", "audit/"))}


def contents(repository: Repository) -> dict[str, dict[str, tuple[bytes, bytes]]]:
    """By snapshot and stream: the definition, and all records."""
    reader = ChunkReader(repository)
    try:
        catalogue = read_catalogue(repository)
        assert catalogue.problems == ()
        found: dict[str, dict[str, tuple[bytes, bytes]]] = {}
        for snapshot in catalogue.snapshots:
            held = Contents(reader, snapshot.manifest)
            found[snapshot.id] = {
                entry.name: (held.info(entry).definition, b"".join(held.records(entry))) for entry in held.streams()
            }
        return found
    finally:
        reader.close()


def contents_at(site: Site) -> dict[str, dict[str, tuple[bytes, bytes]]]:
    """The same, opened as a host does that has the identity."""
    with site.opened(reads_data=True) as repository:
        return contents(repository)


def send(site: Site, second: Path, *names: str) -> list[CopiedSnapshot]:
    """Copy without a command line, so that several threads can."""
    told: list[CopiedSnapshot] = []
    settings = load_config(site.config).repository

    def keep(one: CopiedSnapshot | CopiedLog) -> None:
        assert isinstance(one, CopiedSnapshot)
        told.append(one)

    with opened_pair(settings, CopySettings(url=str(second))) as pair:
        copy(pair, Wish(names, log=False), Budget.within(128_000_000, None), Silent(), keep)
    return told
