"""Keys that drtool changed, as a reader sees them that knows nothing but docs/format.md."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from drtool.operations.keys.escrowing import put_escrow
from drtool.operations.keys.paper import to_print
from drtool.operations.keys.revoking import revoke
from drtool.operations.keys.rotating import rotate
from drtool.operations.reporting import Silent
from drtool.repository.chain import read_catalogue
from drtool.repository.escrow import Cost, escrow_name
from drtool.repository.identity import Identity
from tests.format.chunks import DATA
from tests.format.keys import FormatError, read_escrow, typed_in
from tests.format.reader import Repository
from tests.operations.keys.places import add, rooted, second, stream
from tests.repository.builders import Made, backup, commit, make

WORDS = "Straße über dem Fluß, naïve Möwe"


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A repository with one snapshot."""
    made = make(tmp_path)
    _back_up(made, 1)
    return made


def _back_up(made: Made, number: int) -> None:
    with contextlib.closing(made.as_agent()) as agent:
        backup(agent, [stream(number)])


def _read(made: Made, identity: str) -> list[tuple[bytes, ...]]:
    """The chunks of each snapshot; nothing is wrong with any of them."""
    repository = Repository(Path(made.storage.url), identity)
    assert repository.problems == []
    found = []
    for snapshot in repository.snapshots:
        [one] = repository.streams(snapshot)
        chunks = (repository.chunks.read(DATA, each.id, each.length) for each in repository.references(one))
        found.append(tuple(chunks))
    return found


def test_after_a_rotation_by_added_slots_and_with_a_pinned_root(made: Made) -> None:
    ada = second(made)
    add(made, ada, old_packs=False)
    with pytest.raises(FormatError, match="was not sealed to this identity"):
        _read(made, ada.to_file("hers"))
    add(made, ada)
    with rooted(made) as (repository, authority):
        rotate(repository, authority, Silent())
    _back_up(made, 2)
    expected = [stream(1).chunks, stream(2).chunks]
    assert _read(made, made.identity.to_file("the root's")) == expected
    assert _read(made, ada.to_file("hers")) == expected
    with pytest.raises(FormatError, match="another root"):
        _read(made, Identity(ada.secret).to_file("hers, without the root"))


def test_through_escrow(made: Made) -> None:
    with rooted(made) as (repository, authority):
        put_escrow(repository, authority, WORDS, Cost(65_536, 1, 1))
    data = made.storage.get(escrow_name(made.identity.recipient))
    assert _read(made, read_escrow(data, WORDS)) == [stream(1).chunks]
    with pytest.raises(FormatError):
        read_escrow(data, WORDS.upper())
    with pytest.raises(FormatError, match="memory"):
        read_escrow(data.replace(b'"memory_kib":65536', b'"memory_kib":65535'), WORDS)


def test_from_paper(made: Made) -> None:
    page = to_print(made.identity, "ab" * 16, "the store")
    rows = "\n".join(line for line in page.splitlines() if "/" in line and line.startswith("    "))
    assert _read(made, typed_in(rows)) == [stream(1).chunks]
    letter = rows.split()[1][0]
    with pytest.raises(FormatError, match="group 1 is mistyped"):
        typed_in(rows.replace(letter, "A" if letter != "A" else "B", 1))


def test_what_a_revoked_signer_wrote_later_is_reported_and_not_read(made: Made) -> None:
    """Later by number, in another job, and with a number of its past."""
    _back_up(made, 2)
    with contextlib.closing(made.as_agent()) as thief:
        with rooted(made) as (repository, authority):
            revoke(repository, authority, "host1", Silent())
        commit(thief)
        commit(thief, job="another")
        commit(thief, number=1, previous=None, previous_snapshot=None)
    found = Repository(Path(made.storage.url), made.identity.to_file("mine"))
    assert [snapshot.fields["number"] for snapshot in found.snapshots] == [1, 2]
    assert sum("was signed by a revoked signer" in problem for problem in found.problems) == 2
    assert any("number 1 is claimed 2 times" in problem for problem in found.problems)
    with contextlib.closing(made.as_owner()) as owner:
        assert [one.manifest.number for one in read_catalogue(owner).snapshots] == [1, 2]
        assert {one.id for one in read_catalogue(owner).snapshots} == {snapshot.id for snapshot in found.snapshots}
