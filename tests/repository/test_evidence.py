"""Evidence: levels by those who may attest them, failures that stay until they are disproved."""

from __future__ import annotations

import pytest

from drtool.errors import DamagedObjectError, MissingObjectError, TamperedError
from drtool.repository.evidence import EVIDENCE, Evidence, Reached, reached, record
from drtool.repository.levels import Level
from drtool.repository.manifests import object_hash
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import LastGood, Revocation
from tests.repository.builders import NOW, Made, flipped, objects, put_record

MANIFEST = "ab" * 32


def _evidence(level: Level, ok: bool = True, share: float = 1.0) -> Evidence:
    return Evidence("snapshot", MANIFEST, level.label, ok, NOW, "host", "tool", share, {"chunks": 1}, (), "identical")


def _after(repository: Repository, signer: SigningKey, *found: Evidence) -> Reached:
    for evidence in found:
        record(repository, evidence, signer)
    best, problems = reached(repository)
    assert problems == []
    return best[MANIFEST]


def test_the_best_counts(made: Made) -> None:
    key = made.identity.verifier_key
    result = _after(made.as_both(), key, _evidence(Level.LISTED), _evidence(Level.READABLE), _evidence(Level.INTACT))
    assert (result.level, result.proof, result.last_failed) == (Level.READABLE, "identical", False)


def test_a_sample_raises_no_level(made: Made) -> None:
    key = made.identity.verifier_key
    assert _after(made.as_both(), key, _evidence(Level.READABLE, share=0.1)).level is Level.NONE


@pytest.mark.parametrize(
    ("later", "stays"),
    [
        (_evidence(Level.LISTED), True),
        (_evidence(Level.INTACT), True),
        (_evidence(Level.READABLE, share=0.5), True),
        (_evidence(Level.RESTORED, share=0.9), True),
        (_evidence(Level.READABLE), False),
        (_evidence(Level.RESTORED), False),
    ],
)
def test_a_failure_stays_until_a_look_as_close_at_everything(made: Made, later: Evidence, stays: bool) -> None:
    failure = _evidence(Level.READABLE, ok=False, share=0.1)
    assert _after(made.as_both(), made.identity.verifier_key, failure, later).last_failed is stays


@pytest.mark.parametrize("level", [Level.READABLE, Level.RESTORED])
def test_an_agent_cannot_attest_what_it_cannot_see(made: Made, level: Level) -> None:
    agent = made.as_agent()
    record(agent, _evidence(Level.INTACT), agent.signer)
    record(agent, _evidence(level), agent.signer)
    best, problems = reached(agent)
    assert best[MANIFEST].level is Level.INTACT
    assert [type(problem) for problem in problems] == [TamperedError]


def test_missing_evidence_is_noticed(made: Made) -> None:
    owner = made.as_owner()
    first = record(owner, _evidence(Level.READABLE, ok=False), owner.signer)
    record(owner, _evidence(Level.LISTED), owner.signer)
    made.storage.delete(EVIDENCE + first)
    _, problems = reached(owner)
    assert [type(problem) for problem in problems] == [MissingObjectError]


def test_many_records_within_a_second_make_one_chain(made: Made) -> None:
    owner = made.as_owner()
    for _ in range(12):
        record(owner, _evidence(Level.LISTED), owner.signer)
    assert reached(owner)[1] == []


def test_bad_evidence_is_a_problem_by_name_and_does_not_count(made: Made) -> None:
    owner = made.as_owner()
    name = EVIDENCE + record(owner, _evidence(Level.READABLE), owner.signer)
    data = made.storage.get(name)
    made.storage.put(EVIDENCE + "20991121t020000z-0000000000", data)
    made.storage.put(name, flipped(data, 99))
    made.storage.put(EVIDENCE + "garbage", b"garbage")
    best, problems = reached(owner)
    assert best == {}
    assert {problem.message.split()[0] for problem in problems} == set(objects(made.storage, EVIDENCE))


@pytest.mark.parametrize("fields", [{}, {"level": "perfect"}, {"evidence": 5}, {"share": "all"}])
def test_evidence_of_any_shape(made: Made, fields: dict[str, object]) -> None:
    owner = made.as_owner()
    put_record(owner, Kind.EVIDENCE, EVIDENCE, fields)
    best, problems = reached(owner)
    assert best == {}
    assert [type(problem) for problem in problems] == [DamagedObjectError]


def test_evidence_by_a_revoked_signer(made: Made) -> None:
    agent = made.as_agent()
    first = EVIDENCE + record(agent, _evidence(Level.LISTED), agent.signer)
    record(agent, _evidence(Level.INTACT), agent.signer)
    ends = {"evidence": LastGood(1, object_hash(made.storage.get(first)))}
    made.publish(revocations=(Revocation(agent.signer.public, NOW, ends),))
    best, problems = reached(made.as_owner())
    assert best[MANIFEST].level is Level.LISTED
    assert [type(problem) for problem in problems] == [TamperedError]
