"""Plans and what removing them leaves; a process that is killed at any step is followed by one that finishes."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from drtool.config.jobs import Job
from drtool.errors import (
    DamagedObjectError,
    LockedError,
    NoSuchSnapshotError,
    PermissionDeniedError,
    RefusedError,
    UnsafeStorageError,
    UsageError,
)
from drtool.operations.backup.inheriting import Before
from drtool.operations.catalogue import read_known
from drtool.operations.reporting import Silent
from drtool.operations.retention.applying import apply
from drtool.operations.retention.planning import Obstacle
from drtool.operations.retention.protecting import protect, release
from drtool.operations.runs import require_still_there
from drtool.repository.evidence import record
from drtool.repository.ids import new_id
from drtool.repository.leases import Lease, new_owner
from drtool.repository.levels import Level
from drtool.repository.manifests import SourceEntry
from drtool.repository.pins import read_pins
from drtool.repository.removals import Removal, announce, read_announced
from drtool.repository.runs import Run
from drtool.repository.sealed import Kind
from drtool.repository.trust import Revocation, Role
from drtool.repository.wire import encode_json
from drtool.storage.base import Capabilities, Storage
from tests.operations.retention.conftest import copied
from tests.operations.retention.history import DAYS, History, take
from tests.repository.builders import NOW, flipped, objects, put_record
from tests.repository.victims import evidence_of

LAST_TWO = {"last": 2}
LAST_SIX = {"last": 6}


def test_a_plan_changes_nothing(history: History) -> None:
    before = objects(history.made.storage)
    plan = history.plan(LAST_TWO)
    assert objects(history.made.storage) == before
    assert [one.snapshot.id for one in plan.decisions] == history.ids(*range(1, DAYS + 1))
    assert [one.id for one in plan.removal.snapshots] == history.ids(1, 2, 4, 5, 6)
    assert plan.decisions[2].reasons == (
        "newest verified snapshot (readable)",
        "newest verified snapshot (restored)",
    )
    assert "newest complete snapshot" in plan.decisions[-1].reasons
    assert plan.objections == ()
    assert plan.hash == history.plan(LAST_TWO, host="another").hash
    assert plan.hash != history.plan({"last": 3}).hash


def test_what_is_removed_is_announced_and_nothing_is_missed(history: History) -> None:
    applied = history.apply(LAST_TWO)
    assert history.left() == history.ids(3, 7, 8)
    [announced] = applied.announced
    assert history.names("removals/") == [announced]
    assert (applied.finished, applied.locked) == (0, 0)
    again = history.apply(LAST_TWO)
    assert not again.plan.removal
    assert history.left() == history.ids(3, 7, 8)
    assert all(one.keep for one in again.plan.decisions)


def test_evidence_goes_with_its_snapshot(history: History) -> None:
    assert len(history.names("evidence/")) == 6
    history.apply(LAST_TWO)
    # Of the snapshots that went there was that of the first and the fourth.
    assert len(history.names("evidence/")) == 4
    repository = history.opened()
    record(repository, evidence_of(history.snapshots[7].hash, Level.INTACT), repository.signer)
    history.left()


def test_evidence_of_a_trial_restore_and_the_newest_of_a_signer_stay(history: History) -> None:
    agent = history.opened("host1")
    record(agent, evidence_of(history.snapshots[4].hash, Level.LISTED), agent.signer)
    protect(agent, history.snapshots[7], "so that it can go", None)
    history.apply({"last": 1})
    assert history.left() == history.ids(3, 8)
    assert len(history.names("evidence/")) == 5
    newest = record(agent, evidence_of(history.snapshots[7].hash, Level.INTACT), agent.signer)
    history.apply({"last": 1})
    assert len(history.names("evidence/")) == 5, "the one that was the newest goes now"
    assert f"evidence/{newest}" in history.names("evidence/")
    history.left()


def test_exactly_the_plan_that_was_shown(history: History) -> None:
    plan = history.plan(LAST_TWO)
    with pytest.raises(RefusedError, match="the plan is another one by now") as caught:
        history.apply({"last": 3}, expected=plan.hash)
    assert caught.value.exit_code == 20
    assert len(history.left()) == DAYS
    history.apply(LAST_TWO, expected=plan.hash[:16])
    assert history.left() == history.ids(3, 7, 8)
    # Once more: it was carried out, and nothing else is.
    done = history.apply({"last": 1}, expected=plan.hash[:16])
    assert not done.announced
    assert done.before == plan.hash
    assert history.left() == history.ids(3, 7, 8)


def test_a_plan_that_was_cut_off_was_not_carried_out(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drtool.repository.removals.MOST_NAMED", 3)
    plan = history.plan(LAST_TWO)
    dying = _Dying(history.made.storage, 7)  # lease, run, probe and its end, announcement, two of three objects
    with suppress(_Dead):
        replace(history, made=replace(history.made, storage=cast(Storage, dying))).apply(LAST_TWO, expected=plan.hash)
    assert len(history.names("removals/")) == 1
    history.made.storage.delete("leases/retention")  # as if it had run out
    with pytest.raises(RefusedError, match="the plan is another one by now"):
        history.apply(LAST_TWO, expected=plan.hash)
    assert history.apply(LAST_TWO).announced
    assert history.left() == history.ids(3, 7, 8)


def test_a_host_whose_last_snapshot_was_removed_goes_on_counting(history: History) -> None:
    other = history.made.enrol("host2")
    second = history.made.as_agent("host2", other)
    history.stack.callback(second.close)
    early = datetime.fromisoformat(history.snapshots[5].manifest.created) + timedelta(hours=2)
    gone = take(second, early)
    history.apply(LAST_TWO)
    assert gone.id not in history.left()
    forgetful = history.made.as_agent("host2 with a new disk", other)
    history.stack.callback(forgetful.close)
    before = Before(forgetful, "nightly", Silent())
    before.reader.close()
    assert (before.number, before.hash) == (1, gone.hash)
    take(forgetful, datetime.now(UTC), number=before.number + 1, previous=before.hash)
    assert len(history.left()) == 4


class _Dead(BaseException):
    """The process is gone."""


class _Dying:
    """A store whose client is killed ahead of a change, after so many others."""

    def __init__(self, storage: Storage, changes: int) -> None:
        self._storage = storage
        self._left = changes
        self._able = storage.probe()
        self._lock = threading.Lock()
        self.died = False

    def probe(self) -> Capabilities:
        """Found out before."""
        return self._able

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._storage, name)

        def call(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                if name in ("put", "delete"):
                    self._left -= 1
                self.died = self.died or self._left < 0
            if self.died:
                raise _Dead
            return value(*arguments, **options)

        return call if callable(value) else value


@pytest.mark.heavy
def test_killed_at_any_step_it_is_finished_by_the_next_run(shelf: History, tmp_path: Path) -> None:
    died, steps = True, 0
    while died:
        with ExitStack() as stack:
            history = copied(shelf, tmp_path / str(steps), stack)
            dying = _Dying(history.made.storage, steps)
            killed = replace(history, made=replace(history.made, storage=cast(Storage, dying)))
            with suppress(_Dead):
                killed.apply(LAST_SIX, host="killed")
            died = dying.died
            history.made.storage.delete("leases/retention")  # as if it had run out
            history.apply(LAST_SIX)
            assert history.left() == history.ids(*range(3, DAYS + 1))
            assert len(history.names("evidence/")) == 5
            assert len(history.names("removals/")) == 1
        steps += 1
    assert steps > 9, "lease, run, a trial, announcement, three objects, the end of the run and of the lease"


def test_what_was_announced_is_finished_even_if_somebody_protects_it_meanwhile(history: History) -> None:
    repository = history.opened()
    assert repository.maintainer is not None
    announce(repository, Removal(history.snapshots[:1]), repository.maintainer)
    with pytest.raises(NoSuchSnapshotError, match="is removing"):
        protect(repository, history.snapshots[0], "too late", None)
    applied = history.apply({"last": -1})
    assert applied.finished == 1
    assert history.left() == history.ids(*range(2, DAYS + 1))


def test_a_run_that_looked_at_pins_before_is_waited_for(history: History) -> None:
    """It registered itself, read the pins, and announces after somebody put one."""
    repository, agent = history.opened(), history.opened("host1")
    assert repository.maintainer is not None
    signer, run = repository.maintainer, Run(repository, "retention")
    run.__enter__()

    def meanwhile(seconds: float) -> bool:
        assert seconds > 0
        announce(repository, Removal(history.snapshots[:1]), signer)
        run.__exit__(None, None, None)
        return False

    with pytest.raises(NoSuchSnapshotError, match="is removing"):
        protect(agent, history.snapshots[0], "too late", None, meanwhile)
    # What ended without naming it is no reason to doubt.
    run = Run(repository, "retention")
    run.__enter__()

    def ends(_seconds: float) -> bool:
        run.__exit__(None, None, None)
        return False

    protect(agent, history.snapshots[1], "in time", None, ends)


def test_a_run_that_does_not_end_leaves_protection_in_doubt(history: History) -> None:
    with Run(history.opened(), "retention"), pytest.raises(LockedError, match="may remove snapshot") as caught:
        protect(history.opened("host1"), history.snapshots[0], "an audit", None, lambda _seconds: True)
    assert "recorded" in caught.value.hint
    history.apply(LAST_TWO)
    assert history.left() == history.ids(1, 3, 7, 8)


def test_another_object_in_the_place_of_an_announced_one_is_left_alone(history: History) -> None:
    repository = history.opened()
    assert repository.maintainer is not None
    announce(repository, Removal(history.snapshots[:1]), repository.maintainer)
    name = history.snapshots[0].manifest.name
    history.made.storage.put(name, b"something else")
    with pytest.raises(RefusedError, match=name):
        history.apply(LAST_TWO)
    assert name in history.names("snapshots/")


# --- what stands against it --------------------------------------------------------------


def _refused(history: History, rules: Any, words: str, **options: Any) -> None:
    before = history.names("snapshots/")
    with pytest.raises(RefusedError, match=words) as caught:
        history.apply(rules, **options)
    assert caught.value.exit_code == 20
    assert caught.value.hint
    assert history.names("snapshots/") == before
    assert history.names("removals/") == []


def test_three_times_what_the_schedule_explains(history: History) -> None:
    last = datetime.fromisoformat(history.snapshots[-1].manifest.created)
    for minute in range(1, 21):
        history.take(last + timedelta(minutes=minute))
    schedule = {"schedule": "0 2 * * *", "timezone": "UTC"}
    _refused(history, LAST_TWO, "where its rhythm explains 7", job=schedule)
    plan = history.plan(LAST_TWO, despite={Obstacle.SURPLUS}, **schedule)
    assert plan.objections == ()
    assert "rhythm explains" in plan.warnings[0]
    history.apply(LAST_TWO, job=schedule, despite={Obstacle.SURPLUS})
    assert len(history.left()) == 3


def test_junk_of_another_key_that_is_dated_back(history: History) -> None:
    """The honest snapshots were stored when they say; the junk, of a key without a chain, just now."""
    for one in history.snapshots:
        moment = datetime.fromisoformat(one.manifest.created).timestamp()
        os.utime(Path(history.made.storage.url) / one.manifest.name, (moment, moment))
    stolen = history.made.as_agent("thief", history.made.enrol("host2"))
    history.stack.callback(stolen.close)
    for one in history.snapshots[:-1]:
        take(stolen, datetime.fromisoformat(one.manifest.created) + timedelta(minutes=30))
    plan = history.plan({"daily": 14})
    assert not plan.removal
    assert sum("stored before it" in "".join(one.reasons) for one in plan.decisions) == DAYS - 1


def test_a_manifest_that_cannot_be_read(history: History) -> None:
    name = history.snapshots[4].manifest.name
    history.made.storage.put(name, flipped(history.made.storage.get(name), 100))
    _refused(history, LAST_TWO, name)
    history.apply(LAST_TWO, despite={Obstacle.DAMAGE})
    assert history.names("snapshots/") == [
        s.manifest.name for s in history.snapshots if s.id in history.ids(3, 5, 7, 8)
    ]


def test_a_chain_with_a_hole(history: History) -> None:
    history.made.storage.delete(history.snapshots[4].manifest.name)
    _refused(history, LAST_TWO, "job nightly: its chain of snapshots is not whole")
    # A job that is whole is not held up by it.
    history.take(datetime.now(UTC) - timedelta(days=2), job="weekly")
    assert not history.plan({"last": -1}).objections


@pytest.mark.parametrize("prefix", ["pins/", "removals/", "evidence/"])
def test_other_things_that_cannot_be_read(history: History, prefix: str) -> None:
    history.made.storage.put(f"{prefix}20261121t020000z-0000000000", b"garbage")
    before = history.names("snapshots/")
    with pytest.raises(RefusedError, match=prefix):
        history.apply(LAST_TWO)
    assert history.names("snapshots/") == before
    history.apply(LAST_TWO, despite={Obstacle.DAMAGE})
    assert len(history.names("snapshots/")) == 3


def test_what_somebody_signed_who_may_not_is_no_obstacle(history: History) -> None:
    stranger = history.made.enrol("stranger")
    history.made.publish(signers=tuple(s for s in history.made.document().signers if s.name != "stranger"))
    repository = history.opened()
    put_record(repository, Kind.PIN, "pins/", {}, stranger.signing_key)
    history.apply(LAST_TWO)
    assert len(history.names("snapshots/")) == 3


def test_a_policy_that_keeps_nothing(history: History) -> None:
    _refused(history, {"tags": ["release"]}, "would keep none of its 8 snapshots")


class _Elsewhen:
    """A store whose clock is another one."""

    def __init__(self, storage: Storage, by: timedelta) -> None:
        self._storage = storage
        self._by = by

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def now(self) -> datetime:
        """Its clock."""
        return self._storage.now() + self._by


@pytest.mark.parametrize(("hours", "words"), [(-30, "30.0 hours ahead of the store's"), (2, "2.0 hours behind the")])
def test_a_wrong_clock(history: History, hours: int, words: str) -> None:
    storage = cast(Storage, _Elsewhen(history.made.storage, timedelta(hours=hours)))
    _refused(replace(history, made=replace(history.made, storage=storage)), LAST_TWO, words)


def test_a_store_without_conditional_puts(history: History) -> None:
    storage = history.made.storage
    storage.probe = lambda: Capabilities(create_only_put=True, compare_and_swap=False, versions=False)  # type: ignore[method-assign]
    with pytest.raises(UnsafeStorageError, match="conditional puts"):
        history.apply(LAST_TWO)
    assert len(history.left()) == DAYS


class _Undeletable:
    """A store whose credentials may not delete."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._able = storage.probe()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def probe(self) -> Capabilities:
        """Found out before."""
        return self._able

    def delete(self, name: str, *, version: str | None = None) -> None:
        """Refused."""
        raise PermissionDeniedError(f"{name}: no right to delete")


