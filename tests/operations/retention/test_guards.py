"""What stays whatever the policy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.config.jobs import Job
from drtool.operations.retention.guards import guarded, taken_at, unplaced
from drtool.operations.retention.planning import Obstacle, decide
from drtool.repository.chain import Snapshot
from drtool.repository.levels import Level
from drtool.repository.pins import Pin
from drtool.repository.presence import Registered
from tests.operations.retention.making import around, snapshot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def _daily(count: int) -> list[Snapshot]:
    return [snapshot(NOW - DAY * (count - number), number + 1) for number in range(count)]


def _pin(on: Snapshot, *, until: datetime | None = None, hash_: str | None = None) -> Pin:
    return Pin("p", on.id, hash_ or on.hash, "operator", "an audit", "", "", until, b"")


def _run(kind: str, job: str = "nightly") -> Registered:
    return Registered("runs/x", kind, job, "host2", "", NOW)


def test_the_newest_of_all_and_the_newest_complete_one() -> None:
    partial = snapshot(NOW - DAY * 2, 2, sources=("app",))
    whole = snapshot(NOW - DAY * 3, 1, sources=("app", "vectors"))
    failed = snapshot(NOW - DAY, 3, sources=("app", "vectors"))
    snapshots = [whole, partial, failed]
    found = guarded(snapshots, {"app", "vectors"}, around(snapshots, NOW, failed=[failed.id]))
    doubted = "newest complete snapshot, though it is suspect or failed a check"
    assert found == {failed.id: ("newest snapshot", doubted), whole.id: ("newest complete snapshot",)}


def test_without_a_complete_one_the_newest_of_each_source() -> None:
    snapshots = [snapshot(NOW - DAY * (4 - n), n, sources=("app" if n % 2 else "vectors",)) for n in range(1, 4)]
    found = guarded(snapshots, {"app", "vectors"}, around(snapshots, NOW))
    assert found[snapshots[2].id] == ("newest snapshot", "newest snapshot of app")
    assert found[snapshots[1].id] == ("newest snapshot of vectors",)
    assert snapshots[0].id not in found


def test_the_newest_verified_ones() -> None:
    snapshots = _daily(6)
    levels = {
        snapshots[0].id: Level.RESTORED,
        snapshots[1].id: Level.RESTORED,
        snapshots[2].id: Level.READABLE,
        snapshots[3].id: Level.INTACT,
    }
    found = guarded(snapshots, {"app"}, around(snapshots, NOW, levels=levels))
    assert found[snapshots[2].id] == ("newest verified snapshot (readable)",)
    assert found[snapshots[1].id] == ("newest verified snapshot (restored)",)
    assert found.keys() == {snapshots[n].id for n in (1, 2, 5)}


def test_a_suspect_or_failed_one_takes_no_guard_from_a_sound_one() -> None:
    snapshots = [*_daily(4), snapshot(NOW, 5, suspects=[(2, 3)])]
    levels = dict.fromkeys((one.id for one in snapshots[:4]), Level.RESTORED)
    found = guarded(snapshots, {"app"}, around(snapshots, NOW, levels=levels, failed=[snapshots[3].id]))
    both = ("newest verified snapshot (readable)", "newest verified snapshot (restored)")
    assert found[snapshots[0].id] == both


def test_doubts_about_all_leave_the_newest_verified_one_guarded() -> None:
    """Whoever stole an agent's key can sign that every snapshot is suspect, or failed a check."""
    honest = [snapshot(NOW - DAY * (7 - n), n, sources=("app", "vectors")) for n in range(1, 6)]
    junk = [snapshot(NOW, 6, sources=("app",), suspects=[(1, 5)])]
    levels = {honest[1].id: Level.RESTORED, honest[2].id: Level.READABLE}
    for snapshots, failed in ((honest + junk, []), (honest, [one.id for one in honest])):
        found = guarded(snapshots, {"app", "vectors"}, around(snapshots, NOW, levels=levels, failed=failed))
        doubt = ", though it is suspect or failed a check"
        assert f"newest complete snapshot{doubt}" in found[honest[4].id]
        assert found[honest[2].id] == (f"newest verified snapshot (readable){doubt}",)
        assert found[honest[1].id] == (f"newest verified snapshot (restored){doubt}",)


