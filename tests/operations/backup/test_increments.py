"""Increments and rounds over a source in memory: the snapshot is that of a full read, whatever happened meanwhile."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drtool.errors import InstantMovedError, MissingObjectError, SourceError, UnreachableError, WindowPassedError
from drtool.operations.backup.coverage import Coverage, UnjoinedError
from drtool.operations.contents import Contents
from drtool.operations.overlaying import OVERLAY_SINCE
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import pack_name
from drtool.repository.reader import ChunkReader
from drtool.sources.cutting import Chunk, CutRule
from drtool.sources.reading import Consistency, KeyRange, ReadAgainError, StreamInfo
from tests.operations.memory import Host, MemorySource, MemoryView
from tests.repository.builders import Made, make


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """An empty repository."""
    return make(tmp_path)


@pytest.fixture
def host(made: Made) -> Iterator[Host]:
    """A host whose source has two streams of many chunks and an empty one."""
    repository = made.as_agent()
    source = MemorySource()
    chance = random.Random(5)
    for stream in ("a", "b"):
        for _ in range(400):
            source.put(stream, chance.randbytes(4), chance.randbytes(chance.randint(20, 90)))
    source.put("empty", b"x", b"x")
    source.put("empty", b"x", None)
    yield Host(repository, source)
    repository.close()


def _same_as_full(host: Host) -> None:
    """A full read at the same instant has the same trees."""
    incremental = host.roots()
    host.source.window = lambda view: None
    full = host.backup(full=True)
    assert full.full_because == "asked for (--full)"
    assert full.ranges.read == full.ranges.total
    assert host.roots() == incremental


def test_nothing_changed(host: Host) -> None:
    first = host.backup()
    assert (first.full_because, first.incremental) == ("first snapshot of the job", False)
    assert first.ranges.read == first.ranges.total > 50
    read = host.source.chunks_read
    second = host.backup()
    assert second.incremental
    assert (second.ranges.total, second.ranges.read, second.ranges.checked) == (first.ranges.total, 0, 0)
    assert (second.bytes, second.read_bytes, second.new_chunks) == (first.bytes, 0, 0)
    assert host.source.chunks_read == read
    assert host.newest().manifest.base == first.snapshot
    _same_as_full(host)


def test_only_what_changed_is_read(host: Host) -> None:
    first = host.backup()
    key = sorted(host.source.held["a"])[200]
    host.source.put("a", key, b"changed")
    host.source.put("empty", b"y", b"was empty")
    second = host.backup()
    assert second.incremental
    assert 0 < second.ranges.read <= 6
    assert 0 < second.read_bytes < first.read_bytes / 10
    _same_as_full(host)


def test_before_the_first_and_after_the_last_key(host: Host) -> None:
    host.backup()
    host.source.put("a", b"", b"first of all")
    host.source.put("a", b"\xff" * 6, b"last of all")
    assert host.backup().incremental
    _same_as_full(host)


def test_everything_deleted(host: Host) -> None:
    host.backup()
    for key in list(host.source.held["a"]):
        host.source.put("a", key, None)
    host.backup()
    assert host.roots()["a"] is None
    _same_as_full(host)


def test_streams_come_go_and_are_renamed(host: Host) -> None:
    first = host.backup()
    host.source.rename_stream("a", "z")
    del host.source.held["b"]
    host.source.put("new", b"1", b"1")
    second = host.backup()
    assert sorted(host.roots()) == ["empty", "new", "z"]
    assert second.ranges.read == 1
    assert second.ranges.total < first.ranges.total
    _same_as_full(host)


def test_a_renamed_stream_in_the_place_of_another(host: Host) -> None:
    host.backup()
    host.source.rename_stream("a", "old")
    host.source.identities["a"] = "another"
    for number in range(100):
        host.source.put("a", b"%d" % number, b"x" * 50)
    host.backup()
    _same_as_full(host)


def test_a_chain_of_increments(host: Host) -> None:
    chance = random.Random(11)
    host.backup()
    for _ in range(4):
        for key in chance.sample(sorted(host.source.held["b"]), 5):
            host.source.put("b", key, chance.randbytes(60))
        assert host.backup(check=1).incremental
    assert host.newest().manifest.sources[0].increments == 4
    _same_as_full(host)
    assert host.newest().manifest.sources[0].increments == 0


def test_every_nth_run_is_full(host: Host) -> None:
    reasons = [host.backup(full_every=3).full_because for _ in range(7)]
    third = "every 3rd run"
    assert reasons == ["first snapshot of the job", "", "", third, "", "", third]


@pytest.mark.parametrize(
    ("spoil", "because"),
    [
        ("source cannot tell", "it cannot tell"),
        ("fuzzy", "not exact but fuzzy"),
        ("other host", "another host took the last snapshot"),
        ("lost state", "does not know"),
    ],
)
def test_what_makes_a_full_read(host: Host, made: Made, spoil: str, because: str) -> None:
    if spoil == "fuzzy":
        host.source.consistency = Consistency.FUZZY
    if spoil == "other host":
        other = Host(made.as_agent("host2", made.enrol("host2")), host.source)
        other.backup()
        other.repository.close()
        host.repository.close()
        host.repository = made.as_agent()
    else:
        host.backup()
    if spoil == "source cannot tell":
        host.source.full_because = "it cannot tell"
    if spoil == "lost state":
        host.repository.close()
        host.repository = made.as_agent("host1-again")
    result = host.backup()
    assert not result.incremental
    assert because in result.full_because
    assert result.ranges.read == result.ranges.total
    assert host.newest().manifest.base is None
    if spoil in ("lost state", "other host"):
        assert host.backup().incremental
    host.repository.close()


def test_pages_of_old_snapshots_are_forgotten(host: Host) -> None:
    chance = random.Random(3)

    def rows() -> int:
        return int(host.repository.state._connection.execute("SELECT count(*) FROM kept_pages").fetchone()[0])

    host.backup()
    once = rows()
    for _ in range(8):
        for key in chance.sample(sorted(host.source.held["a"]), 40):
            host.source.put("a", key, chance.randbytes(60))
        host.backup()
    assert rows() <= 4 * once


def _reads_back(host: Host, made: Made) -> None:
    """The newest snapshot is what the source holds."""
    with contextlib.closing(made.as_owner()) as owner:
        owner.refresh_index()
        for stream, records in host.source.held.items():
            assert host.data(owner, stream) == b"".join(records[key] for key in sorted(records))


def _chunks(host: Host) -> set[bytes]:
    """The ids of the newest snapshot's chunks of records."""
    with contextlib.closing(ChunkReader(host.repository)) as reader:
        contents = Contents(reader, host.newest().manifest)
        return {ref.id for entry in contents.streams() for ref in contents.refs(entry)}


