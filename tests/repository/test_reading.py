"""Readers of chunks: every damage is noticed, and a second place is tried."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from drtool.errors import (
    DamagedObjectError,
    MissingObjectError,
    TamperedError,
    WrongKeyError,
)
from drtool.repository.identity import Identity
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import added_slots_name, decode_header, pack_name
from drtool.repository.pages import ChunkRef
from drtool.repository.primitives import seal_to
from drtool.repository.reader import ChunkReader
from drtool.repository.repository import Repository
from drtool.repository.trust import NamedRecipient, Role, keys_name, seal_keyring
from drtool.repository.writer import ChunkWriter
from tests.repository.builders import NOW, Made, flipped, objects


def _write(repository: Repository, *chunks: bytes, kind: ChunkKind = ChunkKind.DATA) -> list[bytes]:
    writer = ChunkWriter(repository)
    ids = [writer.add(kind, chunk) for chunk in chunks]
    writer.flush()
    writer.close()
    return ids


def _packs(made: Made) -> list[str]:
    return list(objects(made.storage, "packs/"))


def test_a_missing_pack_is_named(made: Made) -> None:
    (id_,) = _write(made.as_agent(), b"chunk")
    (name,) = _packs(made)
    made.storage.delete(name)
    with pytest.raises(MissingObjectError, match=name):
        ChunkReader(made.as_owner()).get(ChunkKind.DATA, id_)


def test_a_pack_truncated_anywhere_is_damage_not_a_storage_error(made: Made) -> None:
    (id_,) = _write(made.as_agent(), b"chunk")
    (name,) = _packs(made)
    whole = made.storage.get(name)
    owner = made.as_owner()
    owner.refresh_index()
    location = owner.cache.locations(id_)[0]
    for end in (0, 5, location.pack_header - 1, location.pack_header, location.offset + location.stored - 1):
        made.storage.put(name, whole[:end])
        with pytest.raises(DamagedObjectError, match=name):
            ChunkReader(owner).get(ChunkKind.DATA, id_)


def test_every_flipped_byte_that_a_chunk_needs_is_noticed(made: Made) -> None:
    (id_,) = _write(made.as_agent(), b"chunk")
    (name,) = _packs(made)
    whole = made.storage.get(name)
    owner = made.as_owner()
    owner.refresh_index()
    location = owner.cache.locations(id_)[0]
    end = location.offset + location.stored
    for position in [*range(0, 48), *range(48, location.offset, 61), *range(location.offset, end)]:
        made.storage.put(name, flipped(whole, position))
        with pytest.raises((DamagedObjectError, WrongKeyError)):
            ChunkReader(owner).get(ChunkKind.DATA, id_)


def test_a_second_place_is_tried(made: Made) -> None:
    other = made.enrol("host2")
    (id_,) = _write(made.as_agent(), b"chunk")
    _write(made.as_agent("host2", other), b"chunk")
    for name in _packs(made):
        whole = made.storage.get(name)
        for bad in (None, whole[:50], flipped(whole, 12), flipped(whole, 30), bytes(len(whole))):
            if bad is None:
                made.storage.delete(name)
            else:
                made.storage.put(name, bad)
            assert ChunkReader(made.as_owner()).get(ChunkKind.DATA, id_) == b"chunk"
        made.storage.put(name, whole)


def test_a_reader_that_misses_a_pack_reloads_the_index(made: Made) -> None:
    """Garbage collection moved the chunk to another pack while a reader was at work."""
    writer = made.as_agent()
    (id_,) = _write(writer, b"chunk")
    owner = made.as_owner()
    owner.refresh_index()
    reader = ChunkReader(owner)
    old_packs, old_index = _packs(made), list(objects(made.storage, "index/"))
    for name in old_index:
        made.storage.delete(name)
    fresh = made.as_agent("fresh")
    fresh.refresh_index()
    _write(fresh, b"chunk")
    for name in old_packs:
        made.storage.delete(name)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: reader.get(ChunkKind.DATA, id_), range(8))) == [b"chunk"] * 8


def test_an_unknown_chunk(made: Made) -> None:
    with pytest.raises(MissingObjectError, match="in no index object"):
        ChunkReader(made.as_owner()).get(ChunkKind.DATA, bytes(32))


def test_page_and_index_must_agree(made: Made) -> None:
    (id_,) = _write(made.as_agent(), b"chunk")
    reader = ChunkReader(made.as_owner())
    with pytest.raises(DamagedObjectError, match="disagree"):
        reader.get(ChunkKind.DATA, id_, 6)
    with pytest.raises(DamagedObjectError, match="disagree"):
        reader.get(ChunkKind.PRIVATE, id_, 5)


def test_a_stream_stops_at_the_first_bad_chunk(made: Made) -> None:
    chunks = [os.urandom(1000) for _ in range(5)]
    ids = _write(made.as_agent(), *chunks)
    refs = [ChunkRef(id_, 1000, 1) for id_ in ids]
    refs[3] = ChunkRef(bytes(32), 1000, 1)
    found = ChunkReader(made.as_owner()).stream(refs)
    assert [next(found) for _ in range(3)] == chunks[:3]
    with pytest.raises(MissingObjectError):
        next(found)


def test_a_recipient_added_later_reads_through_added_slots(made: Made) -> None:
    (id_,) = _write(made.as_agent(), b"chunk")
    second = Identity(b"2" * 32, pinned_root=made.identity.root)
    document = made.document()
    made.publish(recipients=(*document.recipients, NamedRecipient(second.recipient, "second", NOW)))
    keys = seal_keyring(made.agent.keyring, document.repository, second.recipient, made.identity.root_key)
    made.storage.put(keys_name(second.recipient), keys)
    owner = Made(made.storage, made.agent, second, made.local).as_owner("second")
    with pytest.raises(WrongKeyError, match="not a recipient of this pack"):
        ChunkReader(owner).get(ChunkKind.DATA, id_)
    (pack,) = [pack for pack, _ in owner.cache.packs()]
    (slot,) = decode_header(made.storage.get(pack_name(pack)), "the pack")
    key = slot.open(made.agent.keyring, made.identity, {})
    sealed = seal_to(second.recipient.public, key, b"drtool/1/slot\0" + document.lineage + slot.id)
    made.storage.put(added_slots_name(second.recipient, pack), slot.id + sealed)
    assert ChunkReader(owner).get(ChunkKind.DATA, id_) == b"chunk"


def test_roles_of_a_writer(made: Made) -> None:
    verifier = made.enrol("verifier", Role.VERIFIER)
    (id_,) = _write(made.as_agent("verifier", verifier), b"chunk", kind=ChunkKind.CATALOG)
    other = made.as_agent("host2")
    (problem,) = other.refresh_index()
    assert isinstance(problem, TamperedError)
    with pytest.raises(MissingObjectError):
        ChunkReader(other).get(ChunkKind.CATALOG, id_)
