"""Writers of chunks: what is known is not stored again, and no failure is forgotten."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from drtool.errors import (
    DamagedObjectError,
    PermissionDeniedError,
    RepositoryError,
    TamperedError,
)
from drtool.repository.chunks import MAX_CHUNK_BYTES
from drtool.repository.index import encode_index, index_name
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import PackEntry
from drtool.repository.pages import ChunkRef
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.writer import ChunkWriter
from drtool.storage.base import Buffer, ObjectInfo
from drtool.storage.directory import DirectoryStorage
from tests.repository.builders import Made, make, objects, put_record


def _write(repository: Repository, *chunks: bytes, kind: ChunkKind = ChunkKind.DATA) -> list[bytes]:
    writer = ChunkWriter(repository)
    ids = [writer.add(kind, chunk) for chunk in chunks]
    writer.flush()
    writer.close()
    return ids


def _packs(made: Made) -> list[str]:
    return list(objects(made.storage, "packs/"))


@pytest.mark.parametrize("kind", list(ChunkKind))
def test_what_is_written_is_read(made: Made, kind: ChunkKind) -> None:
    chunks = [b"", b"a" * 5000, os.urandom(5000)]
    ids = _write(made.as_agent(), *chunks, kind=kind)
    reader = ChunkReader(made.as_owner())
    assert [reader.get(kind, id_, len(chunk)) for id_, chunk in zip(ids, chunks, strict=True)] == chunks


def test_a_chunk_is_stored_once(made: Made) -> None:
    repository = made.as_agent()
    writer = ChunkWriter(repository)
    first = [writer.add(ChunkKind.DATA, b"twice") for _ in range(2)]
    writer.flush()
    assert writer.add(ChunkKind.DATA, b"twice") == first[0] == first[1]
    writer.flush()
    assert writer.counts.new_chunks == 1
    assert writer.counts.new_bytes == 5
    assert len(_packs(made)) == 1
    again = ChunkWriter(repository)
    again.add(ChunkKind.DATA, b"twice")
    again.flush()
    assert (again.counts.new_chunks, len(_packs(made))) == (0, 1)
    assert set(again.packs) == set(writer.packs) == {pack for pack, _ in repository.cache.packs()}


def test_a_host_without_its_cache_reuses_what_it_wrote(made: Made) -> None:
    _write(made.as_agent(), b"chunk")
    fresh = made.as_agent("the same host with a new disk")
    fresh.refresh_index()
    _write(fresh, b"chunk")
    assert len(_packs(made)) == 1


def test_a_writer_does_not_rely_on_what_another_signer_indexed(made: Made) -> None:
    other = made.enrol("host2")
    _write(made.as_agent(), b"chunk")
    second = made.as_agent("host2", other)
    second.refresh_index()
    _write(second, b"chunk")
    assert len(_packs(made)) == 2


def test_another_signer_cannot_make_a_writer_rely_on_nothing(made: Made) -> None:
    """An index object of a stolen agent key that claims chunks of another host in a pack that does not exist."""
    thief = made.enrol("host2")
    victim = made.as_agent()
    (id_,) = _write(victim, b"chunk")
    entry = victim.cache.locations(id_)[0]
    rows = tuple(victim.cache.rows(entry.pack))
    forged = PackEntry(b"\x01" * 32, 500, 27, victim.signer.public, rows)
    data = encode_index([forged], victim.keyring, thief.signing_key, victim.document.repository)
    for name in objects(made.storage, "index/"):
        made.storage.delete(name)
    made.storage.put(index_name(data), data)
    fresh = made.as_agent("fresh")
    assert fresh.refresh_index() == []
    assert len(fresh.cache.locations(id_)) == 1
    _write(fresh, b"chunk")
    assert len(fresh.cache.locations(id_)) == 2


@pytest.mark.parametrize(("kind", "prefix"), [(Kind.TOMBSTONE, "tombstones/"), (Kind.DISTRUST, "distrust/")])
def test_marked_packs_are_unknown_to_writers_and_readable(made: Made, kind: Kind, prefix: str) -> None:
    repository = made.as_agent()
    (id_,) = _write(repository, b"chunk")
    (pack,) = [pack for pack, _ in repository.cache.packs()]
    put_record(repository, kind, prefix, {"packs": [pack.hex()]}, made.identity.verifier_key)
    reader = ChunkReader(made.as_owner())
    assert reader.get(ChunkKind.DATA, id_) == b"chunk"
    assert _write(repository, b"chunk") == [id_]
    assert len(_packs(made)) == 2


@pytest.mark.parametrize(("kind", "prefix"), [(Kind.TOMBSTONE, "tombstones/"), (Kind.DISTRUST, "distrust/")])
def test_a_mark_that_cannot_be_read_stops_a_writer(made: Made, kind: Kind, prefix: str) -> None:
    repository = made.as_agent()
    name = put_record(repository, kind, prefix, {"other": []}, made.identity.verifier_key)
    with pytest.raises(DamagedObjectError, match=name):
        ChunkWriter(repository)
    made.storage.put(name, b"garbage")
    with pytest.raises(DamagedObjectError, match=name):
        ChunkWriter(repository)
    made.storage.delete(name)
    put_record(repository, kind, prefix, {"packs": []})
    with pytest.raises(TamperedError):
        ChunkWriter(repository)


def test_many_threads(made: Made) -> None:
    repository = made.as_agent()
    chunks = [os.urandom(20_000) + bytes(20_000) for _ in range(120)]
    jobs = chunks * 4
    random.Random(1).shuffle(jobs)
    writer = ChunkWriter(repository, uploads=2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda chunk: writer.add(ChunkKind.DATA, chunk), jobs))
    writer.flush()
    writer.close()
    assert writer.counts.new_chunks == len(chunks)
    ids = _write(repository, *chunks)
    reader = ChunkReader(made.as_owner())
    refs = [ChunkRef(id_, len(chunk), 1) for id_, chunk in zip(ids, chunks, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        assert all(list(found) == chunks for found in pool.map(lambda _: list(reader.stream(refs)), range(4)))


def test_several_packs_in_flight(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drtool.repository.packs.PACK_BYTES", 64 * 1024)
    monkeypatch.setattr("drtool.repository.storing.PACKS_PER_INDEX", 4)
    chunks = [os.urandom(30_000) for _ in range(60)]
    writer = ChunkWriter(made.as_agent(), uploads=3)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda chunk: writer.add(ChunkKind.DATA, chunk), chunks))
    writer.flush()
    assert len(_packs(made)) == len(writer.packs) >= 30
    assert len(objects(made.storage, "index/")) >= 5
    reader = ChunkReader(made.as_owner())
    assert [reader.get(ChunkKind.DATA, id_) for id_ in ids] == chunks


def test_a_chunk_too_long_to_be_read_back_is_not_written(made: Made) -> None:
    with pytest.raises(RepositoryError, match="longer than"):
        ChunkWriter(made.as_agent()).add(ChunkKind.DATA, bytes(MAX_CHUNK_BYTES + 1))
    with pytest.raises(RepositoryError, match="longer than"):
        ChunkWriter(made.as_agent()).add_packed(ChunkKind.DATA, bytes(32), memoryview(b"\0"), MAX_CHUNK_BYTES + 1)


class Failing(DirectoryStorage):
    """Refuses puts below `refused`, after the first `good` ones."""

    refused = "nothing"
    good = 0

    def put(self, name: str, data: Buffer, **conditions: Any) -> ObjectInfo:
        """Put, or refuse."""
        if name.startswith(self.refused):
            if self.good <= 0:
                raise PermissionDeniedError(f"{name} is refused")
            self.good -= 1
        return super().put(name, data, **conditions)


def test_a_failed_upload_surfaces_for_good_and_what_was_stored_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drtool.repository.packs.PACK_BYTES", 64 * 1024)
    storage = Failing(tmp_path / "repository")
    made = make(tmp_path, storage)
    storage.refused, storage.good = "packs/", 3
    repository = made.as_agent()
    writer = ChunkWriter(repository)
    chunks = [os.urandom(40_000) for _ in range(20)]
    with pytest.raises(PermissionDeniedError):
        for chunk in chunks:
            writer.add(ChunkKind.DATA, chunk)
        writer.flush()
    for _ in range(2):
        with pytest.raises(PermissionDeniedError):
            writer.flush()
    with pytest.raises(PermissionDeniedError):
        writer.add(ChunkKind.DATA, chunks[0])
    writer.close()
    assert len(list(repository.cache.packs())) == len(_packs(made)) == 3
    storage.refused = "nothing"
    fresh = made.as_agent("fresh")
    fresh.refresh_index()
    again = ChunkWriter(fresh)
    for chunk in chunks:
        again.add(ChunkKind.DATA, chunk)
    again.flush()
    assert again.counts.new_chunks == len(chunks) - 3


def test_an_index_that_could_not_be_stored_is_tried_again(tmp_path: Path) -> None:
    storage = Failing(tmp_path / "repository")
    made = make(tmp_path, storage)
    writer = ChunkWriter(made.as_agent())
    id_ = writer.add(ChunkKind.DATA, b"chunk")
    storage.refused = "index/"
    with pytest.raises(PermissionDeniedError):
        writer.flush()
    storage.refused = "nothing"
    writer.flush()
    assert ChunkReader(made.as_owner()).get(ChunkKind.DATA, id_) == b"chunk"
