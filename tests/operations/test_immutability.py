"""Whoever holds a backup host's key and credentials, on buckets with Object Lock: what he can do, what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from drtool.errors import PermissionDeniedError
from drtool.operations.budget import Budget
from drtool.operations.policies import Place, agent_policy, maintenance_policy
from drtool.operations.prune.prune import Wishes, prune
from drtool.operations.repair.versions import bring_back
from drtool.operations.reporting import Silent
from drtool.operations.verify.inspecting import Sample
from drtool.operations.verify.verify import Verification, Verifier
from drtool.repository.chain import read_catalogue
from drtool.repository.levels import Level
from drtool.repository.locks import MOMENTARY, LockRule
from drtool.repository.manifests import SourceEntry
from drtool.repository.packs import pack_name
from drtool.repository.repository import Repository
from drtool.repository.trust import REPOSITORY_NAME
from drtool.sources.base import Source
from drtool.storage.base import Lock, Storage
from tests.repository.builders import Made, Stream, backup, make, put_removal
from tests.servers.vaults import Vault, open_vault

STREAMS = (Stream("db.c", tuple(b"record %d" % number * 1000 for number in range(50))), Stream("db.view", ()))
RULE = LockRule("COMPLIANCE", 1)


@pytest.fixture
def vault(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """A bucket with Object Lock, where RGW enforces the policies that doctor prints; moto has one user only."""
    with open_vault(getattr(request, "param", "moto"), tmp_path, monkeypatch) as opened:
        if opened.kind == "rgw":
            who = opened.enrol("agent", "maintenance")
            place = Place.of(opened.url)
            assert place is not None
            opened.allow(
                agent_policy(place, RULE, [who["agent"]]), maintenance_policy(place, RULE, [who["maintenance"]])
            )
        yield opened


def _as(vault: Vault, role: str) -> Storage:
    return vault.storage(role if vault.kind == "rgw" else "owner")


@pytest.fixture
def made(vault: Vault, tmp_path: Path) -> Made:
    """A repository that maintenance made, and into which the agent has backed up twice."""
    made = make(tmp_path, _as(vault, "maintenance"), RULE)
    made.storage = _as(vault, "agent")
    agent = made.as_agent()
    for _ in range(2):
        backup(agent, STREAMS)
    agent.close()
    return made


def _verified(repository: Repository) -> Verification:
    repository.refresh_index()
    verifier = Verifier(repository, Budget.within(300_000_000, None), Silent(), _no_source)
    try:
        return verifier.verify(read_catalogue(repository).snapshots[-1], Level.READABLE, Sample())
    finally:
        verifier.close()


def _no_source(_origin: SourceEntry) -> Source:
    raise AssertionError("no trial restore was asked for")


def _is_refused(attempt: Callable[..., object], *arguments: object, **options: object) -> bool:
    try:
        attempt(*arguments, **options)
    except PermissionDeniedError:
        return True
    return False


def _attack(storage: Storage) -> tuple[set[str], set[str]]:
    """Whatever can be done to each object: delete its versions, replace it, hide it. What was replaced, and hidden."""
    replaced: set[str] = set()
    hidden: set[str] = set()
    for info in list(storage.list_versions()):
        name, version = info.name, info.version
        if name.startswith(MOMENTARY) or info.is_delete_marker:
            continue
        assert _is_refused(storage.delete, name, version=version), name
        if not _is_refused(storage.put, name, b"nothing of the kind"):
            replaced.add(name)
        if not _is_refused(storage.delete, name):
            hidden.add(name)
    return replaced, hidden


@pytest.mark.parametrize("vault", ["moto", pytest.param("rgw", marks=pytest.mark.heavy)], indirect=True)
def test_the_thief_of_a_hosts_key_and_credentials(vault: Vault, made: Made) -> None:
    replaced, hidden = _attack(_as(vault, "agent"))
    if vault.kind == "rgw":
        # Without any right to delete, only what a host puts can be replaced: no keys, no repository.json.
        assert {name.partition("/")[0] for name in replaced} == {"packs", "index", "snapshots"}
        assert not hidden
    else:
        assert REPOSITORY_NAME in replaced & hidden
    harmed = replaced | hidden
    made.storage = _as(vault, "maintenance")
    owner = made.as_owner("a new machine")
    found = _verified(owner)
    # Everything was read, of the second snapshot too, and nothing is wrong but what was done to the store.
    assert found.checked.chunks > 0
    assert {problem.kind for problem in found.problems} <= {"hidden-object"}
    other = read_catalogue(owner).snapshots[0].manifest.name
    assert {problem.object for problem in found.problems} == harmed - {other}

    done = bring_back(owner, Silent())
    # Index objects that are hidden may have been hidden by prune; repair index makes them anew.
    assert {name for name in harmed if not name.startswith("index/")} <= set(done.back) <= harmed
    assert done.failed == []
    owner.close()
    again = made.as_owner("another one")
    assert {problem.object.partition("/")[0] for problem in _verified(again).problems} <= {"index"}
    again.close()


@pytest.mark.parametrize(
    "vault", [pytest.param("rgw", marks=pytest.mark.heavy)], indirect=True
)  # moto lets everybody shorten locks
def test_a_host_may_make_locks_longer_but_not_shorter(vault: Vault, made: Made) -> None:
    storage = _as(vault, "agent")
    name = next(info.name for info in storage.list("packs/"))
    now = storage.now().replace(microsecond=0)
    assert _is_refused(storage.set_lock, name, Lock(RULE.mode, now + timedelta(hours=1)))
    longer = RULE.lock(now + timedelta(hours=1))
    storage.set_lock(name, longer)
    assert storage.head(name).lock == longer


def test_prune_leaves_what_is_locked(made: Made) -> None:
    owner = made.as_owner()
    put_removal(owner, read_catalogue(owner).snapshots, owner.signer)
    for snapshot in read_catalogue(owner).snapshots:
        made.storage.delete(snapshot.manifest.name)
    assert read_catalogue(owner).snapshots == ()
    before = {info.name for info in made.storage.list("packs/")}
    done = prune(owner, Wishes(), Silent())
    assert {pack_name(pack) for pack in done.plan.locked} == before
    owner.close()
    # Without a rule what was locked stays so, and hiding it would look like an attack.
    made.publish(object_lock=None)
    owner = made.as_owner("later")
    done = prune(owner, Wishes(), Silent())
    assert {pack_name(pack) for pack in done.plan.locked} == before
    assert {info.name for info in made.storage.list("packs/")} == before
    owner.close()