def test_pins_hold_by_hash_or_id_until_they_end() -> None:
    snapshots = _daily(5)
    pins = [
        _pin(snapshots[0]),
        _pin(snapshots[1], until=NOW),
        _pin(snapshots[2], until=NOW + DAY),
        _pin(snapshots[3], hash_="of another object"),
    ]
    found = guarded(snapshots, {"app"}, around(snapshots, NOW, pins=pins))
    assert found[snapshots[0].id] == ("protected: an audit",)
    assert snapshots[1].id not in found
    assert found[snapshots[2].id] == (f"protected until {(NOW + DAY).isoformat()}: an audit",)
    assert found[snapshots[3].id] == ("protected: an audit",)


@pytest.mark.parametrize(
    ("run", "keeps"),
    [
        (_run("restore"), True),
        (_run("export"), True),
        (_run("unknown", ""), True),
        (_run("backup"), False),
        (_run("copy", ""), False),
        (_run("restore", "weekly"), False),
    ],
)
def test_what_a_running_restore_needs(run: Registered, keeps: bool) -> None:
    snapshots = _daily(3)
    found = guarded(snapshots, {"app"}, around(snapshots, NOW, running=[run]))
    assert (snapshots[0].id in found) is keeps


def test_what_is_later_than_the_stores_clock_stays_and_pushes_nothing_out() -> None:
    snapshots = [*_daily(3), snapshot(NOW + DAY, 4), snapshot(NOW + timedelta(minutes=30), 5)]
    assert unplaced(snapshots, around(snapshots, NOW)) == {snapshots[3].id: "its time is later than the store's clock"}
    job = Job.model_validate({"sources": ["app"], "retention": {"last": 2}})
    made, objections = decide("nightly", snapshots, job, around(snapshots, NOW))
    assert not objections
    kept = {one.snapshot.id: one.reasons for one in made if one.keep}
    assert kept.keys() == {snapshots[n].id for n in (2, 3, 4)}
    assert kept[snapshots[3].id] == ("its time is later than the store's clock",)


def test_a_snapshot_dated_back_stays_and_pushes_nothing_out() -> None:
    """Whoever stole an agent's key can date a snapshot to yesterday's last second, but not give it a lower number."""
    honest = _daily(10)
    junk = [snapshot(taken_at(one) + timedelta(hours=11), 11 + n) for n, one in enumerate(honest[:-1])]
    snapshots = [*honest, *junk]
    assert unplaced(snapshots, around(snapshots, NOW)).keys() == {one.id for one in junk}
    job = Job.model_validate({"sources": ["app"], "retention": {"daily": 30}})
    made, _ = decide("nightly", snapshots, job, around(snapshots, NOW))
    assert all(one.keep for one in made)


def _stored(snapshots: Sequence[Snapshot]) -> dict[str, datetime]:
    return {one.id: taken_at(one) for one in snapshots}


def test_a_chain_that_begins_in_the_past_pushes_nothing_out() -> None:
    """A stolen key that has no chain yet can date all of its snapshots back, but not when they were stored."""
    honest = _daily(10)
    junk = [snapshot(taken_at(one) + timedelta(hours=11), 1 + n, signer=b"host2") for n, one in enumerate(honest[:-1])]
    snapshots = [*honest, *junk]
    stored = _stored(honest) | {one.id: NOW for one in junk}
    job = Job.model_validate({"sources": ["app"], "retention": {"daily": 30}})
    surroundings = around(snapshots, NOW, stored=stored)
    assert unplaced(snapshots, surroundings).keys() == {one.id for one in junk}
    made, _ = decide("nightly", snapshots, job, surroundings)
    assert all(one.keep for one in made)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_that_no_zone_has_are_not_counted(moment: str) -> None:
    odd = snapshot(datetime(2026, 1, 1, tzinfo=UTC), 1, signer=b"host2")
    odd = replace(odd, manifest=replace(odd.manifest, created=moment))
    rules = {"last": 2, "within_monthly": "2m", "weekly": 2}
    for schedule in (None, "0 2 * * *"):
        for snapshots in ([odd], [odd, *_daily(10)]):
            job = Job.model_validate({"sources": ["app"], "retention": rules, "schedule": schedule})
            made, objections = decide("nightly", snapshots, job, around(snapshots, NOW))
            assert not objections
            assert odd.id in {one.snapshot.id for one in made if one.keep}


