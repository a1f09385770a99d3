"""The repository that is made for the measurements of old ones is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drtool.repository.agent_key import AgentKey
from drtool.repository.chain import read_catalogue
from drtool.repository.evidence import reached
from drtool.repository.keyring import ChunkKind
from drtool.repository.levels import Level
from drtool.repository.manifests import decode_streams
from drtool.repository.packs import pack_name
from drtool.repository.pages import walk
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.storage.directory import DirectoryStorage
from tests.bench.aging import Aged, age


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Aged]:
    """A small one, and what is said to be in it."""
    directory = tmp_path_factory.mktemp("aged") / "years"
    return directory, age(directory, 0.04)


@pytest.fixture
def repository(aged: tuple[Path, Aged], tmp_path: Path) -> Iterator[Repository]:
    directory, _ = aged
    agent = AgentKey.from_text((directory / "agent.key").read_text(encoding="utf-8"), "agent.key")
    storage = DirectoryStorage(directory / "repository")
    repository = Repository.open(
        storage, agent=agent, identity=None, state_dir=tmp_path / "state", cache_dir=tmp_path / "cache"
    )
    yield repository
    repository.close()


def test_its_chains_are_whole(repository: Repository, aged: tuple[Path, Aged]) -> None:
    catalogue, (levels, problems) = read_catalogue(repository), reached(repository)
    assert [*catalogue.problems, *problems] == []
    assert len(catalogue.snapshots) == aged[1].snapshots == 40
    assert aged[1].removed > 0
    assert {found.level for found in levels.values()} >= {Level.LISTED, Level.READABLE, Level.RESTORED}


@pytest.mark.heavy
def test_its_snapshots_have_all_that_they_name(repository: Repository, aged: tuple[Path, Aged]) -> None:
    assert repository.refresh_index() == []
    sizes = {info.name: info.size for info in repository.storage.list("packs/")}
    assert sizes == {pack_name(sha256): size for sha256, size in repository.cache.packs()}
    assert len(sizes) == aged[1].packs
    known = {row.id for sha256, _ in repository.cache.packs() for row in repository.cache.rows(sha256)}
    reader = ChunkReader(repository)
    try:
        for snapshot in read_catalogue(repository).snapshots:
            lists = [reader.get(ChunkKind.CATALOG, id_, length) for id_, length in snapshot.manifest.stream_chunks]
            entries = decode_streams(lists)
            assert sum(entry.chunks for entry in entries) == snapshot.manifest.statistics.chunks
            for entry in entries:
                leaves = list(walk(entry.root, reader.get_page))
                assert sum(len(leaf.chunks) for leaf in leaves) == entry.chunks
                for leaf in leaves:
                    assert known >= {leaf.bounds, *(chunk.id for chunk in leaf.chunks)}
    finally:
        reader.close()


def test_successive_snapshots_share_most_of_their_pages(aged: tuple[Path, Aged]) -> None:
    made = aged[1]
    assert made.chunks - made.pages >= 40_000
    assert made.pages < made.chunks / 4
