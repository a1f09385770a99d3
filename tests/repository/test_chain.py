"""Chains of snapshots: gaps, forks, removals, rollback, revocation; and manifests themselves."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import (
    DamagedObjectError,
    FormatVersionError,
    MissingObjectError,
    NoSuchSnapshotError,
    RolledBackError,
)
from drtool.repository.chain import Snapshot, newest_first, read_catalogue
from drtool.repository.manifests import Manifest, StreamEntry, decode_streams, encode_streams
from drtool.repository.pages import PageRef
from drtool.repository.sealed import Kind
from drtool.repository.trust import LastGood, Revocation, chain_name
from drtool.repository.wire import encode_json
from tests.repository.builders import (
    NOW,
    Made,
    commit,
    flipped,
    manifest_after,
    objects,
    put_record,
    put_removal,
)


def _commits(made: Made, count: int, job: str = "nightly") -> list[Snapshot]:
    writer = made.as_agent()
    return [commit(writer, job=job) for _ in range(count)]


def _problems(made: Made, host: str = "a reader without memory") -> list[Exception]:
    repository = made.as_agent(host)
    try:
        return list(read_catalogue(repository).problems)
    finally:
        repository.close()


def _words(problems: list[Exception]) -> str:
    return " / ".join(map(str, problems))


def test_a_whole_chain(made: Made) -> None:
    snapshots = _commits(made, 5)
    _commits(made, 2, "weekly")
    catalogue = read_catalogue(made.as_owner())
    assert catalogue.problems == ()
    assert {s.id for s in snapshots} <= {s.id for s in catalogue.snapshots}
    assert len(catalogue.snapshots) == 7
    assert {key[2]: s.manifest.number for key, s in catalogue.heads().items()} == {"nightly": 5, "weekly": 2}
    assert catalogue.named(snapshots[2].id) == snapshots[2]
    with pytest.raises(NoSuchSnapshotError, match="begin with"):
        catalogue.named("2")
    with pytest.raises(NoSuchSnapshotError, match="no snapshot"):
        catalogue.named("x")


def test_the_newest_come_first(made: Made) -> None:
    snapshots = _commits(made, 10)
    made.storage.put(snapshots[4].manifest.name, b"damaged")
    found = [snapshot.id for snapshot in newest_first(made.as_agent())]
    assert found == sorted((s.id for s in snapshots if s is not snapshots[4]), reverse=True)


@pytest.mark.parametrize("gone", [[0], [2], [1, 2], [0, 1, 2, 3]])
def test_a_gap_is_noticed(made: Made, gone: list[int]) -> None:
    snapshots = _commits(made, 5)
    for index in gone:
        made.storage.delete(snapshots[index].manifest.name)
    (problem,) = _problems(made)
    assert isinstance(problem, MissingObjectError)
    assert str(gone[0] + 1) in problem.message


def test_an_announced_gap_is_none(made: Made) -> None:
    snapshots = _commits(made, 5)
    put_removal(made.as_owner(), [snapshots[0], snapshots[2]], made.identity.verifier_key)
    assert _problems(made) == []
    made.storage.delete(snapshots[1].manifest.name)
    assert "number 2 is gone" in _words(_problems(made))


def test_retention_is_announced_by_a_maintainer_only(made: Made) -> None:
    snapshots = _commits(made, 3)
    put_removal(made.as_agent(), [snapshots[0]], made.agent.signing_key)
    words = _words(_problems(made))
    assert "did not allow to sign a removal" in words
    assert "number 1 is gone" in words


@pytest.mark.parametrize("fields", [{}, {"number": 1}, {"number": 1, "snapshots": [{}]}, {"snapshots": 5}])
def test_a_bad_removal_is_a_problem_and_no_obstacle(made: Made, fields: dict[str, Any]) -> None:
    _commits(made, 2)
    put_record(made.as_owner(), Kind.REMOVAL, "removals/", fields, made.identity.verifier_key)
    made.storage.put("removals/garbage", b"garbage")
    repository = made.as_agent("reader")
    catalogue = read_catalogue(repository)
    assert [type(problem) for problem in catalogue.problems] == [DamagedObjectError] * 2
    assert len(catalogue.snapshots) == 2


def test_a_removed_snapshot_put_back_is_noticed(made: Made) -> None:
    snapshots = _commits(made, 3)
    data = made.storage.get(snapshots[1].manifest.name)
    put_removal(made.as_owner(), [snapshots[1]], made.identity.verifier_key)
    made.storage.put(snapshots[1].manifest.name, data)
    assert "was removed by retention, and somebody put it back" in _words(_problems(made))


def test_another_in_the_place_of_a_removed_one_is_noticed(made: Made) -> None:
    """Whoever stole an agent key cannot slip a snapshot into a gap that retention made."""
    snapshots = _commits(made, 4)
    put_removal(made.as_owner(), snapshots[1:3], made.identity.verifier_key)
    thief = made.as_agent("thief")
    commit(thief, number=2, previous=snapshots[0].hash)
    assert "another that retention removed" in _words(_problems(made))


def test_the_link_over_a_removed_snapshot_is_checked(made: Made) -> None:
    first = commit(made.as_agent())
    put_removal(made.as_owner(), [first], made.identity.verifier_key)
    commit(made.as_agent(), number=2, previous="00" * 32)
    assert "does not follow" in _words(_problems(made))


def test_a_fork_is_noticed(made: Made) -> None:
    first = commit(made.as_agent("host1"))
    for host in ("one restored disk", "another restored disk"):
        commit(made.as_agent(host), number=2, previous=first.hash)
    assert "2 snapshots claim number 2" in _words(_problems(made))


@pytest.mark.parametrize("fields", [{"number": 2, "previous": "00" * 32}, {"number": 2, "previous": None}])
def test_a_wrong_previous_is_noticed(made: Made, fields: dict[str, Any]) -> None:
    commit(made.as_agent())
    commit(made.as_agent("other"), **fields)
    assert "does not follow" in _words(_problems(made))


def test_a_first_snapshot_follows_nothing(made: Made) -> None:
    commit(made.as_agent(), number=1, previous="00" * 32)
    assert "does not follow" in _words(_problems(made))


@pytest.mark.parametrize("number", [0, -1, 1.5, "1", None, True])
def test_numbers_that_are_none_are_damage(made: Made, number: Any) -> None:
    repository = made.as_agent()
    manifest = manifest_after(None, repository, number=number)
    made.storage.put(manifest.name, repository.seal(Kind.MANIFEST, manifest.name, manifest.encode()))
    (problem,) = _problems(made)
    assert isinstance(problem, DamagedObjectError)
    assert manifest.name in problem.message


def test_an_enormous_number_is_one_problem(made: Made) -> None:
    commit(made.as_agent(), number=10**15, previous="00" * 32)
    (problem,) = _problems(made)
    assert str(10**15 - 1) in str(problem)


def test_a_host_notices_that_the_newest_snapshots_are_gone(made: Made) -> None:
    snapshots = _commits(made, 3)
    assert _problems(made, "host1") == []
    made.storage.delete(snapshots[2].manifest.name)
    (problem,) = _problems(made, "host1")
    assert isinstance(problem, RolledBackError)
    assert snapshots[2].id in problem.message
    # Without memory nobody can know: this is what reports of the head are for.
    assert _problems(made) == []


def test_a_host_notices_that_all_snapshots_are_gone(made: Made) -> None:
    for snapshot in _commits(made, 2):
        made.storage.delete(snapshot.manifest.name)
    (problem,) = _problems(made, "host1")
    assert isinstance(problem, RolledBackError)


def test_a_host_notices_another_newest_snapshot(made: Made) -> None:
    first, second = _commits(made, 2)
    made.storage.delete(second.manifest.name)
    commit(made.as_agent("thief"), number=2, previous=first.hash)
    assert "is not the one that this host has seen" in _words(_problems(made, "host1"))


def test_a_broken_chain_does_not_become_the_remembered_one(made: Made) -> None:
    snapshots = _commits(made, 2)
    reader = made.as_agent("reader")
    read_catalogue(reader)
    commit(made.as_agent("thief"), number=9, previous="00" * 32)
    assert read_catalogue(reader).problems
    assert [head.number for head in reader.state.heads()] == [len(snapshots)]


def test_snapshots_of_another_origin_may_be_some_only(made: Made) -> None:
    origin = "ab" * 16
    commit(made.as_agent(), repository=origin, number=3, previous="00" * 32)
    assert _problems(made) == []
    commit(made.as_agent(), repository=origin, number=4, previous="11" * 32)
    assert "does not follow" in _words(_problems(made))


# --- revocation --------------------------------------------------------------------------


def _revoke(made: Made, snapshots: list[Snapshot]) -> None:
    last = snapshots[-1]
    ends = {chain_name(last.manifest.repository, last.manifest.job): LastGood(last.manifest.number, last.hash)}
    made.publish(revocations=(Revocation(made.agent.signing_key.public, NOW, ends),))


def test_what_a_revoked_signer_wrote_before_stays(made: Made) -> None:
    _revoke(made, _commits(made, 3))
    catalogue = read_catalogue(made.as_owner())
    assert (len(catalogue.snapshots), catalogue.problems) == (3, ())


@pytest.mark.parametrize(
    "fields", [{}, {"job": "weekly"}, {"repository": "ab" * 16, "number": 1, "previous": None}], ids=str
)
def test_what_a_revoked_signer_writes_afterwards_does_not_count(made: Made, fields: dict[str, Any]) -> None:
    snapshots = _commits(made, 3)
    writer = made.as_agent()
    _revoke(made, snapshots)
    manifest = manifest_after(snapshots[-1].head, writer, **fields)
    made.storage.put(manifest.name, writer.seal(Kind.MANIFEST, manifest.name, manifest.encode()))
    catalogue = read_catalogue(made.as_owner())
    assert {s.id for s in catalogue.snapshots} == {s.id for s in snapshots}
    (problem,) = catalogue.problems
    assert "after its key had been revoked" in problem.message


def test_a_revoked_signer_cannot_replace_its_last_good_snapshot(made: Made) -> None:
    snapshots = _commits(made, 3)
    writer = made.as_agent()
    _revoke(made, snapshots)
    made.storage.delete(snapshots[2].manifest.name)
    manifest = manifest_after(snapshots[1].head, writer)
    made.storage.put(manifest.name, writer.seal(Kind.MANIFEST, manifest.name, manifest.encode()))
    catalogue = read_catalogue(made.as_owner())
    assert len(catalogue.snapshots) == 2
    assert "after its key had been revoked" in _words(list(catalogue.problems))


# --- single manifests --------------------------------------------------------------------


def test_a_damaged_manifest_is_a_problem_by_name_and_the_others_count(made: Made) -> None:
    snapshots = _commits(made, 3)
    name = snapshots[2].manifest.name
    made.storage.put(name, flipped(made.storage.get(name), 200))
    made.storage.put("snapshots/garbage", b"")
    made.storage.put("snapshots/20991121t020000z-0000000000", made.storage.get(snapshots[0].manifest.name))
    catalogue = read_catalogue(made.as_owner())
    assert len(catalogue.snapshots) == 2
    assert {p.message.split()[0] for p in catalogue.problems} == {
        name,
        "snapshots/garbage",
        "snapshots/20991121t020000z-0000000000",
    }


def test_manifest_round_trip(made: Made) -> None:
    manifest = manifest_after(None, made.as_agent(), stream_chunks=[(b"i" * 32, 5)], stream_count=1)
    assert Manifest.decode(manifest.encode(), manifest.name) == manifest


def test_fields_of_later_versions_are_ignored(made: Made) -> None:
    manifest = manifest_after(None, made.as_agent())
    fields = json.loads(manifest.encode()) | {"later": 1}
    fields["statistics"]["later"] = 1
    fields["sources"][0]["later"] = 1
    assert Manifest.decode(encode_json(fields), manifest.name) == manifest


@pytest.mark.parametrize("value", [None, 5, [], {}, "text", [5], {"a": 1}])
def test_manifests_of_any_shape_are_damage_or_manifests(made: Made, value: Any) -> None:
    manifest = manifest_after(None, made.as_agent())
    fields = json.loads(manifest.encode())
    for name in fields:
        with suppress(DamagedObjectError, FormatVersionError):
            Manifest.decode(encode_json(fields | {name: value}), manifest.name)
        without = {key: kept for key, kept in fields.items() if key != name}
        with pytest.raises(DamagedObjectError, match=manifest.name):
            Manifest.decode(encode_json(without), manifest.name)


def test_a_manifest_that_requires_what_this_version_does_not_know_is_refused(made: Made) -> None:
    agent = made.as_agent()
    manifest = manifest_after(None, agent, requires=("time travel",))
    made.storage.put(manifest.name, agent.seal(Kind.MANIFEST, manifest.name, manifest.encode()))
    (problem,) = _problems(made)
    assert isinstance(problem, FormatVersionError)
    assert "time travel" in problem.message


ENTRY = StreamEntry(
    "app",
    "db.c",
    "collection",
    "",
    "identical",
    "exact",
    True,
    True,
    1 << 64,
    b"d" * 32,
    5,
    PageRef(b"r" * 32, 0, 1, 2, 3),
)

entries = st.builds(
    replace,
    st.just(ENTRY),
    name=st.text(max_size=20),
    source=st.sampled_from(["app", "vectors"]),
    keyed=st.booleans(),
    threshold=st.integers(1, 1 << 64),
    root=st.none() | st.builds(PageRef, st.just(b"r" * 32), st.just(1), *[st.integers(0, (1 << 64) - 1)] * 3),
)


@given(st.lists(entries, max_size=20, unique_by=lambda entry: (entry.source, entry.name)), st.integers(1, 5))
def test_stream_lists_round_trip(found: list[StreamEntry], repeat: int) -> None:
    many = [replace(entry, name=f"{entry.name}{n}") for entry in found for n in range(30 * repeat)]
    assert decode_streams(encode_streams(many)) == sorted(many, key=lambda entry: (entry.source, entry.name))


@pytest.mark.parametrize("line", [b"{}", b"[]", b"x", b'{"root":5}'])
def test_damaged_stream_lists(line: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        decode_streams([line])


def test_a_manifest_is_created_once(made: Made) -> None:
    commit(made.as_agent())
    assert len(objects(made.storage, "snapshots/")) == 1
