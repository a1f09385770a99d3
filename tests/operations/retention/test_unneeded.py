"""Which of the archived log goes with snapshots: what nothing leads into any more, and nothing that is in doubt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from drtool.config.jobs import Job
from drtool.operations.retention.planning import Obstacle, make_plan
from drtool.operations.retention.unneeded import unneeded_segments
from drtool.repository.archive import read_archive
from drtool.repository.chain import Snapshot, read_catalogue
from drtool.repository.manifests import SourceEntry
from tests.operations.retention.history import History
from tests.repository.builders import Made, commit
from tests.repository.test_segments import OTHER, put_chain, spans

NEWEST = {"last": 1}


def _source(point: Mapping[str, Any], name: str = "app") -> SourceEntry:
    now = datetime.now(UTC).isoformat()
    return SourceEntry(name, "mongodb", "6.0.5", "replica-set", "", now, "exact", point, ())


def _since(second: int, increment: int = 1) -> SourceEntry:
    return _source({"cluster_time": [second + 5, 1], "replay_from": [second, increment], "term": 1})


def _unneeded(made: Made, *kept: SourceEntry) -> list[tuple[int, int]]:
    agent = made.as_agent()
    snapshots = [commit(agent, sources=(source,)) for source in kept]
    found = unneeded_segments(agent, {"app"}, snapshots, {})
    agent.close()
    return [(one.segment.start.at[0], one.segment.end.at[0]) for one in found]


def test_what_ends_before_every_replay_begins(made: Made) -> None:
    put_chain(made.as_agent(), [10, 20, 30, 40, 50])
    assert _unneeded(made, _since(35), _since(45)) == [(10, 20), (20, 30)]


def test_the_segment_that_ends_where_a_replay_begins_is_needed(made: Made) -> None:
    """Its last entry may be the first of a transaction."""
    put_chain(made.as_agent(), [10, 20, 30, 40])
    assert _unneeded(made, _since(30, 1)) == [(10, 20)]
    assert _unneeded(made, _since(30, 2)) == [(10, 20), (20, 30)]


def test_an_overlay_needs_more(made: Made) -> None:
    put_chain(made.as_agent(), [10, 20, 30, 40, 50])
    point = {"replay_from": [45, 1], "overlay_since": {"replay_from": [25, 1]}}
    assert _unneeded(made, _source(point)) == [(10, 20)]


def test_the_newest_of_each_timeline_stays(made: Made) -> None:
    agent = made.as_agent()
    put_chain(agent, [10, 20, 30])
    put_chain(agent, [12, 22, 32], timeline=OTHER)
    assert _unneeded(made, _since(1000)) == [(10, 20), (12, 22)]


def test_what_is_in_doubt_stays(made: Made) -> None:
    names = [one.name for one in put_chain(made.as_agent(), [10, 20, 30, 40])]
    assert _unneeded(made, _source({})) == []
    assert _unneeded(made, _source({"replay_from": "garbage"})) == []
    assert _unneeded(made, _source({"replay_from": [99, 1]}, "another")) == []
    made.storage.put(names[0], b"cannot be read")
    made.storage.put(f"oplog/{names[1].split('/')[1]}/notes", b"no segment")
    assert _unneeded(made, _since(35)) == [(20, 30)]


def test_removed_with_the_snapshots_that_led_into_them(history: History) -> None:
    agent = history.opened("host1")
    last = datetime.fromisoformat(history.snapshots[-1].manifest.created)
    for minutes, second in ((10, 25), (20, 45)):
        history.take(last + timedelta(minutes=minutes), sources=(_since(second),))
    put_chain(agent, [10, 20, 30, 40, 50, 60])
    kept_both = history.plan({"last": 2})
    assert [one.segment.end.at[0] for one in kept_both.removal.segments] == [20]
    applied = history.apply(NEWEST)
    assert len(applied.plan.removal.segments) == 3
    archive = read_archive(history.opened("a reader"), "app")
    assert archive.problems == ()
    [timeline] = archive.timelines
    assert spans(timeline.stretches) == [(40, 60)]
    history.left()
    assert not history.plan(NEWEST).removal


def test_the_log_of_a_source_without_a_policy_stays(history: History) -> None:
    agent = history.opened("host1")
    put_chain(agent, [10, 20, 30, 40])
    commit(agent, sources=(_since(35),), job="another")
    assert not unneeded_segments(agent, set(), read_catalogue(agent).snapshots, {})
    nothing = make_plan(agent, {"another": Job.model_validate({"sources": ["app"]})})
    assert not nothing.removal
    ruled = make_plan(agent, {"another": Job.model_validate({"sources": ["app"], "retention": NEWEST})})
    assert len(ruled.removal.segments) == 2
    assert not make_plan(agent, {"nightly": Job.model_validate({"sources": ["app"]})}, "nightly").removal


def test_nothing_of_the_log_goes_while_a_manifest_cannot_be_read(history: History) -> None:
    put_chain(history.opened("host1"), [10, 20, 30, 40, 50])
    history.take(datetime.now(UTC), sources=(_since(45),))
    assert history.plan(NEWEST).removal.segments
    history.made.storage.put(history.snapshots[0].manifest.name, b"damaged")
    assert not history.plan(NEWEST, despite={Obstacle.DAMAGE}).removal.segments


def _at(days: int, second: int, **more: Any) -> SourceEntry:
    """A snapshot of so many days ago that is replayed from this second."""
    instant = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    return replace(_source({"replay_from": [second, 1], **more}), instant=instant)


def test_before_the_window_nothing_is_needed(made: Made) -> None:
    agent = made.as_agent()
    put_chain(agent, [10, 20, 30, 40, 50, 60])
    snapshots = [commit(agent, sources=(_at(*one),)) for one in ((400, 12), (35, 32), (20, 42), (1, 52))]
    window = datetime.now(UTC) - timedelta(days=30)

    def ends(windows: dict[str, datetime]) -> list[int]:
        return [one.segment.end.at[0] for one in unneeded_segments(agent, {"app"}, snapshots, windows)]

    assert ends({}) == []
    assert ends({"app": window}) == [20, 30], "any moment of the window is reached from the snapshot before it"
    assert ends({"app": datetime.now(UTC) - timedelta(days=900)}) == []
    assert ends({"app": datetime.now(UTC)}) == [20, 30, 40, 50]
    agent.close()


def test_no_window_rests_on_a_snapshot_in_doubt(made: Made) -> None:
    """Nor on one that is whole only later than the window begins."""
    agent = made.as_agent()
    put_chain(agent, [10, 20, 30, 40, 50, 60])
    sources = [_at(400, 22), _at(100, 32), _at(10, 52)]
    snapshots = [commit(agent, sources=(source,)) for source in sources]
    window = datetime.now(UTC) - timedelta(days=50)

    def ends(kept: list[Snapshot], doubtful: Collection[str] = ()) -> list[int]:
        found = unneeded_segments(agent, {"app"}, kept, {"app": window}, doubtful)
        return [one.segment.end.at[0] for one in found]

    assert ends(snapshots) == [20, 30]
    assert ends(snapshots, {snapshots[1].id}) == [20]
    assert ends(snapshots, {one.id for one in snapshots}) == [20], "then it is all of the log that leads anywhere"
    late = commit(agent, sources=(_at(100, 32, read_until=[round(window.timestamp()) + 60, 1]),))
    assert ends([snapshots[0], late, snapshots[2]]) == [20]
    agent.close()


def test_the_log_stays_while_a_snapshot_is_missing(history: History) -> None:
    """It may be found again, and lead into it."""
    last = datetime.fromisoformat(history.snapshots[-1].manifest.created)
    first, _ = (
        history.take(last + timedelta(minutes=minutes), sources=(_since(second),))
        for minutes, second in ((10, 25), (20, 45))
    )
    put_chain(history.opened("host1"), [10, 20, 30, 40, 50, 60])
    history.made.storage.delete(first.manifest.name)
    assert not history.plan({"last": -1}).removal


def test_what_an_old_snapshot_needs_to_be_whole_stays(made: Made) -> None:
    agent = made.as_agent()
    put_chain(agent, [10, 20, 30, 40, 50, 60])
    snapshots = [commit(agent, sources=(_at(400, 22, read_until=[35, 1]),)), commit(agent, sources=(_at(35, 52),))]
    found = unneeded_segments(agent, {"app"}, snapshots, {"app": datetime.now(UTC) - timedelta(days=30)})
    assert [one.segment.end.at[0] for one in found] == [20, 50]
    agent.close()


def test_the_longest_window_of_a_sources_jobs_counts(history: History) -> None:
    agent = history.opened("host1")
    put_chain(agent, [10, 20, 30, 40, 50, 60])
    now = datetime.now(UTC)
    for days, second in ((5, 12), (3, 32), (0, 52)):
        history.take(now - timedelta(days=days), sources=(_at(days, second),), job="hourly")
    windowed = history.plan({"last": -1}, pitr_window="4d")
    assert [one.segment.end.at[0] for one in windowed.removal.segments] == []
    windowed = history.plan({"last": -1}, pitr_window="2d")
    assert [one.segment.end.at[0] for one in windowed.removal.segments] == [20, 30]
    assert not history.plan({"last": -1}).removal
