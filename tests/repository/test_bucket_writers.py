"""What docs/security.md claims about whoever writes to the bucket and has no key, as tests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from drtool.errors import (
    DamagedObjectError,
    DrtoolError,
    MissingObjectError,
    RolledBackError,
    TamperedError,
    WrongKeyError,
)
from drtool.repository.agent_key import AgentKey
from drtool.repository.chain import read_catalogue
from drtool.repository.evidence import EVIDENCE, reached, record
from drtool.repository.identity import Identity
from drtool.repository.index import decode_index, encode_index, index_name
from drtool.repository.keyring import ChunkKind
from drtool.repository.levels import Level
from drtool.repository.manifests import SNAPSHOTS, decode_streams
from drtool.repository.packs import pack_name
from drtool.repository.pages import walk
from drtool.repository.primitives import SigningKey
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.repository.sealed import HEADER_BYTES, Kind, open_object
from drtool.repository.trust import REPOSITORY_NAME, NamedRecipient, Role, Signer, keys_name
from tests.repository.builders import (
    NOW,
    Made,
    backup,
    flipped,
    manifest_after,
    objects,
    put_record,
)
from tests.repository.victims import MARKERS, STREAMS, evidence_of

INTRUDER = Identity(b"x" * 32)
INTRUDER_KEY = SigningKey(b"x" * 32)


def _add_recipient(made: Made) -> None:
    document = made.document()
    added = (*document.recipients, NamedRecipient(INTRUDER.recipient, "identity", NOW))
    made.storage.put(REPOSITORY_NAME, document.next(recipients=added).sign(INTRUDER.root_key))


def _add_signer(made: Made) -> None:
    document = made.document()
    signer = Signer(INTRUDER_KEY.public, "host9", frozenset(Role), NOW)
    line = document.next(signers=(*document.signers, signer)).sign(INTRUDER.root_key).split(b"\n")[0]
    genuine = made.storage.get(REPOSITORY_NAME).split(b"\n")[1]
    made.storage.put(REPOSITORY_NAME, line + b"\n" + genuine + b"\n")


def _swap_root(made: Made) -> None:
    document = replace(made.document(), root=INTRUDER.root)
    made.storage.put(REPOSITORY_NAME, document.next().sign(INTRUDER.root_key))


@pytest.mark.parametrize("attack", [_add_recipient, _add_signer, _swap_root])
def test_nobody_but_the_root_changes_who_may(victim: Made, attack: Callable[[Made], None]) -> None:
    attack(victim)
    for way_in in (victim.as_agent, victim.as_owner, victim.as_both):
        with pytest.raises((TamperedError, WrongKeyError), match="root"):
            way_in()


def _intruder(made: Made) -> Repository:
    """Somebody who even has the catalog keys, but a signing key of its own."""
    return made.as_agent(
        "intruder", AgentKey("x", made.agent.repository, made.agent.root, b"x" * 32, made.agent.keyring)
    )


def test_a_strangers_manifest_is_ignored_by_name(victim: Made) -> None:
    intruder = _intruder(victim)
    before = read_catalogue(victim.as_agent("before")).snapshots
    manifest = manifest_after(None, intruder)
    victim.storage.put(manifest.name, intruder.seal(Kind.MANIFEST, manifest.name, manifest.encode()))
    catalogue = read_catalogue(victim.as_agent("after"))
    assert catalogue.snapshots == before
    (problem,) = catalogue.problems
    assert isinstance(problem, TamperedError)
    assert manifest.name in problem.message


def test_a_strangers_index_is_ignored_by_name(victim: Made) -> None:
    intruder = _intruder(victim)
    data = encode_index([], intruder.keyring, INTRUDER_KEY, intruder.document.repository)
    victim.storage.put(index_name(data), data)
    (problem,) = victim.as_agent("after").refresh_index()
    assert isinstance(problem, TamperedError)
    assert index_name(data) in problem.message


def test_a_strangers_evidence_is_ignored_by_name(victim: Made) -> None:
    intruder = _intruder(victim)
    snapshot = read_catalogue(victim.as_agent()).snapshots[1]
    id_ = record(intruder, evidence_of(snapshot.hash, Level.RESTORED), INTRUDER_KEY)
    best, problems = reached(victim.as_owner())
    assert snapshot.hash not in best
    assert [EVIDENCE + id_ in problem.message for problem in problems] == [True]


@pytest.mark.parametrize("kind", [Kind.REMOVAL, Kind.TOMBSTONE, Kind.DISTRUST, Kind.PIN, Kind.RUN, Kind.LEASE])
def test_no_record_of_a_stranger_counts(victim: Made, kind: Kind) -> None:
    name = put_record(_intruder(victim), kind, f"{kind.label}s/", {}, INTRUDER_KEY)
    with pytest.raises(TamperedError, match=name):
        victim.as_agent().open_object(kind, name)


def _everything(made: Made, host: str) -> list[DrtoolError]:
    """All that a verification of level `readable` looks at, and what it finds wrong."""
    try:
        owner = made._open(None, made.identity, host)
    except DrtoolError as error:
        return [error]
    problems: list[DrtoolError] = list(owner.refresh_index())
    catalogue = read_catalogue(owner)
    problems += [*catalogue.problems, *reached(owner)[1]]
    reader = ChunkReader(owner)
    for name, data in objects(made.storage, "packs/").items():
        if name != pack_name(hashlib.sha256(data).digest()):
            problems.append(DamagedObjectError(f"{name} is altered"))
    for snapshot in catalogue.snapshots:
        try:
            chunks = snapshot.manifest.stream_chunks
            for entry in decode_streams(reader.get(ChunkKind.CATALOG, id_, length) for id_, length in chunks):
                reader.get(ChunkKind.PRIVATE, entry.definition, entry.definition_length)
                for leaf in walk(entry.root, reader.get_page):
                    reader.get(ChunkKind.PRIVATE, leaf.bounds, leaf.bounds_length)
                    for ref in leaf.chunks:
                        reader.get(ChunkKind.DATA, ref.id, ref.length)
        except DrtoolError as error:
            problems.append(error)
    owner.close()
    reader.close()
    return problems


def _watched(made: Made) -> list[str]:
    """Every object that a restore or a listing rests on: runs are momentary, and no one restores from them."""
    return [name for name in objects(made.storage) if not name.startswith("runs/")]


def test_nothing_is_wrong_to_begin_with(victim: Made) -> None:
    assert _everything(victim, "verifier") == []
    folders = {name.split("/")[0] for name in _watched(victim)}
    assert folders == {REPOSITORY_NAME, "keys", "packs", "index", "snapshots", "evidence"}


def _positions(data: bytes) -> list[int]:
    """Some positions in every part of an object, without the root that signed lines name for convenience."""
    spread = range(0, len(data), max(1, len(data) // 6))
    chosen = {0, 1, 8, 9, HEADER_BYTES, len(data) - 13, len(data) - 5, *spread} & {*range(len(data))}
    line_end = data.find(b'\n{"root"')
    convenience = range(line_end, data.find(b'"signature"')) if line_end >= 0 else range(0)
    return sorted(chosen - {*convenience})


@pytest.mark.heavy
def test_a_flipped_byte_in_any_object_is_noticed(victim: Made) -> None:
    for name in _watched(victim):
        whole = victim.storage.get(name)
        for position in _positions(whole):
            victim.storage.put(name, flipped(whole, position))
            assert _everything(victim, f"{name} {position}".replace("/", " ")) != [], (name, position)
        victim.storage.put(name, whole)
    assert _everything(victim, "verifier") == []


@pytest.mark.heavy
def test_a_truncated_object_is_noticed(victim: Made) -> None:
    for name in _watched(victim):
        whole = victim.storage.get(name)
        for end in (0, 1, 10, len(whole) // 2, len(whole) - 2):
            victim.storage.put(name, whole[:end])
            assert _everything(victim, f"{name} {end}".replace("/", " ")) != [], (name, end)
        victim.storage.put(name, whole)


def test_a_deleted_object_is_noticed_by_a_host_that_has_seen_it(victim: Made) -> None:
    assert _everything(victim, "verifier") == []
    for name in _watched(victim):
        if name.startswith(EVIDENCE):
            continue  # the newest evidence leaves no trace in what this host remembers: a lower level shows
        whole = victim.storage.get(name)
        victim.storage.delete(name)
        assert _everything(victim, "verifier") != [], name
        victim.storage.put(name, whole)


def test_swapped_objects_are_noticed(victim: Made) -> None:
    names = _watched(victim)
    for one, two in pairwise(names):
        first, second = victim.storage.get(one), victim.storage.get(two)
        victim.storage.put(one, second)
        victim.storage.put(two, first)
        assert _everything(victim, f"{one} {two}".replace("/", " ")) != [], (one, two)
        victim.storage.put(one, first)
        victim.storage.put(two, second)


def test_a_replayed_object_under_another_name_is_noticed(victim: Made) -> None:
    for prefix, other in (
        (SNAPSHOTS, "20991121t020000z-0000000000"),
        (EVIDENCE, "20991121t020000z-0000000000"),
        ("index/", "ab" * 32),
    ):
        data = next(iter(objects(victim.storage, prefix).values()))
        victim.storage.put(prefix + other, data)
        assert _everything(victim, f"{prefix}".replace("/", " ")) != [], prefix
        victim.storage.delete(prefix + other)


def test_an_older_state_of_everything_is_noticed_by_a_host_that_has_seen_the_newer(victim: Made) -> None:
    before = objects(victim.storage)
    agent = victim.as_agent()
    backup(agent, STREAMS)
    agent.close()
    assert _everything(victim, "verifier") == []
    for name in objects(victim.storage):
        if name not in before:
            victim.storage.delete(name)
    problems = _everything(victim, "verifier")
    assert [type(problem) for problem in problems] == [RolledBackError]
    assert _everything(victim, "a host without memory") == []  # freshness is unproven without it


def test_the_chunk_of_another_repository_of_the_lineage_is_the_same_chunk_or_none(victim: Made) -> None:
    """Evidence, index and removals of a copy say nothing here, though its keys are the same."""
    elsewhere = replace(victim.document(), repository=b"q" * 16)
    for name, data in objects(victim.storage).items():
        folder = name.split("/")[0]
        if folder == "index":
            with pytest.raises(DamagedObjectError):
                decode_index(data, name, victim.agent.keyring, elsewhere)
        if folder in {"evidence", "runs"}:
            kind = Kind.EVIDENCE if folder == "evidence" else Kind.RUN
            with pytest.raises(DamagedObjectError):
                open_object(kind, name, data, victim.agent.keyring, elsewhere)


def test_without_keys_the_owner_is_told_which_object_is_missing(victim: Made) -> None:
    victim.storage.delete(keys_name(victim.identity.recipient))
    (problem,) = _everything(victim, "verifier")
    assert keys_name(victim.identity.recipient) in problem.message
    assert isinstance(problem, TamperedError)


def test_missing_packs_are_named(victim: Made) -> None:
    for name in objects(victim.storage, "packs/"):
        victim.storage.delete(name)
    problems = _everything(victim, "verifier")
    assert problems
    assert all(isinstance(problem, MissingObjectError) and "packs/" in problem.message for problem in problems)


def test_what_a_bucket_reader_learns_is_names_and_sizes(victim: Made) -> None:
    document = json.loads(victim.storage.get(REPOSITORY_NAME).split(b"\n")[0])
    assert {signer["name"] for signer in document["signers"]} == {"host1", "identity"}
    sealed = [data for name, data in objects(victim.storage).items() if "/" in name and not name.startswith("keys/")]
    words = [b"nightly", b"host1", b"mongodb", b"a view", *MARKERS]
    assert not any(word in data for data in sealed for word in words)