def test_credentials_that_may_not_delete(history: History) -> None:
    storage = cast(Storage, _Undeletable(history.made.storage))
    bound = replace(history, made=replace(history.made, storage=storage))
    with pytest.raises(PermissionDeniedError, match="may not delete") as caught:
        bound.apply(LAST_TWO)
    assert "repository.maintenance.profile" in caught.value.hint
    assert len(history.left()) == DAYS


def test_a_maintainers_key_suffices_without_the_identity(history: History) -> None:
    key = history.made.enrol("maintenance", Role.MAINTAINER)
    repository = history.made.as_agent("maintenance", key)
    history.stack.callback(repository.close)
    job = Job.model_validate({"sources": ["app"], "retention": LAST_TWO})
    apply(repository, {"nightly": job}, Silent())
    assert history.left() == history.ids(3, 7, 8)


def test_only_one_at_a_time(history: History) -> None:
    repository = history.opened("another")
    with Lease(repository, "retention", owner=new_owner()), pytest.raises(LockedError):
        history.apply(LAST_TWO, wait=lambda _seconds: True)
    assert len(history.left()) == DAYS
    history.apply(LAST_TWO)
    assert len(history.left()) == 3


def test_a_restore_that_goes_on(history: History) -> None:
    with Run(history.opened("restorer"), "restore", "nightly"):
        assert not history.plan(LAST_TWO).removal
    assert history.plan(LAST_TWO).removal


