"""What lost packs took is found, told by stream and range, and healed by the next backup as far as the records live."""

from __future__ import annotations

import contextlib
import copy
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.errors import MissingObjectError
from drtool.operations.contents import Contents
from drtool.operations.repair.snapshots import Losses, Marked, SnapshotRepair
from drtool.operations.reporting import Silent
from drtool.repository.chain import read_catalogue
from drtool.repository.keyring import ChunkKind
from drtool.repository.levels import Level
from drtool.repository.packs import pack_name
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.storage.directory import DirectoryStorage
from tests.operations.memory import Host, MemorySource
from tests.operations.repair.looking import verified
from tests.repository.builders import Made, flipped, make

RECORDS = 400


@pytest.fixture(scope="session")
def shelf() -> Iterator[tuple[Made, MemorySource]]:
    """Two streams in many small packs; the second snapshot differs from the first in one range. Made once."""
    source = MemorySource()
    chance = random.Random(5)  # records that do not compress
    for stream in ("s", "t"):
        for number in range(RECORDS):
            source.put(stream, b"%06d" % number, chance.randbytes(70))
    with tempfile.TemporaryDirectory(prefix="drtool-test-", ignore_cleanup_errors=True) as directory:
        made = make(Path(directory))
        with contextlib.closing(made.as_agent()) as repository:
            host = _host(repository, source)
            host.backup()
            source.put("s", b"%06d" % 300, chance.randbytes(70))
            host.backup()
        yield made, source


@pytest.fixture
def made(shelf: tuple[Made, MemorySource], tmp_path: Path) -> Made:
    """A copy of the repository and of the host's local files."""
    made, _ = shelf
    shutil.copytree(made.storage.url, tmp_path / "repository")
    shutil.copytree(made.local, tmp_path / "local")
    return replace(made, storage=DirectoryStorage(tmp_path / "repository"), local=tmp_path / "local")


@pytest.fixture
def host(made: Made, shelf: tuple[Made, MemorySource]) -> Iterator[Host]:
    """The host that wrote it."""
    with contextlib.closing(made.as_agent()) as repository:
        yield _host(repository, copy.deepcopy(shelf[1]))


def _host(repository: Repository, source: MemorySource) -> Host:
    host = Host(repository, source)
    host.pack_bytes = 6_000
    return host


def _packs(repository: Repository, kind: ChunkKind) -> list[bytes]:
    """The packs with chunks of a kind, largest first."""
    packs = sorted(repository.cache.packs(), key=lambda pack: (-pack[1], pack[0]))
    return [sha256 for sha256, _ in packs if any(row.kind is kind for row in repository.cache.rows(sha256))]


def _repair(repository: Repository, *, reads: bool = False, marks: bool = True) -> tuple[Losses, Marked | None]:
    assert repository.refresh_index() == []
    repair = SnapshotRepair(repository, Silent())
    losses = repair.find(read_catalogue(repository).snapshots, reads=reads)
    return losses, repair.mark(losses) if marks and losses.bad else None


def _records_of(repository: Repository, packs: Sequence[bytes]) -> dict[str, int]:
    """How many records of each stream of the first snapshot lie in these packs, by its pages."""
    inside = {row.id for pack in packs for row in repository.cache.rows(pack)}
    counts: dict[str, int] = {}
    with contextlib.closing(ChunkReader(repository)) as reader:
        contents = Contents(reader, read_catalogue(repository).snapshots[0].manifest)
        for entry in contents.streams():
            counts[entry.name] = sum(ref.records for ref in contents.refs(entry) if ref.id in inside)
    return counts


def _needed_by_all(host: Host) -> set[bytes]:
    """The chunks of records that every snapshot has."""
    with contextlib.closing(ChunkReader(host.repository)) as reader:
        contents = [Contents(reader, snapshot.manifest) for snapshot in host.snapshots()]
        ids = [{ref.id for entry in one.streams() for ref in one.refs(entry)} for one in contents]
    return set.intersection(*ids)


def test_nothing_is_lost(host: Host) -> None:
    losses, marked = _repair(host.repository, reads=True)
    assert (losses.damages, losses.snapshots, marked) == ((), 2, None)


