"""The index is rebuilt from the packs: whatever happened to it, what the packs hold is found again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import pytest

from drtool.operations.prune.prune import Wishes, prune
from drtool.operations.repair.index import IndexFound, IndexRepair, IndexRepaired
from drtool.operations.reporting import Silent
from drtool.repository.chain import read_catalogue
from drtool.repository.levels import Level
from drtool.repository.packs import pack_name
from drtool.repository.repository import Repository
from drtool.repository.tombstones import claim, put_tombstones
from drtool.repository.trust import Role
from drtool.repository.writer import ChunkWriter
from tests.operations.repair.looking import verified
from tests.repository.builders import Made, flipped, objects
from tests.repository.victims import STREAMS


def _repair(repository: Repository) -> tuple[IndexFound, IndexRepaired]:
    repair = IndexRepair(repository, Silent())
    found = repair.find()
    return found, repair.repair(found)


def _is_whole(made: Made, host: str = "fresh") -> None:
    with contextlib.closing(made.as_owner(host)) as owner:
        assert owner.refresh_index() == []
        assert IndexRepair(owner, Silent()).find().is_sound
        assert [problem for one in verified(owner, Level.READABLE) for problem in one.problems] == []


def _delete(made: Made, name: str) -> None:
    made.storage.delete(name)


def _flip(made: Made, name: str) -> None:
    made.storage.put(name, flipped(made.storage.get(name), 100))


def _truncate(made: Made, name: str) -> None:
    made.storage.put(name, made.storage.get(name)[:70])


@pytest.mark.parametrize("harm", [_delete, _flip, _truncate])
@pytest.mark.parametrize("how_many", [1, 100])
def test_whatever_became_of_the_index(victim: Made, harm: Callable[[Made, str], None], how_many: int) -> None:
    names = sorted(objects(victim.storage, "index/"))[:how_many]
    for name in names:
        harm(victim, name)
    with contextlib.closing(victim.as_owner()) as owner:
        found, done = _repair(owner)
        assert len(found.bad) == (0 if harm is _delete else len(names))
        assert done.removed == ([] if harm is _delete else names)
        assert done.left == []
        assert set(done.rebuilt) == set(found.unindexed) != set()
    _is_whole(victim)


def test_a_sound_index_is_left_alone(victim: Made) -> None:
    before = objects(victim.storage)
    with contextlib.closing(victim.as_owner()) as owner:
        assert IndexRepair(owner, Silent()).find().is_sound
    assert objects(victim.storage) == before


def test_finding_changes_nothing(victim: Made) -> None:
    _flip(victim, next(iter(objects(victim.storage, "index/"))))
    before = objects(victim.storage)
    with contextlib.closing(victim.as_owner()) as owner:
        assert not IndexRepair(owner, Silent()).find().is_sound
    assert objects(victim.storage) == before


def test_a_writer_relies_on_its_own_packs_again(victim: Made) -> None:
    for name in objects(victim.storage, "index/"):
        victim.storage.delete(name)
    with contextlib.closing(victim.as_owner()) as owner:
        _repair(owner)
    with contextlib.closing(victim.as_agent()) as agent:
        agent.refresh_index()
        assert _new_chunks(agent) == 0
    with contextlib.closing(victim.as_agent("host2", victim.enrol("host2"))) as other:
        other.refresh_index()
        assert _new_chunks(other) == len(STREAMS[0].chunks)  # what another host stored is nothing to rely on


def _new_chunks(repository: Repository) -> int:
    from tests.repository.builders import write_stream

    writer = ChunkWriter(repository)
    write_stream(writer, STREAMS[0])
    writer.close()
    return writer.counts.new_chunks


def test_a_writer_adds_and_deletes_nothing(victim: Made) -> None:
    first, *others = sorted(objects(victim.storage, "index/"))
    _flip(victim, first)
    for name in others:
        _delete(victim, name)
    with contextlib.closing(victim.as_agent("new")) as agent:
        found, done = _repair(agent)
        assert set(done.rebuilt) == set(found.unindexed)
        assert [problem.object for problem in done.left] == [first]
    assert first in objects(victim.storage, "index/")
    with contextlib.closing(victim.as_owner("fresh")) as owner:
        assert [error.object for error in owner.refresh_index()] == [first]
        assert all(one.ok for one in verified(owner, Level.LISTED))


def test_a_maintainers_agent_suffices(victim: Made) -> None:
    for name in objects(victim.storage, "index/"):
        _flip(victim, name)
    keeper = victim.enrol("keeper", Role.MAINTAINER)
    with contextlib.closing(victim.as_agent("keeper", keeper)) as agent:
        assert _repair(agent)[1].left == []
    _is_whole(victim)


def test_packs_that_are_gone_stay_in_the_index_as_long_as_something_needs_them(victim: Made) -> None:
    """Else nobody could tell what lay in them, and nothing could be pruned any more."""
    pack = max(objects(victim.storage, "packs/"), key=lambda name: len(victim.storage.get(name)))
    victim.storage.delete(pack)
    with contextlib.closing(victim.as_owner()) as owner:
        found, done = _repair(owner)
        assert [pack_name(sha256) for sha256 in found.gone] == [pack]
        assert (found.is_sound, done.removed, done.left) == (True, [], [])
        prune(owner, Wishes(), Silent())
        assert {problem.object for one in verified(owner, Level.LISTED) for problem in one.problems} == {pack}


def test_a_damaged_pack_is_told_and_what_is_remembered_of_it_serves(victim: Made) -> None:
    with contextlib.closing(victim.as_owner()) as owner:
        owner.refresh_index()
        for name in objects(victim.storage, "index/"):
            _flip(victim, name)
        packs = objects(victim.storage, "packs/")
        pack = max(packs, key=lambda name: len(packs[name]))
        victim.storage.put(pack, flipped(packs[pack], len(packs[pack]) - 20))  # its directory
        _, done = _repair(owner)
        assert [problem.object for problem in done.left] == [pack]
        assert all(one.ok for one in verified(owner, Level.LISTED))
    with contextlib.closing(victim.as_agent()) as agent:
        agent.refresh_index()
        mine = {pack_name(sha256) for sha256, _ in agent.cache.packs_indexed_by(agent.signer.public)}
        assert mine == set(packs) - {pack}  # no writer relies on it


def test_packs_that_are_being_deleted_do_not_come_back(victim: Made) -> None:
    """Garbage collection takes them out of the index first; nobody could tell an entry that comes after from a good one
    once the tombstone is gone."""
    packs = [bytes.fromhex(name[-64:]) for name in objects(victim.storage, "packs/")]
    with contextlib.closing(victim.as_owner()) as owner:
        [tombstone] = put_tombstones(owner, packs[:1])
        for name in objects(victim.storage, "index/"):
            victim.storage.delete(name)
        assert IndexRepair(owner, Silent()).find().unindexed.keys() == set(packs)  # merely marked
        claim(owner, tombstone, packs[:1], "a run")
        found, done = _repair(owner)
        assert found.unindexed.keys() == set(done.rebuilt) == set(packs[1:])


def test_a_strangers_pack_is_told_by_name(victim: Made) -> None:
    name = f"packs/ab/{'ab' * 32}"
    victim.storage.put(name, b"garbage")
    with contextlib.closing(victim.as_owner()) as owner:
        _, done = _repair(owner)
        assert [problem.object for problem in done.left] == [name]
    with contextlib.closing(victim.as_owner("fresh")) as owner:
        assert all(one.ok for one in verified(owner, Level.READABLE))


@pytest.mark.parametrize("puts", [0, 1, 2])
def test_a_run_that_is_killed_is_run_again(victim: Made, puts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drtool.operations.repair.index.PACKS_PER_INDEX", 1)
    for name in objects(victim.storage, "index/"):
        _flip(victim, name)
    child = os.fork()
    if child == 0:
        _die_after(victim, puts)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    with contextlib.closing(victim.as_owner()) as owner:
        found, done = _repair(owner)
        assert done.left == []
        assert len(done.rebuilt) == len(objects(victim.storage, "packs/")) - puts
        assert len(read_catalogue(owner).snapshots) == 2
        assert found.bad
    _is_whole(victim)


def _die_after(made: Made, puts: int) -> None:
    owner = made.as_owner("child")
    left = [puts]

    def put(self: IndexRepair, entries: object) -> None:
        if not left[0]:
            os._exit(9)
        left[0] -= 1
        original(self, entries)  # type: ignore[arg-type]

    original = IndexRepair._put
    IndexRepair._put = put  # type: ignore[method-assign]
    try:
        _repair(owner)
    finally:
        os._exit(1)
