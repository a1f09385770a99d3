"""Copying into another lineage: opened, cut anew, and sealed to other people; the records stay what they were."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from drtool.operations.contents import Contents
from drtool.repository.chain import read_catalogue
from drtool.repository.keyring import ChunkKind
from drtool.repository.pages import decode_bounds
from drtool.repository.reader import ChunkReader
from drtool.sources.cutting import CutRule, cut
from drtool.sources.mongodb.records import records
from tests.operations.copy.places import NOWHERE, Place, contents_at, documents, stored
from tests.operations.site import Site, flip
from tests.repository.builders import Stream, backup, commit

LARGE = 90_000


@pytest.fixture
def other(tmp_path: Path) -> Site:
    """Somebody else's repository, on another host."""
    (tmp_path / "theirs").mkdir()
    return Site(tmp_path / "theirs", NOWHERE, {"nightly": ("app",)}).set_up()


@pytest.fixture
def far(empty: Place, other: Site) -> Place:
    """A host with two snapshots that knows a key of theirs."""
    with empty.site.opened() as repository:
        first = Stream("app.big", documents(0, 40, LARGE))
        for streams in ((first, Stream("app.small", documents(0, 9))), (first, Stream("app.small", documents(0, 12)))):
            backup(repository, streams)
    copies = [{"url": str(other.store), "agent_key": {"file": str(other.directory / "agent.key")}}]
    return Place(replace(empty.site, repository={"copies": copies}).write_config(), other.store)


def test_a_copy_is_a_snapshot_of_that_lineage(far: Place, other: Site) -> None:
    first, second = far.copied()
    assert (first["chunks"]["sent"] > 0, second["chunks"]["sent"]) == (True, 1)
    assert contents_at(other) == contents_at(far.site)
    with other.opened(reads_data=True) as repository, far.site.opened() as origin:
        here, there = read_catalogue(repository).snapshots, read_catalogue(origin).snapshots
        assert [one.id for one in here] == [one.id for one in there]
        assert [(one.manifest.number, one.manifest.repository) for one in here] == [
            (1, repository.id),
            (2, repository.id),
        ]
        for one, original in zip(here, there, strict=True):
            copied_from = one.manifest.copied_from
            assert copied_from is not None
            assert (copied_from.repository, copied_from.hash) == (origin.id, original.hash)
            assert (one.manifest.created, one.manifest.job) == (original.manifest.created, original.manifest.job)
    assert not names(stored(far.second), "packs/") & names(stored(far.site.store), "packs/")
    assert all(line["ok"] for line in other.ok("verify", "--level", "readable")[:-1])


def names(objects: dict[str, Any], prefix: str) -> set[str]:
    return {name for name in objects if name.startswith(prefix)}


def test_it_is_cut_by_the_rule_of_that_lineage(far: Place, other: Site) -> None:
    far.copied("latest")
    with other.opened(reads_data=True) as repository:
        reader = ChunkReader(repository)
        [snapshot] = read_catalogue(repository).snapshots
        contents = Contents(reader, snapshot.manifest)
        for entry in contents.streams():
            rule = CutRule(repository.keyring.cut_key, entry.threshold)
            refs = list(contents.refs(entry))
            chunks = cut(chain.from_iterable(map(records, contents.records(entry))), rule)
            expected = [(len(one.data), one.records, one.first, one.last) for one in chunks]
            sealed = (reader.get(ChunkKind.PRIVATE, leaf.bounds, leaf.bounds_length) for leaf in contents.leaves(entry))
            bounds = [bound for chunk in sealed for bound in decode_bounds(chunk)]
            found = zip(refs, bounds, strict=True)
            assert [(ref.length, ref.records, bound.first, bound.last) for ref, bound in found] == expected
        reader.close()


def test_nothing_is_copied_twice(far: Place, other: Site) -> None:
    far.copied()
    before = stored(far.second)
    assert far.copied() == []
    assert [line["state"] for line in far.copied("latest")] == ["there"]
    assert stored(far.second) == before
    [one, two] = far.copied("--dry-run", *far.site.snapshots())
    assert (one["state"], two["state"]) == ("there", "there")


@pytest.mark.heavy
def test_what_was_lost_there_is_stored_anew(far: Place, other: Site) -> None:
    far.copied(far.site.snapshots()[0])
    largest = max(far.second.glob("packs/*/*"), key=lambda path: path.stat().st_size)
    largest.unlink()
    assert [line["state"] for line in far.copied()] == ["copied"]
    assert other.ok("verify", "latest", "--level", "readable")[0]["ok"]
    for path in far.second.glob("packs/*/*"):
        path.unlink()
    assert [line["state"] for line in far.copied("latest")] == ["copied"]
    assert len(other.snapshots()) == 2
    assert other.ok("verify", "latest", "--level", "readable")[0]["ok"]


def test_what_may_lack_changes_may_lack_them_there(far: Place, other: Site) -> None:
    """In whatever order it is copied: the one that says so first."""
    with far.site.opened() as repository:
        newest = read_catalogue(repository).snapshots[-1].manifest
        for suspects in (((1, 2),), ()):
            commit(repository, suspects=suspects, stream_count=2, stream_chunks=newest.stream_chunks)
    one, two, three, four = far.site.snapshots()
    for names in ((three,), (one, two), (four,)):
        far.copied(*names)
        with other.opened() as repository:
            catalogue = read_catalogue(repository)
        warned = {each.id for each in catalogue.snapshots if "lack changes" in str(each.manifest.sources)}
        assert (warned, catalogue.problems) == ({one, two} & {each.id for each in catalogue.snapshots}, ())
    assert catalogue.suspects() == {one, two}


def test_its_own_backups_go_on_in_the_same_chain(far: Place, other: Site) -> None:
    far.copied(far.site.snapshots()[0])
    with other.opened() as repository:
        read_catalogue(repository)
        assert backup(repository, (Stream("app.own", documents(0, 3)),)).manifest.number == 2
    [line] = far.copied()
    assert line["state"] == "copied"
    with other.opened() as repository:
        catalogue = read_catalogue(repository)
    assert (sorted(one.manifest.number for one in catalogue.snapshots), catalogue.problems) == ([1, 2, 3], ())


def test_without_the_identity_nothing_is_written(far: Place, other: Site) -> None:
    before = stored(far.second)
    host = replace(far, site=replace(far.site, has_identity=False).write_config())
    ended = host.copy()
    assert (ended.code, "identity" in ended.result["error"]["message"]) == (2, True)
    unknown = replace(far, site=replace(far.site, repository={}).write_config())
    ended = unknown.copy()
    assert (ended.code, ended.result["error"]["kind"]) == (12, "foreign-repository")
    assert stored(far.second) == before


def test_a_damaged_chunk_goes_no_further(far: Place, other: Site) -> None:
    flip(max(far.site.store.glob("packs/*/*"), key=lambda path: path.stat().st_size))
    ended = far.copy()
    assert (ended.code, ended.result["failed"]) == (4, far.site.snapshots())
    assert other.snapshots() == []
