"""One recovery point of several sources: frozen together, read one by one, committed whole or not at all."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import (
    AuthenticationError,
    ConfigError,
    InstantMovedError,
    PartialError,
    SourceError,
    StorageError,
    UnreachableError,
    WindowPassedError,
)
from drtool.operations.backup.freezing import Frozen, distance, freeze_together
from drtool.repository.chain import read_catalogue
from drtool.repository.presence import alive
from drtool.repository.runs import RUNS
from drtool.repository.sealed import Kind
from drtool.repository.wire import decode_json
from tests.operations.lines import LinesSource
from tests.operations.memory import Host, MemorySource
from tests.repository.builders import Made, make


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """An empty repository."""
    return make(tmp_path)


def _memory(name: str, seed: int) -> MemorySource:
    chance = random.Random(seed)
    source = MemorySource(name)
    for number in range(120):
        source.put("stream", b"%04d" % number, chance.randbytes(60))
    return source


@pytest.fixture
def host(made: Made) -> Iterator[Host]:
    """A host with three sources."""
    repository = made.as_agent()
    yield Host(repository, _memory("one", 1), _memory("two", 2), _memory("three", 3))
    repository.close()


def _run_states(host: Host) -> list[str]:
    repository = host.repository
    names = [info.name for info in repository.storage.list(RUNS)]
    return [decode_json(repository.open_object(Kind.RUN, name).payload, name)["state"] for name in sorted(names)]


def test_one_snapshot_of_all(host: Host) -> None:
    result = host.backup()
    manifest = host.newest().manifest
    assert [source.name for source in manifest.sources] == ["one", "two", "three"]
    assert (result.streams, result.records) == (3, 360)
    # The instants that these sources tell are of years before: by this host's clock they lie within the freezing.
    assert result.distance is not None
    assert result.distance == manifest.distance
    assert 0 <= result.distance < 3600
    assert not alive(host.repository)


def test_why_all_was_read_of_each(host: Host) -> None:
    assert host.backup().full_because == "first snapshot of the job"
    host.others[0].full_because = "it forgot"
    for source in (host.source, host.others[1]):
        source.put("stream", b"0000", b"else")
    assert host.backup().full_because == "", "two of three can tell"
    for source in (host.source, host.others[1]):
        source.full_because = "it lost its log"
    assert host.backup().full_because == "one: it lost its log; two: it forgot; three: it lost its log"


def test_one_source_has_no_distance(made: Made) -> None:
    repository = made.as_agent()
    host = Host(repository, _memory("one", 1))
    assert host.backup().distance is None
    assert host.newest().manifest.distance is None
    assert b"distance" not in host.newest().manifest.encode()
    repository.close()


@pytest.mark.parametrize("when", ["probe", "prepare", "freeze", "read", "settle"])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_source_that_fails_keeps_the_snapshot_back_and_no_upload(host: Host, when: str, which: int) -> None:
    sources = [host.source, *host.others]
    broken = sources[which]
    broken.failing = {when: UnreachableError("it is gone", hint="Start it.")}
    with pytest.raises(PartialError) as caught:
        host.backup()
    assert caught.value.message == f"nightly: no snapshot was taken, because source {broken.name}: it is gone"
    assert caught.value.hint.startswith("Start it. ")
    assert {name: error.kind for name, error in caught.value.causes.items()} == {broken.name: "unreachable"}
    assert any(warning.startswith(f"{broken.name} cannot be read") for warning in host.told.warnings)
    assert not host.snapshots()
    assert _run_states(host) == ["failed"]
    assert all(source.chunks_read > 5 for source in sources if source is not broken)
    broken.failing = {}
    again = host.backup()
    # What the others hold was stored by the run that failed.
    each = sum(map(len, broken.held["stream"].values()))
    own = each if when != "settle" else 0
    assert own <= again.new_bytes < own + each
    assert len(host.snapshots()) == 1


def test_what_is_wrong_with_the_settings_of_one_source(host: Host) -> None:
    host.others[0].failing = {"probe": ConfigError("read_uri is of another set")}
    with pytest.raises(PartialError, match="source two: read_uri is of another set"):
        host.backup()
    assert host.source.chunks_read
    assert host.others[1].chunks_read


def test_several_that_fail_are_all_named(host: Host) -> None:
    host.source.failing = {"freeze": UnreachableError("it is gone")}
    host.others[1].failing = {"read": AuthenticationError("it lets nobody in")}
    with pytest.raises(PartialError) as caught:
        host.backup()
    assert caught.value.message.endswith("because sources one: it is gone; three: it lets nobody in")
    assert list(caught.value.causes) == ["one", "three"]


def test_where_all_fail_nothing_is_partial(host: Host) -> None:
    for source in (host.source, *host.others):
        source.failing = {"probe": UnreachableError("it is gone", hint="Start it.")}
    with pytest.raises(SourceError, match="none of its sources") as caught:
        host.backup()
    assert all(name in caught.value.message for name in ("one", "two", "three"))
    assert caught.value.hint == "Start it."


def test_the_only_source_of_a_job_fails_as_itself(made: Made) -> None:
    repository = made.as_agent()
    host = Host(repository, _memory("one", 1))
    host.source.failing = {"read": AuthenticationError("it lets nobody in")}
    with pytest.raises(AuthenticationError):
        host.backup()
    repository.close()


def test_an_error_of_the_store_is_no_source_s(host: Host) -> None:
    host.others[0].failing = {"read": StorageError("no more")}
    with pytest.raises(StorageError, match="no more"):
        host.backup()
    assert not host.snapshots()


def test_the_next_run_goes_on_from_the_last_snapshot(host: Host) -> None:
    host.backup()
    host.others[0].failing = {"freeze": UnreachableError("it is gone")}
    with pytest.raises(PartialError):
        host.backup()
    host.others[0].failing = {}
    host.source.put("stream", b"0001", b"another")
    result = host.backup()
    assert result.incremental
    assert 0 < result.ranges.read < result.ranges.total / 3
    manifest = host.newest().manifest
    assert [source.increments for source in manifest.sources] == [1, 1, 1]
    assert manifest.number == 2


def test_an_instant_that_moves_is_fixed_again_for_all(host: Host) -> None:
    moving = host.others[1]
    moving.window = lambda view: 5 if view == 1 else None
    moving.error = WindowPassedError
    host.backup()
    manifest = host.newest().manifest
    assert [source.views for source in (host.source, *host.others)] == [2, 2, 2]
    assert len({source.instant for source in manifest.sources}) == 1, "each is of its second view"


def test_what_follows_its_source_catches_up_alone(host: Host) -> None:
    """The others get their instants once at first and once at last, however many rounds it takes."""
    moving = host.others[1]
    moving.follows = True
    moving.window = lambda view: 4 if view <= 3 else None
    host.backup()
    assert moving.views == 5, "three that passed, one that was whole, one with the others"
    assert [host.source.views, host.others[0].views] == [2, 2]
    manifest = host.newest().manifest
    assert [source.instant[17:19] for source in manifest.sources] == ["02", "02", "05"]


def test_what_fails_while_it_catches_up_keeps_no_other_from_being_read(host: Host) -> None:
    moving = host.others[1]
    moving.follows = True
    moving.window = lambda view: 4 if view == 1 else None
    moving.meanwhile = lambda: moving.failing.update(settle=UnreachableError("it is gone"))
    with pytest.raises(PartialError, match="source three: it is gone"):
        host.backup()
    assert all(source.chunks_read > 5 for source in (host.source, host.others[0]))


def test_the_only_source_needs_no_round_more(made: Made) -> None:
    repository = made.as_agent()
    source = _memory("one", 1)
    source.follows = True
    source.window = lambda view: 4 if view == 1 else None
    Host(repository, source).backup()
    assert source.views == 2
    repository.close()


def test_a_freeze_that_moves_too_often_is_the_source_s_failure(host: Host) -> None:
    host.others[0].failing = {"freeze": InstantMovedError("it does not stand still")}
    with pytest.raises(PartialError, match="two: it does not stand still"):
        host.backup()


def test_sources_are_frozen_at_the_same_time(made: Made) -> None:
    """None could be frozen before the others have begun."""
    together = threading.Barrier(3, timeout=60)

    def wait() -> None:
        together.wait()

    sources = [LinesSource(name, freezes=wait).put("s", {"id": 1}) for name in "abc"]
    repository = made.as_agent()
    assert Host(repository, *sources).backup().records == 3
    repository.close()


def test_a_freeze_that_breaks_leaves_no_view_open() -> None:
    closed = []

    class Prepared:
        def __init__(self, error: Exception | None) -> None:
            self.error = error

        def freeze(self) -> Prepared:
            if self.error:
                raise self.error
            return self

        def close(self) -> None:
            closed.append(self)

    whole, broken = Prepared(None), Prepared(KeyError("a bug"))
    with pytest.raises(KeyError):
        freeze_together([whole, broken])  # type: ignore[list-item]
    assert closed == [whole]


_TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@given(st.lists(st.tuples(_TIMES, _TIMES, st.timedeltas(timedelta(0), timedelta(minutes=1))), min_size=1, max_size=5))
def test_distances(calls: list[tuple[datetime, datetime, timedelta]]) -> None:
    class View:
        def __init__(self, instant: datetime) -> None:
            self.instant = instant

    frozen = [Frozen(View(told), began, began + took) for told, began, took in calls]  # type: ignore[arg-type]
    for one in frozen:
        assert one.began <= one.instant <= one.ended
        if one.began <= one.view.instant <= one.ended:
            assert one.instant == one.view.instant
    found = distance(frozen)
    if len(frozen) == 1:
        assert found is None
        return
    assert found is not None
    gaps = [abs((one.instant - two.instant).total_seconds()) for one in frozen for two in frozen]
    assert found == pytest.approx(max(gaps))


def test_each_source_remembers_in_a_place_of_its_own(host: Host) -> None:
    host.backup()
    places = [source.memory for source in (host.source, *host.others)]
    root = host.repository.state.path.parent / "sources" / "nightly"
    assert places == [root / "one", root / "two", root / "three"]
    for place in places:
        assert place is not None
        assert place.stat().st_mode & 0o777 == 0o700
    assert read_catalogue(host.repository).problems == ()