@pytest.mark.parametrize("count", [1, 5])
def test_lost_packs_are_told_by_streams_and_ranges(host: Host, made: Made, count: int) -> None:
    packs = _packs(host.repository, ChunkKind.DATA)[:count]
    expected = _records_of(host.repository, packs)
    for pack in packs:
        made.storage.delete(pack_name(pack))
    # The host that wrote it keeps the bounds of ranges, which may lie in the very pack that is lost.
    with contextlib.closing(made.as_both()) as owner:
        losses, _ = _repair(owner, marks=False)
        first = losses.damages[0]
        assert losses.bad == set(packs)
        told = {stream: sum(x.records for x in first.losses if x.stream == f"app/{stream}") for stream in expected}
        assert told == expected
        assert first.lost_records == sum(expected.values())
        assert {name for loss in first.losses for name in loss.objects} == {pack_name(pack) for pack in packs}
        for loss in first.losses:
            if loss.what == "records":
                assert (loss.first_key, loss.last_key) == (b"%06d" % loss.first, b"%06d" % (loss.end - 1))
    # A new host without the identity knows numbers, and no keys.
    with contextlib.closing(made.as_agent("new")) as agent:
        same, _ = _repair(agent, marks=False)
        assert [(x.stream, x.first, x.records) for x in same.damages[0].losses] == [
            (x.stream, x.first, x.records) for x in first.losses
        ]
        assert all(loss.first_key is None for loss in same.damages[0].losses)


def test_looking_changes_nothing(host: Host, made: Made) -> None:
    made.storage.delete(pack_name(_packs(host.repository, ChunkKind.DATA)[0]))
    _repair(host.repository, marks=False)
    assert list(made.storage.list("distrust/")) == []
    assert host.repository.state.bad_packs() == set()