def test_a_restore_of_what_was_removed_ahead_of_it(history: History) -> None:
    repository = history.opened("restorer")
    require_still_there(repository, history.snapshots[0])
    history.apply(LAST_TWO)
    with pytest.raises(NoSuchSnapshotError, match="was removed just now"):
        require_still_there(repository, history.snapshots[0])


# --- pins --------------------------------------------------------------------------------


def test_protected_until_released(history: History) -> None:
    agent = history.opened("host1")
    protect(agent, history.snapshots[0], "before the migration", None)
    protect(agent, history.snapshots[1], "for a week", datetime.now(UTC) + timedelta(days=7))
    plan = history.plan(LAST_TWO)
    assert plan.decisions[0].reasons == ("protected: before the migration",)
    history.apply(LAST_TWO)
    assert history.left() == history.ids(1, 2, 3, 7, 8)
    released = release(agent, read_known(agent), history.snapshots[0])
    assert [pin.reason for pin in released] == ["before the migration"]
    history.apply(LAST_TWO)
    assert history.left() == history.ids(2, 3, 7, 8)
    with pytest.raises(UsageError, match="is not protected"):
        release(agent, read_known(agent), history.snapshots[2])


def test_who_may_release(history: History) -> None:
    other = history.made.as_agent("host2", history.made.enrol("host2"))
    history.stack.callback(other.close)
    protect(history.made.as_agent("host1"), history.snapshots[0], "an audit", None)
    with pytest.raises(RefusedError, match="only host1 or a maintainer"):
        release(other, read_known(other), history.snapshots[0])
    owner = history.opened("owner")
    release(owner, read_known(owner), history.snapshots[0])
    assert read_pins(owner) == ((), [])


