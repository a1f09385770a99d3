"""Several who read, each with an identity of its own."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from drtool.errors import DamagedObjectError, RefusedError, UsageError, WrongKeyError
from drtool.operations.keys.recipients import add_recipient
from drtool.operations.reporting import Silent
from drtool.repository.identity import Identity
from drtool.repository.packs import ADDED_SLOT_BYTES, SlotKind, decode_header
from drtool.repository.public_file import PublicHalf
from drtool.repository.runs import Run
from drtool.repository.trust import Role
from tests.operations.keys.places import add, contents, read_as, rooted, second, stream
from tests.repository.builders import Made, backup, flipped, objects


def _data_packs(made: Made) -> list[str]:
    packs = objects(made.storage, "packs/")
    return [name for name, data in packs.items() if decode_header(data, name)[0].kind is SlotKind.DATA]


def test_two_people_and_a_paper_read_what_was_and_what_comes(made: Made) -> None:
    ada, paper = second(made), second(made)
    assert add(made, ada).opened == add(made, paper, "paper").opened == len(_data_packs(made))
    with contextlib.closing(made.as_agent()) as agent:
        backup(agent, [stream(1), replace(stream(2), name="db.d")])
    expected = read_as(made, made.identity, "owner")
    assert [set(each) for each in expected] == [{"db.c"}, {"db.c", "db.d"}]
    for host, identity in (("ada", ada), ("paper", paper)):
        assert read_as(made, identity, host) == expected


def test_old_packs_may_stay_closed_and_be_opened_later(made: Made) -> None:
    ada = second(made)
    assert add(made, ada, old_packs=False).opened == 0
    assert objects(made.storage, "slots/") == {}
    with pytest.raises(WrongKeyError, match="not a recipient of this pack"):
        read_as(made, ada)
    again = add(made, ada)
    assert (again.was_there, again.opened, again.problems) == (True, len(_data_packs(made)), ())
    assert read_as(made, ada) == read_as(made, made.identity, "owner")
    assert add(made, ada).opened == 0


def test_what_was_cut_off_is_made_whole_again(made: Made) -> None:
    ada = second(made)
    add(made, ada)
    [(name, data)] = objects(made.storage, "slots/").items()
    assert len(data) == ADDED_SLOT_BYTES
    made.storage.put(name, data[:-1])
    with pytest.raises(DamagedObjectError, match="truncated"):
        read_as(made, ada)
    assert add(made, ada).opened == 1
    assert read_as(made, ada)


def test_a_pack_that_is_damaged_is_told_and_the_others_are_opened(made: Made) -> None:
    with contextlib.closing(made.as_agent()) as agent:
        backup(agent, [stream(2)])
    broken, sound = _data_packs(made)
    made.storage.put(broken, flipped(made.storage.get(broken), 10 + 18 + 20))
    added = add(made, second(made))
    assert (added.opened, [problem.object for problem in added.problems]) == (1, [broken])
    assert [name.rpartition("/")[2] for name in objects(made.storage, "slots/")] == [sound.rpartition("/")[2]]


def test_a_backup_that_runs_meanwhile_is_told(made: Made) -> None:
    ada = second(made)
    with contextlib.closing(made.as_agent()) as agent, Run(agent, "backup", "nightly") as run:
        with contextlib.closing(made.as_owner()) as owner, Run(owner, "restore"):
            assert add(made, ada).still_writing == (run.id,)
        backup(agent, [stream(2)])
    with pytest.raises(WrongKeyError):
        read_as(made, ada)
    assert add(made, ada).still_writing == ()
    assert read_as(made, ada) == read_as(made, made.identity, "owner")


def test_a_second_recipient_reads_and_signs_nothing(made: Made) -> None:
    ada = second(made)
    add(made, ada)
    with contextlib.closing(made._open(None, ada, "ada")) as repository:
        assert (repository.verifier, repository.maintainer) == (None, None)
    with pytest.raises(WrongKeyError, match="the repository was made with"), rooted(_owned_by(made, ada)):
        pass


def _owned_by(made: Made, identity: Identity) -> Made:
    return Made(made.storage, made.agent, identity, made.local)


def test_a_recipient_may_be_made_a_verifier_at_once_or_later(made: Made) -> None:
    ada, bob = second(made), second(made)
    add(made, ada, verifier=True)
    add(made, bob, "Bob")
    again = add(made, bob, "Bob", verifier=True)
    assert again.was_there
    for identity in (ada, bob):
        assert made.document().allows(identity.verifier_key.public, Role.VERIFIER)
    assert len(made.document().signers) == 4
    before = made.document().sequence
    add(made, bob, "Bob", verifier=True)
    assert made.document().sequence == before


@pytest.mark.parametrize(
    ("name", "error"),
    [("identity", RefusedError), ("host1", RefusedError), ("", UsageError), (" x", UsageError), ("a\nb", UsageError)],
)
def test_names_that_cannot_be(made: Made, name: str, error: type[Exception]) -> None:
    before = objects(made.storage)
    with pytest.raises(error):
        add(made, second(made), name)
    assert objects(made.storage) == before


def test_a_recipient_keeps_its_name(made: Made) -> None:
    ada = second(made)
    add(made, ada)
    with pytest.raises(RefusedError, match="as Ada"):
        add(made, ada, "Eve")


def test_a_verifier_needs_a_key_to_sign_with(made: Made) -> None:
    ada = second(made)
    add(made, ada)
    before = made.document()
    for recipient in (second(made).recipient, ada.recipient):
        with rooted(made) as (repository, authority), pytest.raises(UsageError, match="no verifier key"):
            add_recipient(repository, authority, PublicHalf(recipient), Silent(), verifier=True)
    assert made.document() == before


def test_a_secret_that_was_handed_over_is_told_and_so_is_another_root(made: Made) -> None:
    stranger = Identity.generate()
    reporter = Silent()
    with rooted(made) as (repository, authority):
        public = PublicHalf.from_text(stranger.to_file("mine"), "mine.key")
        added = add_recipient(repository, authority, public, reporter)
    assert added.name == f"recipient-{stranger.recipient.fingerprint.hex()[:8]}"
    assert "holds a secret" in reporter.warnings[0]
    assert f"root {made.identity.root.hex()}" in reporter.warnings[1]
    assert read_as(made, Identity(stranger.secret, made.identity.root))


def test_who_reads_by_added_slots_hands_nothing_on(made: Made) -> None:
    """What was added for one is of no use to another."""
    ada, eve = second(made), second(made)
    add(made, ada)
    add(made, eve, "Eve", old_packs=False)
    for name, data in objects(made.storage, f"slots/{ada.recipient.fingerprint.hex()}").items():
        made.storage.put(name.replace(ada.recipient.fingerprint.hex(), eve.recipient.fingerprint.hex()), data)
    with pytest.raises(DamagedObjectError, match="does not open"):
        read_as(made, eve)


def test_the_contents_are_what_was_written(made: Made) -> None:
    with contextlib.closing(made.as_owner()) as owner:
        assert contents(owner) == [{"db.c": stream(1).chunks}]