def test_a_repository_that_was_moved_is_counted_as_before() -> None:
    """Everything was stored within an hour, in any order."""
    snapshots = _daily(10)
    stored = {one.id: NOW + timedelta(minutes=5 * (n * 7 % 10)) for n, one in enumerate(snapshots)}
    assert unplaced(snapshots, around(snapshots, NOW + DAY, stored=stored)) == {}


def test_a_time_ahead_of_the_stores_clock_is_that_of_storing_once_it_has_come() -> None:
    honest = [snapshot(NOW - DAY * (10 - n), n) for n in range(1, 9) if n != 3]
    ahead = snapshot(NOW - DAY, 3)
    snapshots = [*honest, ahead]
    surroundings = around(snapshots, NOW, stored=_stored(honest) | {ahead.id: NOW - DAY * 7})
    assert unplaced(snapshots, surroundings) == {}
    job = Job.model_validate({"sources": ["app"], "retention": {"last": 2}})
    made, _ = decide("nightly", snapshots, job, surroundings)
    assert [one.snapshot.manifest.number for one in made] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [one.snapshot.manifest.number for one in made if one.keep] == [7, 8]


def test_without_a_policy_everything_stays() -> None:
    snapshots = _daily(3)
    for job in (None, Job(sources=("app",))):
        made, objections = decide("nightly", snapshots, job, around(snapshots, NOW))
        assert all(one.reasons == ("no policy: the configuration names none for the job",) for one in made)
        assert not objections


def test_a_policy_that_would_keep_nothing_of_a_job() -> None:
    snapshots = _daily(3)
    job = Job.model_validate({"sources": ["app"], "retention": {"tags": ["release"]}})
    made, [objection] = decide("nightly", snapshots, job, around(snapshots, NOW))
    assert objection.obstacle is Obstacle.EMPTIES
    assert "would keep none of its 3 snapshots" in objection.message
    assert [one.keep for one in made] == [False, False, True]


TIMES = st.lists(st.integers(-3000, 100), min_size=1, max_size=25, unique=True)
RULES = st.sampled_from([{"last": 1}, {"daily": 2}, {"yearly": 1}, {"hourly": 3}, {"within_weekly": "2m"}])


@settings(max_examples=50)
@given(TIMES, RULES, st.data())
def test_never_drops_the_newest_complete_or_the_newest_verified_one(
    hours: list[int], rules: dict[str, Any], data: st.DataObject
) -> None:
    snapshots = [snapshot(NOW + timedelta(hours=hour), number) for number, hour in enumerate(sorted(hours), start=1)]
    one_of = st.sampled_from(snapshots)
    levels = {one.id: data.draw(st.sampled_from(list(Level))) for one in data.draw(st.lists(one_of, max_size=5))}
    failed = {one.id for one in data.draw(st.lists(one_of, max_size=3))}
    job = Job.model_validate({"sources": ["app"], "retention": rules})
    surroundings = around(snapshots, NOW, levels=levels, failed=failed)
    made, _ = decide("nightly", snapshots, job, surroundings)
    kept = {one.snapshot.id for one in made if one.keep}
    assert kept, "a job is never emptied"
    sound = [s for s in snapshots if s.id not in failed and taken_at(s) <= NOW + timedelta(hours=1)]
    verified = [s for s in sound if levels.get(s.id, Level.NONE) >= Level.READABLE]
    for group in (sound, verified):
        assert not group or max(group, key=taken_at).id in kept
    left = [one.snapshot for one in made if one.keep]
    again, _ = decide("nightly", left, job, around(left, NOW, levels=levels, failed=failed))
    assert {one.snapshot.id for one in again if one.keep} == kept, "applying twice changes nothing"


def test_a_safety_snapshot_stays_until_it_is_released() -> None:
    taken = [snapshot(NOW - DAY * days, number, tags=("safety",)) for number, days in ((1, 3), (2, 2), (3, 0))]
    made = [replace(one, manifest=replace(one.manifest, job="nightly-safety")) for one in taken]
    job = Job.model_validate({"sources": ["app"], "retention": {"last": 5}})
    surroundings = replace(around(made, NOW), pins=(_pin(made[0]),))
    decisions, objections = decide("nightly-safety", made, job, surroundings)
    assert [one.reasons for one in decisions] == [
        ("protected: an audit",),
        (),
        ("safety snapshot of less than a day",),
    ]
    assert objections == []
