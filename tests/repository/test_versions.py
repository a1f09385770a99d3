"""What a store with versions and locks gives back after somebody deleted, replaced and hid what he could."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drtool.errors import PermissionDeniedError, RepositoryExistsError
from drtool.repository.chain import read_catalogue
from drtool.repository.identity import Identity
from drtool.repository.keyring import ChunkKind
from drtool.repository.locks import MOMENTARY, LockRule
from drtool.repository.manifests import decode_streams
from drtool.repository.packs import added_slots_name, decode_header, encode_added_slots
from drtool.repository.pages import walk
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository, create
from drtool.repository.sealed import Kind
from drtool.repository.trust import REPOSITORY_NAME
from drtool.storage.base import ObjectInfo, Storage
from tests.repository.builders import Made, Stream, backup, make, put_removal
from tests.servers.vaults import open_vault

STREAM = Stream("db.c", tuple(b"record %d" % number * 1000 for number in range(50)))
RULE = LockRule("COMPLIANCE", 1)
#: For what only a server can show that keeps locks as AWS does. MiniStack hides nothing that is locked, and knows no
#: range of a version.
on_ceph_too = pytest.mark.parametrize("made", ["moto", "rgw"], indirect=True)


@contextmanager
def _laid_out(kind: str, directory: Path) -> Iterator[Made]:
    """A repository with two snapshots of the same records, in a bucket with Object Lock."""
    with pytest.MonkeyPatch.context() as monkeypatch, open_vault(kind, directory, monkeypatch) as vault:
        made = make(directory, vault.storage(), RULE)
        agent = made.as_agent()
        for _ in range(2):
            backup(agent, [STREAM])
        agent.close()
        yield made


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """On moto."""
    with _laid_out("moto", tmp_path_factory.mktemp("moto")) as made:
        yield made


@pytest.fixture(scope="module")
def rgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """On Ceph's RGW."""
    with _laid_out("rgw", tmp_path_factory.mktemp("rgw")) as made:
        yield made


def _versions(storage: Storage) -> set[tuple[str, str | None]]:
    return {(info.name, info.version) for info in storage.list_versions()}


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    """The repository, to hosts that have not seen it. What a test puts over it (unlocked) goes afterwards."""
    shared: Made = request.getfixturevalue(getattr(request, "param", "moto"))
    before = _versions(shared.storage)
    yield replace(shared, local=tmp_path)
    for name, version in _versions(shared.storage) - before:
        shared.storage.delete(name, version=version)


def _hide(storage: Storage, name: str) -> None:
    storage.delete(name)


def _replace(storage: Storage, name: str) -> None:
    storage.put(name, b"nothing of the kind")


def _replace_alike(storage: Storage, name: str) -> None:
    """By what is of the same size: packs by packs for others, which are whole but for whom their keys are sealed to."""
    data = bytearray(storage.get(name))
    if name.startswith("packs/"):
        for slot in decode_header(bytes(data), name):
            encoded = slot.encode()
            whom = slot.catalog_key or next(iter(slot.sealed))
            data[data.index(encoded) + encoded.index(whom)] ^= 1
    else:
        data[0] ^= 1
    storage.put(name, data)


def _replace_and_hide(storage: Storage, name: str) -> None:
    _replace(storage, name)
    _hide(storage, name)


def _locked(storage: Storage) -> list[str]:
    return [info.name for info in storage.list() if not info.name.startswith(MOMENTARY)]


def _read(repository: Repository) -> Sequence[bytes]:
    """The records of the newest snapshot."""
    repository.refresh_index()
    reader = ChunkReader(repository)
    try:
        lists = read_catalogue(repository).snapshots[-1].manifest.stream_chunks
        (entry,) = decode_streams(reader.get(ChunkKind.CATALOG, id_, length) for id_, length in lists)
        return tuple(reader.stream(ref for leaf in walk(entry.root, reader.get_page) for ref in leaf.chunks))
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("made", "harm"),
    [("moto", _replace), ("moto", _replace_alike), ("rgw", _replace_and_hide)],
    indirect=["made"],
)
def test_everything_comes_back(made: Made, harm: Callable[[Storage, str], None]) -> None:
    names = _locked(made.storage)
    for name in names:
        harm(made.storage, name)
    owner = made.as_owner("somewhere new")
    catalogue = read_catalogue(owner)
    assert (len(catalogue.snapshots), catalogue.problems) == (2, ())
    assert _read(owner) == STREAM.chunks
    assert {error.object for error in owner.storage.hidden()} == set(names)
    owner.close()