# --- packs --------------------------------------------------------------------------------------


def test_a_missing_pack_is_noticed_and_stored_anew(host: Host, made: Made) -> None:
    first = host.backup()
    data = {place.pack for id_ in _chunks(host) for place in host.repository.cache.locations(id_)}
    for pack in data:
        made.storage.delete(pack_name(pack))
    host.source.put("a", b"1", b"1")
    with pytest.raises(MissingObjectError, match="was not committed"):
        host.backup()
    assert [snapshot.id for snapshot in host.snapshots()] == [first.snapshot]
    again = host.backup()
    assert "may not rely on" in again.full_because
    assert again.new_chunks >= again.chunks - 5  # but what the run that failed had stored
    assert host.backup().incremental


def test_chunks_that_lie_in_two_missing_packs(host: Host, made: Made) -> None:
    host.pack_bytes = 10_000
    host.backup()
    before = host.repository.state.relied("nightly", host.newest().id) or {}
    host.repository.state.note_bad_packs(before, [])
    last = host.backup()
    host.repository.state.note_bad_packs([], before)
    cache = host.repository.cache
    packs = {place.pack for id_ in _chunks(host) for place in cache.locations(id_)}
    assert all(len(cache.locations(id_)) == 2 for id_ in _chunks(host))
    # Not those that a run finds its definitions and pages in, which it needs itself.
    records_only = [pack for pack in packs if {row.kind for row in cache.rows(pack)} == {ChunkKind.DATA}]
    assert len(records_only) >= 4
    for pack in records_only:
        made.storage.delete(pack_name(pack))
    host.source.put("a", b"1", b"1")
    with pytest.raises(MissingObjectError, match="was not committed"):
        host.backup()
    assert host.newest().id == last.snapshot
    assert host.backup().read_bytes > 0
    _reads_back(host, made)


