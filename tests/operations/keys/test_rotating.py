"""A new catalog key: what it closes, what it leaves open, and what nobody has to do."""

from __future__ import annotations

import contextlib

import pytest

from drtool.errors import RefusedError, TamperedError, UsageError, WrongKeyError
from drtool.operations.keys.agents import add_agent
from drtool.operations.keys.revoking import revoke
from drtool.operations.keys.rotating import Rotated, rotate
from drtool.operations.reporting import Silent
from drtool.repository.agent_key import AgentKey
from drtool.repository.chain import read_catalogue
from drtool.repository.trust import Role, keys_name
from tests.operations.keys.places import add, agent_opens, contents, read_as, rooted, second, stream
from tests.repository.builders import Made, backup, objects


def _rotate(made: Made, *remove: str) -> Rotated:
    with rooted(made) as (repository, authority):
        return rotate(repository, authority, Silent(), remove)


def test_everybody_reads_what_was_and_what_comes(made: Made) -> None:
    ada = second(made)
    add(made, ada)
    before = made.document()
    rotated = _rotate(made)
    after = made.document()
    assert (after.sequence, after.catalog_key) == (before.sequence + 1, rotated.catalog_key)
    assert after.catalog_key != before.catalog_key
    with contextlib.closing(made.as_agent()) as agent:
        backup(agent, [stream(2)])
    expected = read_as(made, made.identity, "owner")
    assert expected == [{"db.c": stream(1).chunks}, {"db.c": stream(2).chunks}]
    assert read_as(made, ada) == expected


def test_a_host_needs_no_new_file(made: Made) -> None:
    for _ in range(2):
        rotated = _rotate(made)
        assert (rotated.renewed, rotated.stranded) == (("host1",), ())
    assert made.document().catalog_key not in made.agent.keyring.catalog
    with contextlib.closing(made.as_agent()) as agent:
        assert agent.keyring.current == made.document().catalog_key
        assert len(agent.keyring.catalog) == 3
        snapshot = backup(agent, [stream(2)])
    sealed = made.storage.get(snapshot.manifest.name)
    assert sealed[9:17] == made.document().catalog_key
    assert agent_opens(made, made.agent) == 2


def test_the_id_key_stays_so_what_is_known_is_not_stored_again(made: Made) -> None:
    packs = objects(made.storage, "packs/").keys()
    _rotate(made)
    with contextlib.closing(made.as_agent()) as agent:
        backup(agent, [stream(1)])
    assert objects(made.storage, "packs/").keys() == packs


def test_a_backup_that_runs_meanwhile_stays_readable(made: Made) -> None:
    with contextlib.closing(made.as_agent()) as agent:
        _rotate(made)
        backup(agent, [stream(2)])
    assert read_as(made, made.identity) == [{"db.c": stream(1).chunks}, {"db.c": stream(2).chunks}]


def test_who_was_revoked_gets_no_new_key(made: Made) -> None:
    with rooted(made) as (repository, authority):
        revoke(repository, authority, "host1", Silent())
        fresh = add_agent(authority, "host2", Role.WRITER, made.local / "host2.key")
        assert rotate(repository, authority, Silent()).renewed == ("host2",)
    with pytest.raises(WrongKeyError, match="was revoked"):
        made.as_agent("thief")
    host2 = AgentKey.from_text(fresh.path.read_text(), "host2.key")
    assert agent_opens(made, host2) == 1


def test_a_thief_of_an_agent_key_reads_nothing_that_is_new(made: Made) -> None:
    """Who keeps a copy of everything, and the ring that the key file held."""
    with contextlib.closing(made.as_agent("thief")) as thief:
        with rooted(made) as (repository, authority):
            fresh = add_agent(authority, "host2", Role.WRITER, made.local / "host2.key")
            revoke(repository, authority, "host1", Silent())
            rotate(repository, authority, Silent())
        host2 = AgentKey.from_text(fresh.path.read_text(), "host2.key")
        with contextlib.closing(made.as_agent("host2", host2)) as agent:
            backup(agent, [stream(2)])
        catalogue = read_catalogue(thief)
        assert len(catalogue.snapshots) == 1  # what was there stays open to it
        assert [type(problem) for problem in catalogue.problems] == [WrongKeyError]
        assert [type(problem) for problem in thief.refresh_index()] == [WrongKeyError]