@pytest.mark.parametrize("harm", ["deleted", "truncated", "flipped"])
@pytest.mark.parametrize("teller", ["owner", "agent"])
def test_the_next_backup_heals_the_older_snapshots_too(host: Host, made: Made, harm: str, teller: str) -> None:
    needed = _needed_by_all(host)
    for pack in _packs(host.repository, ChunkKind.DATA)[:2]:
        name = pack_name(pack)
        data = made.storage.get(name)
        row = next(row for row in host.repository.cache.rows(pack) if row.id in needed)
        if harm == "deleted":
            made.storage.delete(name)
        else:
            made.storage.put(name, data[: len(data) // 2] if harm == "truncated" else flipped(data, row.offset))
    with contextlib.closing(made.as_owner() if teller == "owner" else made.as_agent()) as repository:
        losses, marked = _repair(repository, reads=True)
    assert len(losses.damages) == 2
    assert marked is not None
    assert marked.told is (teller == "owner")
    result = host.backup()
    assert result.new_chunks > 0
    assert result.incremental  # ranges of lost chunks were read, and no more
    assert 0 < result.ranges.read < result.ranges.total / 2
    roots = host.roots()
    with contextlib.closing(made.as_owner("fresh")) as owner:
        healed, _ = _repair(owner, reads=True, marks=False)
        assert {x.what for damage in healed.damages for x in damage.losses} <= {"records", "bounds"}
        left = {id_ for damage in healed.damages for x in damage.losses for id_ in x.chunks}
        # What the first snapshot alone held, before the change, no backup brings back; all else is there again.
        assert left <= {
            id_ for damage in losses.damages for x in damage.losses if not losses.heals(x) for id_ in x.chunks
        }
        assert [one.ok for one in verified(owner, Level.READABLE)][1:] == [True, True]
    host.backup(full=True)
    assert host.roots() == roots


def test_a_pack_that_was_altered_where_nothing_is_needed(host: Host, made: Made) -> None:
    pack = _packs(host.repository, ChunkKind.DATA)[0]
    data = made.storage.get(pack_name(pack))
    made.storage.put(pack_name(pack), flipped(data, len(data) - 20))  # in its directory
    with contextlib.closing(made.as_owner()) as owner:
        assert _repair(owner)[0].bad == set()  # it is there, with its size
        losses, marked = _repair(owner, reads=True)
        assert losses.damages == ()
        assert losses.bad == {pack}
        assert [problem.object for problem in losses.problems] == [pack_name(pack)]
        assert marked is not None
        assert marked.distrust is not None
        assert _repair(owner, reads=True)[0].problems == ()  # every writer knows
    assert host.backup().new_chunks > 0
    with contextlib.closing(made.as_owner("fresh")) as owner:
        assert [one.ok for one in verified(owner, Level.READABLE)][1:] == [True, True]


def test_a_pack_that_is_back_is_whole_again(host: Host, made: Made) -> None:
    pack = _packs(host.repository, ChunkKind.DATA)[0]
    data = made.storage.get(pack_name(pack))
    made.storage.delete(pack_name(pack))
    with contextlib.closing(made.as_owner()) as owner:
        assert _repair(owner)[0].damages
        made.storage.put(pack_name(pack), data)
        assert _repair(owner)[0].damages == ()  # distrusted, and looked at chunk by chunk


@pytest.mark.parametrize("list_of_streams", [False, True])
def test_a_damaged_page_that_nobody_has_verified(host: Host, made: Made, list_of_streams: bool) -> None:
    """It opens nowhere, so that its pack is looked at, told, and marked."""
    newest = host.newest().manifest
    [root] = [entry.root for name, entry in host.streams().items() if name == "s"]
    assert root is not None
    [place] = host.repository.cache.locations(newest.stream_chunks[0][0] if list_of_streams else root.id)
    name = pack_name(place.pack)
    made.storage.put(name, flipped(made.storage.get(name), place.offset + 5))
    with contextlib.closing(made.as_owner()) as owner:
        losses, _ = _repair(owner)
        assert losses.bad == {place.pack}
        assert {name for damage in losses.damages for loss in damage.losses for name in loss.objects} == {name}
    host.backup()
    with contextlib.closing(made.as_owner("fresh")) as owner:
        assert verified(owner, Level.READABLE)[-1].ok


def test_what_a_verification_found_is_told_though_no_snapshot_lacks_it(host: Host, made: Made) -> None:
    """Only level readable tells other hosts; of what intact finds, repair does."""
    pack = _packs(host.repository, ChunkKind.DATA)[0]
    data = made.storage.get(pack_name(pack))
    made.storage.put(pack_name(pack), flipped(data, len(data) - 20))  # in its directory
    with contextlib.closing(made.as_both("looker")) as looker:
        assert not all(one.ok for one in verified(looker, Level.INTACT))
        losses, _ = _repair(looker)
        assert losses.damages == ()
        assert losses.unknown == {pack}
    host.backup()
    with contextlib.closing(made.as_agent("fresh")) as fresh:
        assert [one.ok for one in verified(fresh, Level.INTACT)][1:] == [True, True]


def test_a_pack_that_a_backup_missed_and_that_is_back(host: Host, made: Made) -> None:
    """A host that found it missing counts on it again once it was looked at."""
    pack = _packs(host.repository, ChunkKind.DATA)[0]
    data = made.storage.get(pack_name(pack))
    made.storage.delete(pack_name(pack))
    with pytest.raises(MissingObjectError, match=pack_name(pack)):
        host.backup()
    losses, _ = _repair(host.repository, marks=False)
    assert losses.bad == {pack}
    made.storage.put(pack_name(pack), data)
    losses, _ = _repair(host.repository, marks=False)
    assert losses.damages == ()
    assert losses.sound == {pack}
    SnapshotRepair(host.repository, Silent()).mark(losses)
    assert host.repository.state.bad_packs() == set()
    assert host.backup().new_chunks == 0


def test_lost_pages_come_back_from_the_host_that_wrote_them(host: Host, made: Made) -> None:
    pages = set(_packs(host.repository, ChunkKind.CATALOG))
    lists = {
        place.pack
        for snapshot in host.snapshots()
        for id_, _ in snapshot.manifest.stream_chunks
        for place in host.repository.cache.locations(id_)
    }
    assert pages - lists
    for pack in pages - lists:
        made.storage.delete(pack_name(pack))
    with contextlib.closing(made.as_owner()) as owner:
        losses, _ = _repair(owner, marks=False)
    assert losses.damages
    _, marked = _repair(host.repository)
    assert marked is not None
    assert marked.pages > 0
    with contextlib.closing(made.as_owner("fresh")) as owner:
        assert _repair(owner)[0].damages == ()
        assert all(one.ok for one in verified(owner, Level.READABLE))


def test_a_lost_stream_list_is_told(host: Host, made: Made) -> None:
    newest = host.newest()
    for place in host.repository.cache.locations(newest.manifest.stream_chunks[0][0]):
        made.storage.delete(pack_name(place.pack))
    losses, _ = _repair(host.repository, marks=False)
    assert [loss.what for loss in losses.damages[-1].losses] == ["streams"]
