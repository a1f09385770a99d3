"""What a signer whose key was stolen may sign, and must not break by it: everything else goes on."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from drtool.errors import DamagedObjectError, StorageError
from drtool.repository import evidence
from drtool.repository.chain import read_catalogue
from drtool.repository.keyring import ChunkKind
from drtool.repository.levels import Level
from drtool.repository.manifests import Manifest
from drtool.repository.pages import Inner, Leaf, PageRef, decode_page, encode_inner, encode_leaf, leaf_refs, page_ids
from drtool.repository.sealed import Kind
from drtool.repository.wire import NUMBER_LIMIT, encode_json
from drtool.repository.writer import ChunkWriter
from tests.repository.builders import Made, commit, manifest_after, put_record
from tests.repository.victims import evidence_of


@pytest.mark.parametrize(
    "fields",
    [
        {"instant": "soon"},
        {"instant": "2026-11-21T02:00:00"},
        {"created": "2026-11-21"},
        {"number": NUMBER_LIMIT},
        {"number": 1 << 64, "repository": "ff" * 16},
    ],
)
def test_a_manifest_that_makes_no_sense_is_reported_and_left_out(made: Made, fields: dict[str, Any]) -> None:
    repository = made.as_agent()
    good = commit(repository)
    bad = manifest_after(None, repository, **{"number": 2, "job": "other", **fields})
    repository.storage.put(bad.name, repository.seal(Kind.MANIFEST, bad.name, bad.encode()))
    catalogue = read_catalogue(repository)
    assert [snapshot.id for snapshot in catalogue.snapshots] == [good.id]
    assert any(
        isinstance(problem, DamagedObjectError) and bad.name in problem.message for problem in catalogue.problems
    )


def test_a_length_that_is_no_number(made: Made) -> None:
    repository = made.as_agent()
    manifest = manifest_after(None, repository)
    payload = manifest.encode().replace(b'"stream_chunks":[]', b'"stream_chunks":[{"id":"00","length":Infinity}]')
    with pytest.raises(DamagedObjectError):
        Manifest.decode(payload, manifest.name)


@pytest.mark.parametrize("changes", [{"seconds": "x"}, {"share": 7}, {"number": 1 << 60}, {"at": 5}])
def test_evidence_that_makes_no_sense_is_reported_and_left_out(made: Made, changes: dict[str, Any]) -> None:
    repository = made.as_both()
    snapshot = commit(repository)
    evidence.record(repository, evidence_of(snapshot.hash, Level.INTACT), repository.signer)
    [name] = [info.name for info in repository.storage.list("evidence/")]
    fields = json.loads(repository.open_object(Kind.EVIDENCE, name).payload)
    odd = put_record(repository, Kind.EVIDENCE, "evidence/", {**fields, **changes})
    levels, problems = evidence.reached(repository)
    assert levels[snapshot.hash].level is Level.INTACT
    assert any(odd in problem.message for problem in problems)


def test_pages_that_go_deeper_than_they_say() -> None:
    leaf = encode_leaf(Leaf(bytes(32), 0, ()))
    store = {b"\1" * 32: leaf}
    for number in range(2, 60):  # each claims to be of level 3, and so its child of level 2
        child = PageRef(bytes([number - 1]) * 32, 2, 1, 1, 1)
        store[bytes([number]) * 32] = encode_inner((child,))
    root = PageRef(bytes([59]) * 32, 3, 1, 1, 1)
    assert isinstance(decode_page(store[root.id]), Inner)
    with pytest.raises(DamagedObjectError):
        list(page_ids(root, store.__getitem__))
    with pytest.raises(DamagedObjectError):
        list(leaf_refs(root, store.__getitem__))


def test_another_object_in_the_place_of_a_pack_is_not_taken_for_it(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = made.as_agent()
    real = repository.storage.put

    def put(name: str, data: bytes, **conditions: Any) -> object:
        if name.startswith("packs/"):
            real(name, b"something else")
        return real(name, data, **conditions)

    monkeypatch.setattr(repository.storage, "put", put)
    with closing(ChunkWriter(repository)) as writer:
        writer.add(ChunkKind.DATA, b"a record")
        with pytest.raises(StorageError):
            writer.flush()


def test_numbers_that_json_readers_disagree_about_are_not_written() -> None:
    with pytest.raises(ValueError, match=r"range|not JSON compliant"):
        encode_json({"number": float("inf")})
