"""Parts of audit logs in the repository: sealed, signed by whoever may, and linked so that a cut is missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.errors import DamagedObjectError, MissingObjectError, RolledBackError, TamperedError, UnknownSignerError
from drtool.repository.audit import Logged, read_logged, record
from drtool.repository.chain_ends import links_of
from drtool.repository.linked import AUDIT
from drtool.repository.manifests import object_hash
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import LastGood, Revocation, Role
from tests.repository.builders import NOW, Made, flipped, put_record

FILE = Path("/var/lib/drtool/audit.jsonl")
LOG = "ab" * 32


def _record(repository: Repository, *lines: str) -> str:
    return record(repository, FILE, LOG, lines or ("{}",), repository.signer)


def _found(repository: Repository) -> tuple[list[Logged], list[type]]:
    found, problems = read_logged(repository)
    return found, [type(problem) for problem in problems]


def test_what_was_put_is_read(made: Made) -> None:
    agent = made.as_agent()
    names = [_record(agent, "one", "two"), _record(agent, "three")]
    found, problems = _found(made.as_owner())
    assert problems == []
    assert [part.name for part in found] == names
    assert [part.lines for part in found] == [("one", "two"), ("three",)]
    assert [(part.number, part.log, part.file) for part in found] == [(1, LOG, str(FILE)), (2, LOG, str(FILE))]


@pytest.mark.parametrize("role", list(Role))
def test_every_role_may_sign_one(made: Made, role: Role) -> None:
    other = made.as_agent("host2", made.enrol("host2", role))
    assert other.may_sign(Kind.AUDIT)
    _record(other)
    assert _found(made.as_owner())[1] == []


def test_a_stranger_may_not(made: Made) -> None:
    stranger = made.as_agent("host2", made.enrol("host2"))
    made.publish(signers=made.document().signers[:-1])
    _record(stranger)
    assert _found(made.as_owner()) == ([], [UnknownSignerError])


def test_a_part_that_is_gone_is_missed(made: Made) -> None:
    agent = made.as_agent()
    first, second = _record(agent), _record(agent)
    assert _found(agent)[1] == []
    data = made.storage.get(first)
    made.storage.delete(first)
    assert _found(made.as_owner("new"))[1] == [MissingObjectError]
    made.storage.put(first, data)
    made.storage.delete(second)
    assert _found(made.as_owner("newer"))[1] == []  # who remembers nothing cannot know
    assert _found(made.as_agent())[1] == [RolledBackError]


def test_a_host_goes_on_where_it_remembers_to_have_ended(made: Made) -> None:
    agent = made.as_agent()
    _record(agent)
    made.storage.delete(_record(agent))
    _record(agent)
    found, problems = _found(agent)
    assert [part.number for part in found] == [1, 3]
    assert problems == [MissingObjectError]


def test_a_host_that_lost_its_state_goes_on_where_the_store_ends(made: Made) -> None:
    _record(made.as_agent("before"))
    _record(made.as_agent("after"))
    found, problems = _found(made.as_owner())
    assert ([part.number for part in found], problems) == ([1, 2], [])


def test_two_processes_of_one_signer(made: Made) -> None:
    one, other = made.as_agent("one"), made.as_agent("other")
    _record(one)
    assert _found(other)[1] == []
    _record(one)
    _record(other)  # does not know of the second
    found, problems = _found(made.as_owner())
    assert ([part.number for part in found], problems) == ([1, 2, 2], [])


def test_damage_is_told_by_name(made: Made) -> None:
    agent = made.as_agent()
    name = _record(agent)
    made.storage.put(name, flipped(made.storage.get(name), 99))
    made.storage.put(AUDIT + "garbage", b"garbage")
    found, problems = read_logged(made.as_owner())
    assert found == []
    assert {problem.object for problem in problems} == {name, AUDIT + "garbage"}


@pytest.mark.parametrize("fields", [{}, {"lines": "one"}, {"lines": [1]}, {"log": 7}, {"number": "1"}, {"number": 0}])
def test_a_part_of_any_shape(made: Made, fields: dict[str, object]) -> None:
    owner = made.as_owner()
    whole = {"at": NOW, "host": "h", "file": "f", "log": LOG, "lines": [], "number": 1, "previous": None}
    put_record(owner, Kind.AUDIT, AUDIT, {**whole, **fields} if fields else {})
    assert _found(owner) == ([], [DamagedObjectError])


def test_a_revoked_signer(made: Made) -> None:
    agent = made.as_agent()
    first = _record(agent)
    _record(agent)
    ends = links_of(made.as_owner(), agent.signer.public).ends()
    assert (ends["audit"].number, ends["audit"].name.startswith(AUDIT)) == (2, True)
    last = LastGood(1, object_hash(made.storage.get(first)))
    made.publish(revocations=(Revocation(agent.signer.public, NOW, {"audit": last}),))
    found, problems = _found(made.as_owner("new"))
    assert ([part.name for part in found], problems) == ([first], [TamperedError])
    assert not made.as_agent().may_sign(Kind.AUDIT)