def test_a_missing_pack_that_nothing_needs_is_no_matter(host: Host, made: Made) -> None:
    host.backup()
    first = host.streams()
    old = {info.name for info in made.storage.list("packs/")}
    for stream in ("a", "b"):
        for key in list(host.source.held[stream]):
            host.source.put(stream, key, b"other" + key)
    host.source.put("c", b"c", b"stays")
    host.backup()
    host.source.put("c", b"d", b"comes")
    with_definitions = {first[name].definition for name in first}
    needed = {pack_name(place.pack) for id_ in with_definitions for place in host.repository.cache.locations(id_)}
    for name in old - needed:
        made.storage.delete(name)
    host.backup(full=True)
    assert host.backup().incremental


def test_a_pack_that_this_host_found_bad_is_not_relied_on(host: Host) -> None:
    host.backup()
    [*packs] = host.repository.state.relied("nightly", host.newest().id) or {}
    host.repository.state.note_bad_packs(packs[:1], [])
    result = host.backup()
    assert result.incremental or "may not rely on" in result.full_because  # ranges of what lies there are read again
    assert result.new_chunks > 0 or result.stored_bytes > 0
    assert host.backup().incremental
    host.repository.state.note_bad_packs([], packs)
    assert host.repository.state.bad_packs() == set()


# --- rounds -------------------------------------------------------------------------------------


def test_what_was_read_before_the_window_passed_is_kept(host: Host) -> None:
    host.source.window = lambda view: 20
    result = host.backup()
    assert result.consistency is Consistency.EXACT
    assert host.source.views > 4
    # Of each part the last chunk is read again, and parts run on into what others read.
    assert host.source.chunks_read < 2 * result.chunks
    _same_as_full(host)


def test_rounds_follow_what_changes_meanwhile(host: Host) -> None:
    chance = random.Random(2)

    def write() -> None:
        for stream in ("a", "b"):
            host.source.put(stream, chance.choice(sorted(host.source.held[stream])), chance.randbytes(50))
            host.source.put(stream, chance.randbytes(4), chance.randbytes(50))
            host.source.put(stream, chance.choice(sorted(host.source.held[stream])), None)

    host.source.window = lambda view: 30
    host.source.meanwhile = write
    result = host.backup()
    assert result.consistency is Consistency.EXACT
    assert host.source.views > 3
    assert all(since < now for since, now in host.source.asked)
    _same_as_full(host)


def test_an_empty_stream_that_fills_up_between_rounds(host: Host) -> None:
    host.source.window = lambda view: 5 if view == 1 else None
    host.source.meanwhile = lambda: host.source.put("empty", b"k", b"now there is something")
    host.backup()
    assert host.roots()["empty"] is not None
    _same_as_full(host)


