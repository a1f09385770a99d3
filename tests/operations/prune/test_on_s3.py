"""Prune on a bucket, also one that keeps versions, and what recipients were given later goes along."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from drtool.repository.added_slots import closed_packs, open_to
from drtool.repository.identity import Identity
from drtool.repository.packs import SlotKind, added_slots_name, decode_added_slots, decode_header, encode_added_slots
from drtool.storage.directory import DirectoryStorage
from drtool.storage.probing import PROBE_PREFIX
from drtool.storage.retry import Retrying
from drtool.storage.s3 import S3Storage
from drtool.storage.s3_client import S3Settings
from tests.operations.prune.shelves import chunk, clean, packs, read_all, remove, stream
from tests.repository.builders import Made, backup, make
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY, make_bucket, moto_server

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server for the tests here."""
    with moto_server(tmp_path_factory.mktemp("moto")) as port:
        yield port


def test_a_bucket_that_keeps_versions_is_cleaned_for_good(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    make_bucket(port, "prune", versions=True)
    settings = S3Settings(REGION, f"http://127.0.0.1:{port}", None, None, None, 8)
    # With retries: the server stumbles over objects that go while it lists them.
    with closing(Retrying(S3Storage("prune", "prod", settings))) as storage:
        made = make(tmp_path, storage)
        with closing(made.as_agent()) as agent:
            first = backup(agent, [stream(range(12))])
            second = backup(agent, [stream([0])])
        remove(made, [first])
        done = clean(made)
        assert done.swept.deleted
        assert done.swept.made
        assert done.requests > 0
        assert read_all(made) == {second.id: [chunk(0)]}
        there = {info.name for info in storage.list_versions("packs/")}
        assert there == packs(made)


def test_keys_that_were_added_later_go_along(made: Made) -> None:
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(25))])
        backup(agent, [stream([0, 10, 20])])
    remove(made, [first])
    late = Identity.generate().recipient
    with closing(made.as_owner()) as owner:
        for name in packs(made):
            slots = decode_header(made.storage.get(name), name)
            keys = {s.id: s.open(owner.keyring, made.identity, {}) for s in slots if s.kind is SlotKind.DATA}
            if keys:
                data = encode_added_slots(keys, owner.keyring.lineage, late)
                made.storage.put(added_slots_name(late, bytes.fromhex(name[-64:])), data)
    done = clean(made)
    assert done.swept.made
    for name in packs(made):
        wanted = {s.id for s in decode_header(made.storage.get(name), name) if s.kind is SlotKind.DATA}
        if wanted:
            added = added_slots_name(late, bytes.fromhex(name[-64:]))
            assert decode_added_slots(made.storage.get(added), added).keys() == wanted
    assert {info.name[-64:] for info in made.storage.list("slots/")} <= {name[-64:] for name in packs(made)}


def test_what_was_opened_to_somebody_later_is_not_mixed_with_the_rest(made: Made) -> None:
    """Or their keys would be looked at as complete, and never be completed."""
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(25))])
        backup(agent, [stream([0, 10, 20])])
    remove(made, [first])
    late = Identity.generate().recipient
    with closing(made.as_owner()) as owner:
        every = closed_packs(owner, late)
        list(open_to(owner, late, every[: len(every) // 2]))
        assert clean(made, host="pruner").swept.made
        list(open_to(owner, late, closed_packs(owner, late)))
    for name in packs(made):
        wanted = {s.id for s in decode_header(made.storage.get(name), name) if s.kind is SlotKind.DATA}
        if wanted:
            added = added_slots_name(late, bytes.fromhex(name[-64:]))
            assert decode_added_slots(made.storage.get(added), added).keys() == wanted


def test_what_trials_left_behind_goes(made: Made) -> None:
    storage = made.storage
    assert isinstance(storage, DirectoryStorage)
    for name in ("old", "young"):
        storage.put(PROBE_PREFIX + name, b"")
    [path] = made.local.parent.rglob("probe-old")
    os.utime(path, (0, 0))
    clean(made)
    assert [info.name for info in storage.list(PROBE_PREFIX)] == [PROBE_PREFIX + "young"]