def test_a_revoked_signers_pins_hold_and_its_releases_do_not(history: History) -> None:
    agent = history.opened("host1")
    protect(agent, history.snapshots[0], "an audit", None)
    release(agent, read_known(agent), history.snapshots[0])
    assert read_pins(agent)[0] == ()
    history.made.publish(revocations=(Revocation(history.made.agent.signing_key.public, NOW, {}),))
    owner = history.made.as_owner("owner")
    history.stack.callback(owner.close)
    assert [pin.reason for pin in read_pins(owner)[0]] == ["an audit"]


@pytest.mark.parametrize(("reason", "days"), [("", 1), ("  ", 1), ("an audit", -1)])
def test_pins_that_make_no_sense(history: History, reason: str, days: int) -> None:
    with pytest.raises(UsageError):
        protect(history.opened(), history.snapshots[0], reason, datetime.now(UTC) + timedelta(days=days))
    assert history.names("pins/") == []


@pytest.mark.parametrize("value", [[], {}, 5])
def test_a_release_of_something_odd_releases_nothing(history: History, value: Any) -> None:
    agent = history.opened("host1")
    protect(agent, history.snapshots[0], "an audit", None)
    id_ = new_id()
    fields = dict.fromkeys(("snapshot", "hash", "kind", "reason", "until")) | {"pin": id_, "at": NOW, "host": ""}
    payload = encode_json({"format": 1, **fields, "releases": value})
    agent.storage.put(f"pins/{id_}", agent.seal(Kind.PIN, f"pins/{id_}", payload))
    assert [pin.reason for pin in read_pins(agent)[0]] == ["an audit"]


@pytest.mark.parametrize("change", [{"point": []}, {"point": None}, {"name": {}}, {"name": 5}])
def test_a_manifest_of_an_odd_form_is_damaged(history: History, change: dict[str, Any]) -> None:
    """Whoever stole a key can sign anything."""
    source = SourceEntry("app", "mongodb", "6", "replica-set", "", NOW, "exact", {"replay_from": [1, 1]}, ())
    with pytest.raises(DamagedObjectError):
        history.take(datetime.now(UTC), sources=(replace(source, **change),))
    assert {one.obstacle for one in history.plan(LAST_TWO).objections} == {Obstacle.DAMAGE}


def test_announcements_of_many_objects_are_split(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drtool.repository.removals.MOST_NAMED", 3)
    applied = history.apply(LAST_TWO)
    assert len(applied.announced) == 3  # five snapshots, two pieces of evidence
    assert history.left() == history.ids(3, 7, 8)
    assert len(history.names("evidence/")) == 4
    assert len(read_announced(history.opened()).hashes) == 7
