"""A run that is killed between storing a pack and indexing it loses nothing."""

from __future__ import annotations

import os
from pathlib import Path

from drtool.repository.agent_key import AgentKey
from drtool.repository.keyring import ChunkKind
from drtool.repository.repository import Repository, create
from drtool.repository.writer import ChunkWriter
from drtool.storage.directory import DirectoryStorage


def _open(storage: DirectoryStorage, agent: AgentKey, directory: Path) -> Repository:
    return Repository.open(
        storage, agent=agent, identity=None, state_dir=directory / "state", cache_dir=directory / "cache"
    )


def _die_before_the_index(storage: DirectoryStorage, agent: AgentKey, directory: Path, data: list[bytes]) -> None:
    """Store chunks in a process that is gone before it writes its index."""
    child = os.fork()
    if child == 0:
        repository = _open(storage, agent, directory)
        writer = ChunkWriter(repository)
        for chunk in data:
            writer.add(ChunkKind.DATA, chunk)
        writer._store.flush = lambda: os._exit(9)  # type: ignore[method-assign]
        writer.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9


def test_the_next_run_reuses_what_was_stored(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    storage = DirectoryStorage(tmp_path / "repository")
    agent = create(storage, "host").agent_key
    data = [os.urandom(100_000) for _ in range(5)]
    _die_before_the_index(storage, agent, tmp_path, data)
    assert not list(storage.list("index/"))
    repository = _open(storage, agent, tmp_path)
    writer = ChunkWriter(repository)
    for chunk in data:
        writer.add(ChunkKind.DATA, chunk)
    writer.flush()
    writer.close()
    assert writer.counts.new_chunks == 0
    assert len(list(storage.list("packs/"))) == len(list(storage.list("index/"))) == 1
    assert repository.state.noted_packs() == []
    repository.close()


def test_a_pack_that_is_gone_is_not_adopted(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    storage = DirectoryStorage(tmp_path / "repository")
    agent = create(storage, "host").agent_key
    data = [os.urandom(100_000)]
    _die_before_the_index(storage, agent, tmp_path, data)
    [pack] = storage.list("packs/")
    storage.delete(pack.name)
    repository = _open(storage, agent, tmp_path)
    writer = ChunkWriter(repository)
    writer.add(ChunkKind.DATA, data[0])
    writer.flush()
    writer.close()
    assert writer.counts.new_chunks == 1
    assert repository.state.noted_packs() == []
    repository.close()