def test_a_recipient_that_is_removed_reads_nothing_that_is_new(made: Made) -> None:
    ada, bob = second(made), second(made)
    add(made, ada, verifier=True)
    add(made, bob, "Bob")
    with contextlib.closing(made._open(None, ada, "ada")) as hers:
        rotated = _rotate(made, "Ada")
        assert (rotated.removed, [entry.name for entry in rotated.recipients]) == (("Ada",), ["identity", "Bob"])
        with contextlib.closing(made.as_agent()) as agent:
            backup(agent, [stream(2)])
        assert [type(problem) for problem in hers.refresh_index()] == [WrongKeyError]
        assert len(read_catalogue(hers).snapshots) == 1
    with pytest.raises(WrongKeyError, match="not a recipient"):
        made._open(None, ada, "ada")
    assert made.document().is_revoked(ada.verifier_key.public)
    assert not any(ada.recipient.fingerprint.hex() in name for name in objects(made.storage))
    assert len(read_as(made, bob)) == len(read_as(made, made.identity, "owner")) == 2


def test_who_is_named_twice_is_removed_once(made: Made) -> None:
    ada = second(made)
    add(made, ada)
    assert _rotate(made, "Ada", ada.recipient.fingerprint.hex(), "Ada").removed == ("Ada",)
    assert made.document().catalog_key not in made.agent.keyring.catalog


@pytest.mark.parametrize(("name", "error"), [("identity", RefusedError), ("host1", UsageError), ("Eve", UsageError)])
def test_whom_rotation_cannot_remove(made: Made, name: str, error: type[Exception]) -> None:
    add(made, second(made))
    before = objects(made.storage)
    with pytest.raises(error):
        _rotate(made, "Ada", name)
    assert objects(made.storage) == before


def test_an_agent_that_was_enrolled_without_a_key_to_seal_to_is_told(made: Made) -> None:
    old = made.enrol("old")
    assert _rotate(made).stranded == ("old",)
    with pytest.raises(WrongKeyError, match="none was left for it"):
        made.as_agent("old", old)


def test_an_older_ring_that_was_put_back_is_noticed(made: Made) -> None:
    _rotate(made)
    names = [keys_name(made.identity.recipient), keys_name(made.agent.ring_opener.recipient)]
    older = {name: made.storage.get(name) for name in names}
    _rotate(made)
    for name, data in older.items():
        made.storage.put(name, data)
    for opened in (made.as_owner, made.as_agent):
        with pytest.raises(TamperedError, match="older than repository"):
            opened("somebody without memory")


def test_a_maintainer_is_an_agent_too(made: Made) -> None:
    with rooted(made) as (_, authority):
        path = add_agent(authority, "maintenance", Role.MAINTAINER, made.local / "m.key").path
    assert path.stat().st_mode & 0o777 == 0o600
    key = AgentKey.from_text(path.read_text(), "m.key")
    assert _rotate(made).renewed == ("host1", "maintenance")
    with contextlib.closing(made.as_agent("m", key)) as opened:
        assert opened.maintainer is not None
        assert not opened.document.allows(opened.signer.public, Role.WRITER)
        assert opened.refresh_index() == []
    with contextlib.closing(made.as_owner()) as owner:
        assert contents(owner)


def test_who_keeps_a_repository_open_takes_in_what_the_root_published(made: Made) -> None:
    ada = second(made)
    with contextlib.closing(made.as_agent()) as agent, contextlib.closing(made.as_owner()) as owner:
        assert not agent.reload()
        add(made, ada)
        _rotate(made)
        for opened in (agent, owner):
            assert opened.reload()
            assert not opened.reload()
            assert opened.document == made.document()
            assert opened.keyring.current == made.document().catalog_key
        backup(agent, [stream(2)])
    assert len(read_as(made, ada)) == 2
    with contextlib.closing(made.as_agent()) as agent:
        with rooted(made) as (repository, authority):
            revoke(repository, authority, "host1", Silent())
            rotate(repository, authority, Silent())
        with pytest.raises(WrongKeyError, match="was revoked"):
            agent.reload()