def test_records_that_lie_astray_are_in_the_snapshot(host: Host) -> None:
    """What was read of the other parts of their stream is not relied on, though it was complete by all signs."""
    keys = sorted(host.source.held["a"])
    host.source.astray = {"a": {keys[1], keys[len(keys) // 2]}, "b": set()}
    result = host.backup()
    assert (result.records, host.source.views) == (sum(map(len, host.source.held.values())), 1)
    _same_as_full(host)


def test_a_stream_may_have_to_be_read_again_twice(host: Host) -> None:
    keys = sorted(host.source.held["a"])
    host.source.astray = {"a": {keys[1], keys[len(keys) // 2]}}
    read, times = MemoryView.chunks, [2]

    def chunks(view: MemoryView, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        yield from read(view, stream, part, rule)
        if part.together and part.upper is None and times:
            times.pop()
            raise ReadAgainError(stream.name)

    with mock.patch.object(MemoryView, "chunks", chunks):
        result = host.backup()
    assert not times
    assert (result.records, host.source.views) == (sum(map(len, host.source.held.values())), 1)
    _same_as_full(host)


@pytest.mark.parametrize("window", [1, 4, 9, 20, 40])
def test_nothing_of_what_holds_together_is_kept_when_the_window_passes(host: Host, window: int) -> None:
    keys = sorted(host.source.held["a"])
    host.source.astray = {"a": {keys[1], keys[len(keys) // 2]}}
    host.source.window = lambda view: window if view == 1 else None
    result = host.backup()
    assert result.records == sum(map(len, host.source.held.values()))
    assert host.source.views == 2
    _same_as_full(host)


def test_drops_and_renames_are_bounded(host: Host) -> None:
    host.source.error = InstantMovedError
    host.source.window = lambda view: 10
    with pytest.raises(InstantMovedError):
        host.backup()
    assert host.source.views == 4
    assert host.snapshots() == ()


def test_a_window_too_short_for_two_chunks_is_an_error(host: Host) -> None:
    host.source.window = lambda view: 1
    with pytest.raises(WindowPassedError):
        host.backup()
    assert host.source.views < 6


def test_a_source_that_cannot_tell_starts_over_and_gives_up(host: Host) -> None:
    host.source.full_because = "it cannot tell"
    host.source.window = lambda view: 30
    with pytest.raises(WindowPassedError):
        host.backup()


def test_changes_faster_than_reading_make_an_overlay(host: Host, made: Made) -> None:
    def write() -> None:
        for key in sorted(host.source.held["a"])[::4]:
            host.source.put("a", key, b"%d" % host.source.views * 30)

    host.source.window = lambda view: 30
    host.source.meanwhile = write
    result = host.backup()
    assert result.consistency is Consistency.OVERLAY
    manifest = host.newest().manifest
    assert manifest.requires == ("overlay",)
    [origin] = manifest.sources
    assert origin.consistency == Consistency.OVERLAY
    assert origin.point[OVERLAY_SINCE]["cluster_time"] < origin.point["cluster_time"]
    assert any("faster" in warning for warning in host.told.warnings)
    streams = host.streams()
    assert {name: entry.consistency for name, entry in streams.items()} == {
        "$oplog": "overlay", "a": "overlay", "b": "exact", "empty": "exact",
    }  # fmt: skip
    assert streams["a"].proof == "tolerant"
    # Replaying the overlay gives the state of the last view.
    reader = made.as_both("reader")
    reader.refresh_index()
    replayed = host.data(reader, "a")
    assert host.data(reader, "$oplog").count(b"id-a") > 0
    assert streams["a"].records == len(host.source.held["a"])
    assert len(replayed) > 0
    reader.close()
    assert "not exact but overlay" in host.backup(full=False).full_because


def test_where_the_overlaid_streams_settle_the_snapshot_is_exact(host: Host) -> None:
    host.source.window = lambda view: 30

    def write() -> None:
        # In both streams, for which of them a round comes to read is anybody's guess.
        for stream in ("a", "b") if host.source.views < 3 else ():
            for key in sorted(host.source.held[stream])[::2]:
                host.source.put(stream, key, b"%d" % host.source.views * 60)

    host.source.meanwhile = write
    assert host.backup().consistency is Consistency.EXACT
    assert any("faster" in warning for warning in host.told.warnings)
    _same_as_full(host)


# --- the check ----------------------------------------------------------------------------------


def test_a_share_of_the_unchanged_is_read(host: Host) -> None:
    first = host.backup()
    half = host.backup(check=0.5)
    assert half.ranges.checked == round(first.ranges.total / 2)
    assert half.read_bytes > first.bytes / 4
    least = host.backup(check=0.0001)
    assert (least.ranges.checked, least.incremental) == (1, True)


def test_a_check_that_the_window_cuts_short(host: Host) -> None:
    """The snapshot needs no more of the instant; what was checked counts."""
    total = host.backup().ranges.total
    host.source.window = lambda view: 6
    found = host.backup(check=1)
    assert found.incremental
    assert 0 < found.ranges.checked <= 6 < total
    assert any(f"of {total} ranges were checked" in warning for warning in host.told.warnings)


def test_a_change_that_the_source_did_not_tell(host: Host) -> None:
    first = host.backup()
    second, third = host.backup(), host.backup()
    key = sorted(host.source.held["b"])[100]
    host.source.put("b", key, b"past the log", logged=False)
    found = host.backup(check=1)
    assert not found.incremental
    assert found.full_because == "the source did not tell of a change in b"
    assert (found.missed, found.suspects) == (("b",), (second.snapshot, third.snapshot))
    assert found.ranges.read == found.ranges.total
    assert any("did not tell" in warning for warning in host.told.warnings)
    manifest = host.newest().manifest
    assert manifest.suspects == ((2, 3),)
    _same_as_full(host)
    after = host.backup()
    assert after.incremental
    # Every later snapshot carries it on: the one that found it may be removed before those that it is about.
    assert host.newest().manifest.suspects == ((2, 3),)
    assert after.suspects == ()
    from drtool.repository.chain import read_catalogue

    catalogue = read_catalogue(host.repository)
    assert catalogue.suspects() == {second.snapshot, third.snapshot}
    assert first.snapshot not in catalogue.suspects()


def _vanish() -> None:
    raise UnreachableError("the server is gone")


def test_a_run_that_fails_after_it_found_a_change_leaves_it_to_the_next(host: Host, made: Made) -> None:
    host.backup()
    second = host.backup()
    key = sorted(host.source.held["b"])[100]
    host.source.put("b", key, b"past the log", logged=False)
    host.source.meanwhile = _vanish
    for check in (1.0, 0.0):
        noticing = host.source.views + (check == 1.0)
        host.source.window = lambda view, noticing=noticing: 3 if view > noticing else None
        with pytest.raises(UnreachableError):
            host.backup(check=check)
        host.repository.close()
        host.repository = made.as_agent()
    host.source.window = lambda view: None
    found = host.backup()
    assert found.full_because == "the source did not tell of a change in b, as an earlier run found"
    assert (found.missed, found.suspects) == (("b",), (second.snapshot,))
    assert host.newest().manifest.suspects == ((2, 2),)
    _reads_back(host, made)
    after = host.backup()
    assert (after.incremental, after.missed, after.suspects) == (True, (), ())
    assert host.newest().manifest.suspects == ((2, 2),)


def test_a_change_not_told_of_beside_one_that_was(host: Host, made: Made) -> None:
    host.backup()
    second = host.backup()
    # What is read again reads on into chunks of which it is not known that records are gone.
    for number, key in enumerate(sorted(host.source.held["b"])):
        if number % 10 == 0 or number % 2:
            host.source.put("b", key, None, logged=number % 10 == 0)
    found = host.backup()
    assert found.full_because == "the source did not tell of a change in b"
    assert (found.missed, found.suspects) == (("b",), (second.snapshot,))
    _reads_back(host, made)


def test_parts_that_never_join_are_an_error(host: Host) -> None:
    with (
        mock.patch.object(Coverage, "fill", side_effect=UnjoinedError),
        pytest.raises(SourceError, match="do not join"),
    ):
        host.backup()
    assert host.source.views == 5
    assert host.snapshots() == ()


# --- the law ------------------------------------------------------------------------------------

_operation = st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 300), st.none() | st.integers(1, 700))


@pytest.mark.heavy
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(_operation, max_size=25), min_size=2, max_size=4),
    meanwhile=st.lists(st.lists(_operation, max_size=6), max_size=6),
    window=st.integers(8, 60),
)
def test_an_increment_is_a_full_read(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[str, int, int | None]]],
    meanwhile: list[list[tuple[str, int, int | None]]],
    window: int,
) -> None:
    made = make(tmp_path_factory.mktemp("law"))
    source = MemorySource()
    host = Host(made.as_agent(), source)
    for number in range(0, 300, 2):
        source.put("a", number.to_bytes(4), bytes([number % 256]) * 60)

    def write(operations: list[tuple[str, int, int | None]]) -> None:
        for stream, key, size in operations:
            source.put(stream, key.to_bytes(4), None if size is None else random.Random(size).randbytes(size))

    pending = iter(meanwhile)
    source.meanwhile = lambda: write(next(pending, []))
    for batch in batches:
        write(batch)
        source.window = lambda view: window if view % 4 else None
        host.backup(check=0.2)
    assert host.newest().manifest.consistency == Consistency.EXACT
    if host.newest().manifest.sources[0].point["cluster_time"][0] != len(source.history):
        source.window = lambda view: None  # more was written while the check was cut short
        host.backup(check=0.2)
    _same_as_full(host)
    host.repository.close()
