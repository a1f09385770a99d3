"""What is put back, forged, or rolled back as a whole; and where in a pack a byte was changed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from drtool.repository.agent_key import AgentKey
from drtool.repository.chain import read_catalogue
from drtool.repository.keyring import ChunkKind
from drtool.repository.levels import Level
from drtool.repository.packs import MAGIC
from drtool.repository.removals import Removal, announce
from drtool.repository.sealed import Kind
from drtool.repository.trust import Revocation, Role
from tests.operations.tampering.scene import OPENING, Scene, problems_at
from tests.repository.builders import NOW, backup, commit, flipped, manifest_after
from tests.repository.victims import STREAMS

pytestmark = pytest.mark.heavy

HOSTS = ("host1", "new")


def _words(scene: Scene, host: str) -> tuple[str | None, str]:
    level, problems = scene.first_level(host)
    return level, "; ".join(f"{problem.object} {problem.message}" for problem in problems)


PARTS: dict[str, Callable[[bytes], int]] = {
    "magic": lambda _: 0,
    "number of slots": lambda _: len(MAGIC) + 1,
    "slot": lambda _: 200,
    "chunk": lambda data: len(data) // 2,
    "directory": lambda data: len(data) - 60,
    "footer": lambda data: len(data) - 3,
}


@pytest.mark.parametrize("part", PARTS)
def test_wherever_a_pack_is_altered(scene: Scene, part: str) -> None:
    [name, *_] = scene.packs(ChunkKind.DATA)
    data = scene.made.storage.get(name)
    scene.made.storage.put(name, flipped(data, PARTS[part](data)))
    level, problems = scene.first_level("new")
    assert level == "intact"
    assert {problem.object for problem in problems} == {name}


@pytest.mark.parametrize("host", HOSTS)
def test_a_removed_snapshot_put_back(scene: Scene, host: str) -> None:
    with contextlib.closing(scene.made.as_both()) as both:
        first = read_catalogue(both).snapshots[0]
        data = scene.made.storage.get(first.manifest.name)
        assert both.maintainer is not None
        announce(both, Removal(snapshots=(first,)), both.maintainer)
        scene.made.storage.delete(first.manifest.name)
        assert problems_at(both, Level.LISTED) == []
    scene.made.storage.put(first.manifest.name, data)
    level, words = _words(scene, host)
    assert (level, "put it back" in words, first.id in words) == ("listed", True, True)


@pytest.mark.parametrize("host", HOSTS)
def test_a_manifest_signed_by_nobody(scene: Scene, host: str) -> None:
    made = scene.made
    stranger = AgentKey("x", made.agent.repository, made.agent.root, b"x" * 32, made.agent.keyring)
    with contextlib.closing(made.as_agent("stranger", stranger)) as repository:
        manifest = manifest_after(None, repository)
        made.storage.put(manifest.name, repository.seal(Kind.MANIFEST, manifest.name, manifest.encode()))
    level, problems = scene.first_level(host)
    assert level == "listed"
    assert [(problem.kind, problem.object) for problem in problems] == [("unknown-signer", manifest.name)]


@pytest.mark.parametrize("host", HOSTS)
def test_a_manifest_of_another_writer_with_a_number_of_this_ones(scene: Scene, host: str) -> None:
    made = scene.made
    with contextlib.closing(made.as_agent("host2", made.enrol("host2"))) as other:
        with contextlib.closing(made.as_agent()) as agent:
            newest = read_catalogue(agent).snapshots[-1]
        commit(other, number=newest.manifest.number + 1, previous=newest.hash, job=newest.manifest.job)
    level, words = _words(scene, host)
    assert level == "listed"
    assert "without an announced removal" in words  # it stands in a chain of its own, which lacks all before it


@pytest.mark.parametrize("host", HOSTS)
def test_a_second_manifest_with_the_same_number(scene: Scene, host: str) -> None:
    """Whoever stole the host's key forks its chain."""
    with contextlib.closing(scene.made.as_agent("thief")) as thief:
        newest = read_catalogue(thief).snapshots[-1].manifest
        forged = commit(thief, number=newest.number, previous=newest.previous)
    level, words = _words(scene, host)
    assert (level, forged.id in words) == ("listed", True)


