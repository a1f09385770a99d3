"""A restore of what the operator asked for, over sources in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from drtool.errors import UsageError
from drtool.operations.budget import Budget
from drtool.operations.restore.allotting import Asked
from drtool.operations.restore.replacing import compare_with
from drtool.operations.restore.together import Together
from drtool.repository.repository import Repository
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
    for name in ("documents", "documents#vectors", "notes"):
        source.memory.put(name, b"1", b"1\n")
    repository = made.as_agent()
    host = Host(repository, source)
    host.backup()
    yield host
    repository.close()


@contextlib.contextmanager
def _restoring(made: Made, host: Host, asked: Asked) -> Iterator[tuple[Repository, Together]]:
    with contextlib.closing(made.as_owner()) as owner:
        owner.refresh_index()
        budget = Budget(2, 2, 1, 8_000_000, 1 << 20)
        with contextlib.closing(Together(owner, host.newest(), [host.source], asked, budget, host.told)) as together:
            yield owner, together


def test_nobody_owns_what_is_looked_at_before_it_is_replaced(made: Made, host: Host) -> None:
    with _restoring(made, host, Asked(in_place=True)) as (_, together):
        [prospect] = together.prospects()
        assert host.source.owners == 0
        assert [item.name for item in prospect.plan.items] == ["documents", "documents#vectors", "notes"]
        assert prospect.plan.replace
        [result] = together.run([prospect])
        assert (result.records, host.source.owners) == (2, 1)
    assert host.source.owners == 0


def test_what_stays_and_what_comes_back(made: Made, host: Host) -> None:
    host.source.memory.rename_stream("notes", "remarks")
    host.source.memory.put("more", b"1", b"1\n")
    host.source.memory.put("more#vectors", b"1", b"1\n")
    host.source.written["documents"] = b""
    with _restoring(made, host, Asked(in_place=True)) as (owner, together):
        [prospect] = together.prospects()
        assert (prospect.in_the_way, prospect.replaced) == ((), ["documents"])
        standing = compare_with(owner, prospect, host.source)
    assert [stream.name for stream in standing.stays] == ["more", "remarks"]
    assert (standing.returns, standing.is_bare) == (("notes",), False)


@pytest.mark.parametrize(
    "asked",
    [
        Asked(in_place=True, to=("x",)),
        Asked(in_place=True, rename=(("documents", "x"),)),
        Asked(only=("app:x",)),
        Asked(only=("documents", "x")),
        Asked(to=("a", "b")),
        Asked(rename=(("app:x", "y"),)),
    ],
)
def test_what_makes_no_sense(made: Made, host: Host, asked: Asked) -> None:
    with pytest.raises(UsageError), _restoring(made, host, asked):
        pass


@pytest.mark.parametrize("only", ["documents", "app:documents", "d*"])
def test_a_pattern_with_and_without_its_source(made: Made, host: Host, only: str) -> None:
    asked = Asked(to=("app=elsewhere",), only=(only,), rename=(("app:documents", "copy"),))
    with _restoring(made, host, asked) as (_, together):
        [prospect] = together.prospects()
        assert [item.name for item in prospect.plan.items] == ["copy", "copy#vectors"]
