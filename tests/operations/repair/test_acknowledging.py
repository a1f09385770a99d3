"""What is lost for good is put on record, signed by a maintainer: from then on its absence is no news."""

from __future__ import annotations

import contextlib

import pytest

from drtool.errors import LockedError, RefusedError, WrongKeyError
from drtool.operations.catalogue import read_known
from drtool.operations.repair.acknowledging import acknowledge, told
from drtool.repository.chain import read_catalogue
from drtool.repository.evidence import EVIDENCE, record
from drtool.repository.leases import Lease, new_owner
from drtool.repository.levels import Level
from drtool.repository.removals import LEASE, read_announced
from tests.repository.builders import Made, commit
from tests.repository.victims import evidence_of


def _commits(made: Made, count: int) -> list[str]:
    with contextlib.closing(made.as_agent()) as agent:
        return [commit(agent).manifest.name for _ in range(count)]


def _problems(made: Made, host: str) -> list[str]:
    with contextlib.closing(made.as_agent(host)) as agent:
        return [problem.message for problem in read_known(agent).problems]


@pytest.mark.parametrize("gone", [[0], [1], [4], [1, 2], [0, 1, 2, 3], [3, 4], [0, 2, 4], [0, 1, 2, 3, 4]])
def test_gaps_are_acknowledged_for_good(made: Made, gone: list[int]) -> None:
    names = _commits(made, 5)
    kept = {name: made.storage.get(name) for name in names}
    for place in gone:
        made.storage.delete(names[place])
    assert _problems(made, "host1") != []
    with contextlib.closing(made.as_both()) as both:  # which has seen them all
        found = acknowledge(both)
        assert [one.number for one in found.snapshots] == [place + 1 for place in gone]
        assert all(told(one).startswith("job nightly: snapshot number") for one in found.snapshots)
        assert acknowledge(both).snapshots == ()
    assert _problems(made, "host1") == _problems(made, "new") == []
    _commits(made, 2)
    assert _problems(made, "host1") == _problems(made, "new") == []
    # What is found again counts again, and nothing removes it as if retention had announced it.
    for place in gone:
        made.storage.put(names[place], kept[names[place]])
    assert _problems(made, "host1") == _problems(made, "new") == []
    with contextlib.closing(made.as_both()) as both:
        assert len(read_catalogue(both).snapshots) == 7
        assert not set(names) & read_announced(both).hashes.keys()


def test_a_forged_one_in_the_place_of_a_lost_one_is_noticed(made: Made) -> None:
    names = _commits(made, 3)
    made.storage.delete(names[1])
    with contextlib.closing(made.as_both()) as both:
        acknowledge(both)
        commit(made.as_agent("thief"), number=2, previous="00" * 32)
    assert any("number 2" in message for message in _problems(made, "new"))


def test_lost_evidence_is_acknowledged(made: Made) -> None:
    with contextlib.closing(made.as_both()) as both:
        snapshot = commit(both)
        ids = [record(both, evidence_of(snapshot.hash, Level.LISTED), both.signer) for _ in range(3)]
        for id_ in ids[1:]:
            made.storage.delete(EVIDENCE + id_)
        assert len(_problems(made, "host1")) == 1
        found = acknowledge(both)
        assert (found.snapshots, found.evidence) == ((), 1)
        assert _problems(made, "host1") == []
        record(both, evidence_of(snapshot.hash, Level.LISTED), both.signer)
    assert _problems(made, "host1") == _problems(made, "new") == []


def test_only_a_maintainer_acknowledges(made: Made) -> None:
    names = _commits(made, 3)
    made.storage.delete(names[1])
    with contextlib.closing(made.as_agent()) as agent, pytest.raises(WrongKeyError, match="maintainer"):
        acknowledge(agent)
    assert list(made.storage.list("removals/")) == []


def test_nobody_acknowledges_while_retention_announces(made: Made) -> None:
    names = _commits(made, 3)
    made.storage.delete(names[1])
    with contextlib.closing(made.as_both()) as both, Lease(both, LEASE, owner=new_owner()):
        with pytest.raises(LockedError):
            acknowledge(both, wait=lambda _seconds: True)
        assert list(made.storage.list("removals/")) == []


def test_absurd_numbers_are_refused(made: Made) -> None:
    with contextlib.closing(made.as_both()) as both:
        commit(both, number=10**15, previous="00" * 32)
        with pytest.raises(RefusedError, match="missing"):
            acknowledge(both)