@pytest.mark.parametrize("role", [Role.WRITER, Role.VERIFIER])
def test_a_removal_by_whoever_is_no_maintainer(scene: Scene, role: Role) -> None:
    made = scene.made
    key = made.enrol("other", role)
    with contextlib.closing(made.as_agent("other", key)) as other:
        newest = read_catalogue(other).snapshots[-1]
        name = announce(other, Removal(snapshots=(newest,)), key.signing_key)
        made.storage.delete(newest.manifest.name)
    level, words = _words(scene, "host1")
    assert (level, name in words, newest.id in words) == ("listed", True, True)


@pytest.mark.parametrize("host", HOSTS)
def test_a_removal_by_a_revoked_maintainer(scene: Scene, host: str) -> None:
    made = scene.made
    key = made.enrol("keeper", Role.MAINTAINER)
    with contextlib.closing(made.as_agent("keeper", key)) as keeper:
        newest, *_ = reversed(read_catalogue(keeper).snapshots)
        made.publish(revocations=(Revocation(key.signing_key.public, NOW, {}),))
        name = announce(keeper, Removal(snapshots=(newest,)), key.signing_key)
        data = made.storage.get(newest.manifest.name)
        made.storage.delete(newest.manifest.name)
    level, words = _words(scene, host)
    assert (level, name in words) == ("listed", True)
    assert (newest.id in words) == (host == "host1")  # the newest is missed by who has seen it
    made.storage.put(newest.manifest.name, data)
    assert "put it back" not in _words(scene, host)[1]


def test_the_newest_evidence_is_missed_by_who_has_seen_it(scene: Scene) -> None:
    newest = {}
    with contextlib.closing(scene.made.as_both()) as both:
        for name in scene.names("evidence/"):
            newest[both.open_object(Kind.EVIDENCE, name).signer] = name
    assert len(newest) == 2  # the agent's and the verifier's
    for name in newest.values():
        data = scene.made.storage.get(name)
        scene.made.storage.delete(name)
        with contextlib.closing(scene.made.as_agent()) as agent:
            found = [problem for problem in problems_at(agent, Level.LISTED) if problem.object == name]
        assert [problem.kind for problem in found] == ["rolled-back"]
        scene.made.storage.put(name, data)


def test_all_of_an_archived_log_is_missed_by_who_has_seen_it(scene: Scene) -> None:
    shutil.rmtree(scene.root / "oplog")
    level, words = _words(scene, "host1")
    assert (level, "the archived log of app" in words) == ("listed", True)
    assert scene.first_level("new")[0] is None


@pytest.mark.parametrize("host", HOSTS)
def test_an_older_document(scene: Scene, host: str) -> None:
    path = scene.root / "repository.json"
    old = path.read_bytes()
    scene.made.enrol("host2")
    with contextlib.closing(scene.made.as_agent()):
        pass  # it has seen the newer one
    path.write_bytes(old)
    level, problems = scene.first_level(host)
    assert level == (OPENING if host == "host1" else None)
    assert [problem.kind for problem in problems] == (["rolled-back"] if host == "host1" else [])


def test_the_whole_bucket_put_back_to_last_week(scene: Scene, tmp_path: Path) -> None:
    shutil.copytree(scene.root, tmp_path / "last week")
    with contextlib.closing(scene.made.as_both()) as both:
        newest = backup(both, STREAMS)
        assert problems_at(both, Level.READABLE) == []
    shutil.rmtree(scene.root)
    shutil.copytree(tmp_path / "last week", scene.root)
    level, problems = scene.first_level("host1")
    assert level == "listed"
    assert {problem.kind for problem in problems} == {"rolled-back"}
    assert any(newest.id in problem.message for problem in problems)
    assert any(problem.object.startswith("evidence/") for problem in problems)
    # Nobody without a memory can know: that is what --expect-head is for.
    assert scene.first_level("new")[0] is None
