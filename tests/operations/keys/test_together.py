"""Two who change keys at once, and one who is killed at it: nothing is lost, and everybody still gets in."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import LockedError
from drtool.operations.keys.agents import add_agent
from drtool.operations.keys.escrowing import put_escrow
from drtool.operations.keys.recipients import add_recipient
from drtool.operations.keys.revoking import revoke
from drtool.operations.keys.rotating import rotate
from drtool.operations.reporting import Silent
from drtool.repository.authority import Authority
from drtool.repository.escrow import Cost
from drtool.repository.identity import Identity
from drtool.repository.keyring import Keyring
from drtool.repository.public_file import PublicHalf
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind, open_object
from drtool.repository.trust import RepositoryDocument, Role, keys_name, open_keyring
from drtool.storage.base import Capabilities, Storage
from drtool.storage.directory import DirectoryStorage
from tests.operations.keys.places import Killed, add, dying, read_as, rooted, stream
from tests.operations.keys.turns import in_turns
from tests.repository.builders import Made, backup, make, objects

PEOPLE = {name: name.encode().ljust(32, b".") for name in ("Ada", "Bob", "Eve")}
CHEAP = Cost(65_536, 1, 1)
Change = Callable[[Made, Repository, Authority], Any]


def _identity(made: Made, name: str) -> Identity:
    return Identity(PEOPLE[name], made.identity.root)


def _add(name: str) -> Change:
    return lambda made, repository, authority: add_recipient(
        repository, authority, PublicHalf.of(_identity(made, name)), Silent(), name=name
    )


def _enrol(name: str) -> Change:
    def enrol(made: Made, _repository: Repository, authority: Authority) -> None:
        path = made.local / f"{name}.key"
        path.unlink(missing_ok=True)
        add_agent(authority, name, Role.WRITER, path)

    return enrol


def _rotate(*remove: str) -> Change:
    return lambda _made, repository, authority: rotate(repository, authority, Silent(), remove)


def _revoke(name: str) -> Change:
    return lambda _made, repository, authority: revoke(repository, authority, name, Silent())


def _escrow(_made: Made, repository: Repository, authority: Authority) -> None:
    put_escrow(repository, authority, "correct horse battery staple one two", CHEAP)


CHANGES: dict[str, Change] = {
    "add Ada": _add("Ada"),
    "add Bob": _add("Bob"),
    "enrol host2": _enrol("host2"),
    "rotate": _rotate(),
    "rotate without Eve": _rotate("Eve"),
    "revoke Eve": _revoke("Eve"),
    "revoke host1": _revoke("host1"),
    "escrow": _escrow,
}
QUICK = sorted(CHANGES.keys() - {"escrow"})
#: Who comes second is told that somebody was quicker, or finds the work done (a name taken, a key revoked).
TOLD = {"LockedError", "RefusedError", "UsageError"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A repository with a snapshot and two recipients: the root and Eve."""
    made = make(tmp_path_factory.mktemp("together"))
    with contextlib.closing(made.as_agent()) as agent:
        backup(agent, [stream(1)])
    add(made, _identity(made, "Eve"), "Eve")
    return made


@pytest.fixture
def shared(template: Made, tmp_path: Path) -> Made:
    """A copy that a test may change."""
    return _copied(template, tmp_path)


def _copied(made: Made, to: Path) -> Made:
    """A copy of the store, seen by hosts without memory."""
    shutil.copytree(made.storage.url, to / "repository")
    (to / "local").mkdir()
    return replace(made, storage=DirectoryStorage(to / "repository"), local=to / "local")


def _do(made: Made, change: str, storage: Storage, host: str) -> Any:
    with rooted(replace(made, storage=storage), host) as (repository, authority):
        return CHANGES[change](made, repository, authority)


def _check(made: Made) -> None:
    """Everybody whom the document names gets the catalog keys of all that is there; and so do agents."""
    document = made.document()
    names = {entry.name for entry in document.recipients}
    agent = made.agent
    rings = [_ring(made, document, made.identity)]
    rings += [_ring(made, document, _identity(made, name)) for name in names & PEOPLE.keys()]
    if not document.is_revoked(agent.signing_key.public):
        is_current = document.catalog_key in agent.keyring.catalog
        rings.append(agent.keyring if is_current else _ring(made, document, agent.ring_opener))
    for name, data in objects(made.storage, "snapshots/").items():
        for ring in rings:
            assert open_object(Kind.MANIFEST, name, data, ring, document).payload


def _ring(made: Made, document: RepositoryDocument, identity: Identity) -> Keyring:
    return open_keyring(made.storage.get(keys_name(identity.recipient)), document, identity)


def _is_done(made: Made, change: str) -> bool:
    document = made.document()
    word, _, name = change.partition(" ")
    names = {entry.name for entry in document.recipients} | {signer.name for signer in document.signers}
    if word in ("add", "enrol"):
        return name in names
    if name == "host1":
        return document.is_revoked(made.agent.signing_key.public)
    return "Eve" not in names if name else document.catalog_key not in made.agent.keyring.catalog


@settings(max_examples=12)
@given(st.sampled_from(QUICK), st.sampled_from(QUICK), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_of_two_at_once_one_is_told_and_nothing_is_lost(
    template: Made, tmp_path_factory: pytest.TempPathFactory, first: str, second: str, calls: list[int]
) -> None:
    """The store's calls alternate: so many of the one, then so many of the other, …"""
    made = _copied(template, tmp_path_factory.mktemp("together"))
    results = in_turns(
        made.storage,
        [lambda storage: _do(made, first, storage, "one"), lambda storage: _do(made, second, storage, "other")],
        [number % 2 for number, count in enumerate(calls) for _ in range(count)],
    )
    _check(made)
    assert made.document().sequence > template.document().sequence
    for name, result in zip((first, second), results, strict=True):
        if isinstance(result, Exception):
            assert type(result).__name__ in TOLD, repr(result)
        else:
            assert _is_done(made, name)


@pytest.mark.parametrize("change", sorted(CHANGES.keys() - {"add Bob", "revoke Eve"}))
def test_killed_before_any_write_and_begun_again(template: Made, change: str, tmp_path: Path) -> None:
    """Wherever it ends, everybody still gets in; and the same command does the rest."""
    writes = 0
    survived = False
    while not survived:
        writes += 1
        made = _copied(template, tmp_path / f"{writes}")
        storage, fate = dying(made.storage, writes)
        with contextlib.suppress(Killed):
            _do(made, change, storage, "killed")
        survived = fate.survived
        _check(made)
        if not survived:
            is_gone = change.startswith("re") or change.endswith("Eve")
            _do(made, "rotate" if is_gone and _is_done(made, change) else change, made.storage, "again")
            _check(made)
        assert change == "escrow" or _is_done(made, change)
    assert writes > 1
    assert read_as(made, made.identity, "in the end") == [{"db.c": stream(1).chunks}]


def test_a_store_that_ignores_conditions_is_looked_at_once_more(shared: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DirectoryStorage, "probe", lambda self: Capabilities(True, False, False))
    with rooted(shared, "one") as (repository, authority):
        _do(shared, "add Bob", shared.storage, "other")
        with pytest.raises(LockedError, match="just now"):
            rotate(repository, authority, Silent())
    _check(shared)
    _do(shared, "rotate", shared.storage, "one")
    _check(shared)
