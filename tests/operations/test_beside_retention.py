"""Reading a repository while retention and pruning on other hosts remove things: nothing of that is damage."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from drtool.operations.budget import Budget
from drtool.operations.catalogue import read_known
from drtool.operations.pitr.writing import Place
from drtool.operations.prune.reindexing import IndexPlan, store
from drtool.operations.reporting import Silent
from drtool.operations.verify.inspecting import Sample
from drtool.operations.verify.verify import Verifier
from drtool.repository.archive import read_archive
from drtool.repository.chain import Snapshot, read_catalogue
from drtool.repository.evidence import EVIDENCE, record
from drtool.repository.going import RETENTION
from drtool.repository.layout import Layout
from drtool.repository.levels import Level
from drtool.repository.linked import REMOVALS
from drtool.repository.manifests import SNAPSHOTS, object_hash
from drtool.repository.removals import Finding, Removal, announce
from drtool.repository.repository import Repository
from drtool.repository.runs import Run
from drtool.sources.log import LogPosition
from drtool.storage.base import ObjectInfo
from tests.operations.pitr.shelf import Shelf, history
from tests.operations.site import Site, fill
from tests.repository.builders import Made, commit
from tests.repository.conftest import made, template, victim
from tests.repository.victims import evidence_of
from tests.sources.mongo import Client

__all__ = ["made", "template", "victim"]


@pytest.fixture
def reader(made: Made) -> Iterator[Repository]:
    """Another host, which looks."""
    with contextlib.closing(made.as_agent("reader")) as found:
        yield found


@pytest.fixture
def keeper(made: Made) -> Iterator[Repository]:
    """A host where retention runs."""
    with contextlib.closing(made.as_both()) as found:
        yield found


def _before_listing(
    monkeypatch: pytest.MonkeyPatch, repository: Repository, prefix: str, act: Callable[[], None]
) -> None:
    """Do something right before the first listing of `prefix`."""
    real = repository.storage.list
    done: list[str] = []

    def listed(what: str = "") -> Iterator[ObjectInfo]:
        if what == prefix and not done:
            done.append(what)
            act()
        return real(what)

    monkeypatch.setattr(repository.storage, "list", listed)


def _announce(keeper: Repository, removal: Removal) -> None:
    assert keeper.maintainer is not None
    announce(keeper, removal, keeper.maintainer)


def _delete(keeper: Repository, removal: Removal) -> None:
    for name in removal.names():
        keeper.storage.delete(name)


def _words(repository: Repository) -> list[str]:
    return [problem.message for problem in read_known(repository).problems]


def _ids(repository: Repository) -> list[str]:
    return [snapshot.id for snapshot in read_catalogue(repository).snapshots]


def test_what_retention_is_about_to_delete_was_not_put_back(keeper: Repository, reader: Repository) -> None:
    first, *others = (commit(keeper) for _ in range(3))
    removal = Removal(snapshots=(first,))
    with Run(keeper, RETENTION):
        _announce(keeper, removal)
        assert _words(reader) == []
        assert _ids(reader) == [snapshot.id for snapshot in others]
        data = keeper.storage.get(first.manifest.name)
        _delete(keeper, removal)
    assert _words(reader) == []
    keeper.storage.put(first.manifest.name, data)
    assert any("put it back" in word for word in _words(reader))


def test_a_snapshot_that_goes_while_it_is_read(
    keeper: Repository, reader: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    removal = Removal(snapshots=(commit(keeper),))
    commit(keeper)

    def whole_retention() -> None:
        with Run(keeper, RETENTION):
            _announce(keeper, removal)
            _delete(keeper, removal)

    _before_listing(monkeypatch, reader, REMOVALS, whole_retention)
    assert _words(reader) == []
    assert len(_ids(reader)) == 1


def test_another_one_in_its_place_is_told_all_the_same(made: Made, keeper: Repository, reader: Repository) -> None:
    first = commit(keeper)
    commit(keeper)
    removal = Removal(snapshots=(first,))
    with Run(keeper, RETENTION):
        _announce(keeper, removal)
        _delete(keeper, removal)
        with contextlib.closing(made.as_agent("thief")) as thief:
            commit(thief, number=1, previous=None)
        assert any("which was another" in word for word in _words(reader))


def test_evidence_that_goes_while_it_is_read(
    keeper: Repository, reader: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot: Snapshot = commit(keeper)
    ids = [record(keeper, evidence_of(snapshot.hash, Level.LISTED), keeper.signer) for _ in range(3)]
    assert _words(reader) == []  # it has seen them
    findings = tuple(Finding(id_, object_hash(keeper.storage.get(EVIDENCE + id_))) for id_ in ids)
    removal = Removal(evidence=findings)

    def gone() -> None:
        _announce(keeper, removal)
        _delete(keeper, removal)

    for prefix in (EVIDENCE, SNAPSHOTS, REMOVALS):
        _before_listing(monkeypatch, reader, prefix, gone if prefix == EVIDENCE else lambda: None)
    assert _words(reader) == []
    assert _words(reader) == []


def test_segments_that_retention_is_about_to_delete(keeper: Repository, reader: Repository) -> None:
    shelf = Shelf(keeper, mock.Mock())
    shelf.write("app", Place("a" * 32, "", LogPosition((9, 1), 1)), history(*range(10, 18)))
    archive = read_archive(reader, "app")
    segments = [one for stretch in archive.timelines[0].stretches for one in stretch.segments]
    assert archive.problems == ()
    with Run(keeper, RETENTION):
        _announce(keeper, Removal(segments=(segments[0],)))
        during = read_archive(reader, "app")
    assert during.problems == ()
    assert [one for stretch in during.timelines[0].stretches for one in stretch.segments] == segments[1:]
    after = read_archive(reader, "app")
    assert ["put it back" in problem.message for problem in after.problems] == [True]


def test_an_index_that_is_merged_while_snapshots_are_verified(victim: Made) -> None:
    with contextlib.closing(victim.as_both()) as looker, contextlib.closing(victim.as_both("keeper")) as keeper:
        looker.refresh_index()
        verifier = Verifier(looker, Budget(1, 1, 1, 8_000_000, 8_000_000), Silent(), mock.Mock())
        with contextlib.closing(verifier):
            snapshot = read_catalogue(looker).snapshots[-1]
            layout = Layout.read(keeper)
            store(keeper, IndexPlan(tuple(layout.objects), tuple(layout.entries)).payloads())
            for name in layout.objects:
                keeper.storage.delete(name)
            assert verifier.verify(snapshot, Level.INTACT, Sample()).problems == []
            for info in list(keeper.storage.list("index/")):
                keeper.storage.delete(info.name)
            problems = verifier.verify(snapshot, Level.INTACT, Sample()).problems
            assert {problem.object.partition("/")[0] for problem in problems} == {"index"}


def test_verify_is_registered_before_it_lists_snapshots(
    site: Site, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody needs is deleted as soon as nobody is registered."""
    fill(client, database)
    site.backup()
    before = len(site.objects("runs"))
    seen: list[int] = []

    def looked(repository: Repository) -> object:
        seen.append(len(site.objects("runs")) - before)
        return read_known(repository)

    monkeypatch.setattr("drtool.operations.catalogue.read_known", looked)
    site.ok("verify", "--level", "listed")
    assert seen == [1]