def test_a_pack_that_is_healed_while_another_thread_reads_it(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    for info in list(made.storage.list("packs/")):
        made.storage.put(info.name, b"too short")
    owner = made.as_owner()
    real = owner.storage.head

    def head(name: str) -> ObjectInfo:
        assert owner.storage.heal(name)  # as the other thread does between a read that fails and this
        return real(name)

    monkeypatch.setattr(owner.storage, "head", head)
    assert _read(owner) == STREAM.chunks
    owner.close()


def test_slots_that_were_added_come_back(made: Made) -> None:
    name = added_slots_name(Identity.generate().recipient, bytes(32))
    right = encode_added_slots({bytes(16): bytes(32)}, made.agent.keyring.lineage, made.identity.recipient)
    made.storage.put(name, right)
    made.storage.put(name, b"nothing of the kind")
    owner = made.as_owner()
    assert owner.storage.get(name) == right
    assert [error.object for error in owner.storage.hidden()] == [name]
    owner.close()


def test_listings_tell_of_it_each_time(made: Made) -> None:
    """Also where this host holds what it once read."""
    names = {info.name for info in made.storage.list("snapshots/")}
    for name, harm in zip(names, (_hide, _replace_alike), strict=True):
        harm(made.storage, name)
    for _ in range(3):
        agent = made.as_agent()
        assert len(read_catalogue(agent).snapshots) == 2
        assert {error.object for error in agent.storage.hidden()} == names
        agent.close()


@on_ceph_too
def test_what_is_locked_cannot_be_deleted(made: Made) -> None:
    for info in [*made.storage.list_versions()]:
        assert info.version is not None
        if info.name.startswith(MOMENTARY):
            assert made.storage.head(info.name).lock is None
            continue
        lock = made.storage.head(info.name).lock
        assert lock is not None
        assert lock.until - made.storage.now() > timedelta(hours=23)
        with pytest.raises(PermissionDeniedError):
            made.storage.delete(info.name, version=info.version)


def test_a_manifest_signed_again_does_not_win_over_the_first(made: Made) -> None:
    """Whoever has stolen a host's key can sign what he likes, under names that are taken, too."""
    agent = made.as_agent()
    manifest = read_catalogue(agent).snapshots[-1].manifest
    name, right = manifest.name, made.storage.get(manifest.name)
    for forged in (replace(manifest, stream_chunks=()), replace(manifest, host="h" * len(manifest.host))):
        made.storage.put(name, agent.seal(Kind.MANIFEST, name, forged.encode()))
        owner = made.as_owner(f"new {len(forged.stream_chunks)}")
        for opened in (agent, owner):
            assert read_catalogue(opened).snapshots[-1].manifest == manifest
            assert opened.storage.get(name) == right
            assert {error.object for error in opened.storage.hidden()} == {name}
        assert _read(owner) == STREAM.chunks
        owner.close()
    made.storage.put(name, right)
    owner = made.as_owner("after repair")
    assert read_catalogue(owner).problems == ()
    assert owner.storage.hidden() == []
    owner.close()
    agent.close()


def test_an_older_repository_json_put_back_counts_for_nothing(made: Made) -> None:
    old = made.storage.get(REPOSITORY_NAME)
    made.publish()
    newest = made.publish().sequence
    made.storage.put(REPOSITORY_NAME, old)
    owner = made.as_owner("somewhere new")
    assert owner.document.sequence == newest
    assert [error.object for error in owner.storage.hidden()] == [REPOSITORY_NAME]
    owner.close()


def test_no_repository_is_made_over_a_hidden_one(made: Made) -> None:
    made.storage.delete(REPOSITORY_NAME)
    with pytest.raises(RepositoryExistsError):
        create(made.storage, "host2")


def test_what_retention_announced_and_hid_is_gone(made: Made) -> None:
    owner = made.as_owner()
    owner.storage.rule = None
    first, second = read_catalogue(owner).snapshots
    put_removal(owner, [first], owner.signer)
    for snapshot in (first, second):
        made.storage.delete(snapshot.manifest.name)
    catalogue = read_catalogue(owner)
    assert ([found.id for found in catalogue.snapshots], catalogue.problems) == ([second.id], ())
    assert [error.object for error in owner.storage.hidden()] == [second.manifest.name]
    owner.close()


def test_hidden_index_objects_and_keys_are_no_sign_of_anything(made: Made) -> None:
    """Pruning and revoking hide what is locked: it is looked for only where something is missing."""
    for info in [*made.storage.list("index/"), *made.storage.list("keys/")]:
        made.storage.delete(info.name)
    agent = made.as_agent()
    assert [*agent.storage.list("index/"), *agent.storage.list("keys/")] == []
    assert agent.storage.hidden() == []
    agent.close()
    owner = made.as_owner("somewhere new")
    assert _read(owner) == STREAM.chunks
    assert {error.object.partition("/")[0] for error in owner.storage.hidden()} == {"index", "keys"}
    owner.close()


def test_nothing_new_rests_on_what_is_hidden(made: Made) -> None:
    """The next backup stores anew what somebody hid, instead of referring to it."""
    packs = [info.name for info in made.storage.list("packs/")]
    for name in packs:
        made.storage.delete(name)
    agent = made.as_agent()
    assert {info.name for info in agent.storage.list("packs/") if not info.is_latest} == set(packs)
    agent.close()


@on_ceph_too
def test_locks_are_extended_when_less_than_half_remains(made: Made) -> None:
    agent = made.as_agent()
    packs = [info.name for info in agent.storage.list("packs/")]
    assert agent.storage.extend(packs) == 0
    before = agent.storage.locked_until(packs[0])
    agent.storage.rule = LockRule(RULE.mode, 3)
    assert agent.storage.extend(packs) == len(packs)
    after = agent.storage.locked_until(packs[0])
    assert before is not None
    assert after is not None
    assert after - before > timedelta(days=1.5)
    agent.close()
    stranger = made.as_owner("without notes")
    stranger.storage.rule = LockRule(RULE.mode, 3)
    assert stranger.storage.extend(packs) == 0
    assert stranger.storage.locked_until(packs[0]) == after
    stranger.close()
