"""Level ``restored`` with the weaker proofs, with what a copy does worse, and with relations between sources."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drtool.config.relations import Relation
from drtool.operations.backup.backup import back_up
from drtool.operations.budget import Budget
from drtool.operations.reporting import Silent
from drtool.operations.verify.inspecting import Sample
from drtool.operations.verify.verify import Verification, Verifier
from drtool.repository.chain import read_catalogue
from drtool.repository.evidence import reached, read_evidence
from drtool.repository.levels import Level
from drtool.repository.repository import Repository
from drtool.sources.base import Compared
from drtool.sources.reading import Proof
from tests.operations.lines import Held, LinesSource
from tests.repository.builders import Made, make

_BUDGET = Budget(2, 2, 1, 8_000_000)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """An empty repository."""
    return make(tmp_path)


@pytest.fixture
def repository(made: Made) -> Iterator[Repository]:
    """It, opened with both keys."""
    with contextlib.closing(made.as_both()) as opened:
        yield opened


def _verify(repository: Repository, *sources: LinesSource, relations: tuple[dict[str, Any], ...] = ()) -> Verification:
    """Back up and verify."""
    by_name = {source.name: source for source in sources}
    taken = back_up(repository, "nightly", list(sources), _BUDGET, Silent())
    snapshot = read_catalogue(repository).named(taken.snapshot)
    wanted = [Relation.model_validate(one) for one in relations]
    verifier = Verifier(repository, _BUDGET, Silent(), lambda origin: by_name[origin.name], wanted)
    with contextlib.closing(verifier):
        return verifier.verify(snapshot, Level.RESTORED, Sample.parse(None, None))


def _source(proof: Proof = Proof.TOLERANT) -> LinesSource:
    return LinesSource("app", proofs={"s": proof}).put("s", *({"id": number} for number in range(50)))


def _drop_one(held: Held) -> None:
    held["s"].pop()


@pytest.mark.parametrize("proof", list(Proof))
def test_whatever_the_proof_what_is_lost_is_noticed(repository: Repository, proof: Proof) -> None:
    source = _source(proof)
    found = _verify(repository, source)
    assert (found.ok, found.checked.records, found.proof) == (True, 50, proof)
    source.after_restoring = _drop_one
    found = _verify(repository, source)
    assert [(problem.kind, problem.stream) for problem in found.problems] == [("records-differ", "app/s")]


def test_the_largest_error_is_evidence(repository: Repository) -> None:
    source = _source()
    source.comparison = lambda expected, restored: Compared(len(restored), (), "2 units in the last place")
    found = _verify(repository, source)
    assert [(one.stream, one.largest_error) for one in found.tolerated] == [("app/s", "2 units in the last place")]
    [(_, _, _, fields)] = read_evidence(repository).found
    assert fields["tolerated"] == [{"stream": "app/s", "largest_error": "2 units in the last place"}]
    assert fields["checked"]["records"] == 50


def test_differences_are_told_and_counted(repository: Repository) -> None:
    source = _source()
    source.comparison = lambda expected, restored: Compared(7, ("record 8 differs", "record 9 differs"), "enormous")
    found = _verify(repository, source)
    assert [problem.message for problem in found.problems] == ["s: record 8 differs", "s: record 9 differs"]
    assert (found.checked.records, found.tolerated) == (7, [])


def test_what_was_compared_in_part_only_is_a_problem(repository: Repository) -> None:
    source = _source()
    source.comparison = lambda expected, restored: Compared(7)
    found = _verify(repository, source)
    assert [problem.message for problem in found.problems] == ["s: 7 of 50 records were compared"]


def test_a_copy_that_does_worse_is_a_problem(repository: Repository) -> None:
    source = _source(Proof.IDENTICAL)
    source.found_worse = ("recall@10 is 0.4, and was 0.9",)
    found = _verify(repository, source)
    assert [(one.kind, one.message) for one in found.problems] == [("regression", "app: recall@10 is 0.4, and was 0.9")]
    assert source.points == [{"settled": True}, {"settled": True}]


def _two(left: list[Any]) -> tuple[LinesSource, LinesSource]:
    vectors = LinesSource("vectors").put("docs", *({"id": n, "meta": {"of": of}} for n, of in enumerate(left)))
    return vectors, LinesSource("app").put("documents", *({"id": number} for number in range(20)))


_RELATION = {"every": "vectors.docs.meta.of", "exists_in": "app.documents.id", "as": "int"}


def test_a_relation_that_holds(repository: Repository) -> None:
    found = _verify(repository, *_two([str(n % 20) for n in range(100)]), relations=(_RELATION,))
    assert found.ok
    [outcome] = found.relations
    assert (outcome.ok, outcome.checked, outcome.unfit) == (True, 100, 0)


def test_a_relation_that_does_not_hold_is_a_problem_and_evidence_without_data(repository: Repository) -> None:
    found = _verify(repository, *_two(["1", "31", "32"]), relations=(_RELATION, {**_RELATION, "slack": 2}))
    assert [problem.kind for problem in found.problems] == ["relation"]
    refused, passed = found.relations
    assert (refused.ok, refused.unfit, refused.allowed, set(refused.sample)) == (False, 2, 0, {"'31'", "'32'"})
    assert (passed.ok, passed.unfit, passed.allowed) == (True, 2, 2)
    assert found.proof is None
    [(_, _, _, fields)] = read_evidence(repository).found
    assert [(one["ok"], one["unfit"], one["allowed"]) for one in fields["relations"]] == [(False, 2, 0), (True, 2, 2)]
    assert "'31'" not in str(fields)
    assert "'31'" not in str([problem.message for problem in found.problems])
    levels, problems = reached(repository)
    assert not problems
    assert [one.last_failed for one in levels.values()] == [True]


def test_relations_wait_until_everything_came_back(repository: Repository) -> None:
    vectors, app = _two(["1"])
    app.after_restoring = lambda held: held["documents"].clear()
    found = _verify(repository, vectors, app, relations=(_RELATION,))
    assert [problem.kind for problem in found.problems] == ["records-differ"]
    assert found.relations == []


def test_relations_about_other_sources_are_not_this_snapshot_s(repository: Repository) -> None:
    found = _verify(repository, _two(["1"])[0], relations=(_RELATION,))
    assert (found.ok, found.relations) == (True, [])
