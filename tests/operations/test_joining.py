"""Streams that complete others are restored and exported with them, by one call, and count as one."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from drtool.errors import DamagedObjectError, ExportError, IncompleteRestoreError, UsageError
from drtool.operations.budget import Budget
from drtool.operations.export import Export
from drtool.operations.joining import joined
from drtool.operations.reporting import Silent
from drtool.operations.restore.restore import Restore
from drtool.operations.restore.wishing import Wish
from drtool.repository.repository import Repository
from drtool.sources.exporting import ExportItem, ExportPlace
from drtool.sources.reading import Proof, StreamInfo
from tests.operations.joined_memory import JoinedSource
from tests.operations.memory import Host
from tests.repository.builders import Made, make


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """An empty repository."""
    return make(tmp_path)


@pytest.fixture
def host(made: Made) -> Iterator[Host]:
    """A host whose snapshot holds documents with their vectors, and notes."""
    source = JoinedSource()
    chance = random.Random(7)
    for number in range(300):
        key = b"%04d" % number
        source.memory.put("documents", key, b"%s %s\n" % (key, b"d" * chance.randint(10, 40)))
        source.memory.put("documents#vectors", key, b"%s %s\n" % (key, chance.randbytes(30).hex().encode()))
        source.memory.put("notes", key, b"%s\n" % key)
    repository = made.as_agent()
    host = Host(repository, source)
    result = host.backup()
    assert (result.streams, result.records) == (2, 600)
    yield host
    repository.close()


@pytest.fixture
def owner(made: Made, host: Host) -> Iterator[Repository]:
    """The repository, with the identity."""
    repository = made.as_owner()
    repository.refresh_index()
    yield repository
    repository.close()


@contextlib.contextmanager
def _restoring(host: Host, owner: Repository, wish: Wish) -> Iterator[Restore]:
    restore = Restore(owner, host.newest(), host.source, wish, Budget(2, 2, 1, 8_000_000, 1 << 20), host.told)
    with contextlib.closing(restore):
        yield restore


def _records(host: Host, stream: str) -> bytes:
    return b"".join(data for _, data in sorted(host.source.memory.held[stream].items()))


def test_both_come_back_by_one_call(host: Host, owner: Repository) -> None:
    with _restoring(host, owner, Wish(rename=(("documents", "copy"),))) as restore:
        prospect = restore.prospect()
        result = restore.run(prospect)
    assert [item.stream.name for item in prospect.streams] == ["documents", "notes"]
    assert (prospect.records, result.records, result.expected_records, result.streams) == (600, 600, 600, 2)
    assert ("copy", "copy#vectors") in host.source.together
    assert host.source.written["copy"] == _records(host, "documents")
    assert host.source.written["copy#vectors"] == _records(host, "documents#vectors")
    assert result.bytes == sum(map(len, host.source.written.values()))


def test_what_completes_a_stream_comes_with_it(host: Host, owner: Repository) -> None:
    with _restoring(host, owner, Wish(only=("doc*",), to="elsewhere")) as restore:
        restore.run(restore.prospect())
    assert host.source.written.keys() == {"documents", "documents#vectors"}
    with _restoring(host, owner, Wish(only=("documents#vectors",))) as restore, pytest.raises(UsageError):
        restore.prospect()


@pytest.mark.parametrize("loses", ["documents", "documents#vectors"])
def test_records_are_counted_in_each(host: Host, owner: Repository, loses: str) -> None:
    host.source.loses = loses
    with (
        _restoring(host, owner, Wish(to="elsewhere")) as restore,
        pytest.raises(IncompleteRestoreError, match=f"{loses}: 299 of 300"),
    ):
        restore.run(restore.prospect())


def _export(host: Host, owner: Repository, only: tuple[str, ...] = ()) -> tuple[int, int]:
    with contextlib.closing(Export(owner, host.newest(), host.source, only, Silent())) as export:
        plan = export.plan()
        result = export.run(plan, ExportPlace("here", "1.0"))
        assert result.records == plan.records
        return result.records, result.streams


def test_both_are_exported_by_one_call(host: Host, owner: Repository) -> None:
    assert _export(host, owner) == (600, 2)
    assert ("documents", "documents#vectors") in host.source.together
    assert host.source.written["documents#vectors"] == _records(host, "documents#vectors")
    host.source.written.clear()
    assert _export(host, owner, ("documents",)) == (300, 1)
    assert host.source.written.keys() == {"documents", "documents#vectors"}


def test_an_export_counts_each(host: Host, owner: Repository) -> None:
    host.source.loses = "documents#vectors"
    with pytest.raises(ExportError, match="documents#vectors: 299 of 300"):
        _export(host, owner)


def test_a_completion_without_what_it_completes_is_damage() -> None:
    alone = StreamInfo("a#vectors", "vectors", Proof.IDENTICAL, b"", beside="a")
    with pytest.raises(DamagedObjectError, match="a#vectors, but not a"):
        joined([ExportItem(alone, 1, 1)])
