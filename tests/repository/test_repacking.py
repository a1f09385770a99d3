"""Packs made of others' sealed chunks: whatever is taken, in whatever order, opens where it goes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import DamagedObjectError, TamperedError
from drtool.repository.chunks import chunk_id, compress, open_chunk
from drtool.repository.identity import Identity
from drtool.repository.keyring import ChunkKind, Keyring
from drtool.repository.packs import (
    FinishedPack,
    PackBuilder,
    SlotKind,
    decode_added_slots,
    decode_header,
    encode_added_slots,
    read_directory,
)
from drtool.repository.repacking import Repacker, WholePack
from drtool.repository.repository import Repository
from tests.repository.builders import flipped, make

_PER_PACK = 6


def _data(pack: int, number: int) -> bytes:
    return b"%d %d " % (pack, number) * 50


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A repository, opened with the identity."""
    repository = make(tmp_path_factory.mktemp("repository")).as_owner()
    yield repository
    repository.close()


@pytest.fixture(scope="module")
def packs(owner: Repository) -> list[FinishedPack]:
    """Three packs of six chunks each."""
    return [_pack(owner, number) for number in range(3)]


def _pack(owner: Repository, pack: int) -> FinishedPack:
    recipients = [entry.recipient for entry in owner.document.recipients]
    builder = PackBuilder(SlotKind.DATA, owner.keyring, recipients, bytearray())
    for number in range(_PER_PACK):
        data = _data(pack, number)
        builder.add(ChunkKind.DATA, _id(owner.keyring, pack, number), compress(data), len(data))
    return builder.finish(owner.signer)


def _id(keyring: Keyring, pack: int, number: int) -> bytes:
    return chunk_id(keyring, ChunkKind.DATA, _data(pack, number))


def _whole(owner: Repository, pack: FinishedPack) -> WholePack:
    return WholePack.check(bytes(pack.data), pack.entry.sha256, owner.keyring, owner.document)


numbers = st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, _PER_PACK - 1), min_size=1)), max_size=5)


@given(numbers)
def test_what_is_moved_opens(owner: Repository, packs: list[FinishedPack], wanted: list[tuple[int, set[int]]]) -> None:
    repacker = Repacker(owner.keyring)
    taken: dict[bytes, bytes] = {}
    for pack, chosen in wanted:
        ids = {_id(owner.keyring, pack, number): _data(pack, number) for number in chosen}
        for chunk in _whole(owner, packs[pack]).chunks(ids.keys() - taken.keys(), {}):
            assert repacker.has_room_for(chunk)
            repacker.add(chunk)
        taken |= ids
    assert repacker.is_empty == (not taken)
    made = repacker.finish(owner.signer)
    assert hashlib.sha256(made.data).digest() == made.entry.sha256
    entry = read_directory(made.data, owner.keyring, owner.document, "the pack")
    assert (entry.rows, entry.size, entry.header) == (made.entry.rows, made.entry.size, made.entry.header)
    slots = decode_header(made.data, "the pack")
    assert len(slots) == len({pack for pack, _ in wanted})
    found: dict[bytes, bytes] = {}
    for row in entry.rows:
        key = slots[row.slot].open(owner.keyring, owner.identity, {})
        sealed = made.data[row.offset : row.offset + row.stored]
        found[row.id] = open_chunk(key, row.counter, sealed, owner.keyring, row.kind, row.id, row.length)
    assert found == taken


def test_it_keeps_to_its_size(owner: Repository, packs: list[FinishedPack]) -> None:
    repacker = Repacker(owner.keyring)
    limit = 3000
    for pack in packs:
        for chunk in _whole(owner, pack).chunks({row.id for row in pack.entry.rows}, {}):
            if not repacker.has_room_for(chunk, limit):
                assert repacker.size <= limit
                repacker = Repacker(owner.keyring)
            repacker.add(chunk)
            assert repacker.size <= limit


def test_keys_that_were_added_become_part_of_the_slots(owner: Repository, packs: list[FinishedPack]) -> None:
    later = Identity.generate()
    whole = _whole(owner, packs[0])
    key = whole.slots[0].open(owner.keyring, owner.identity, {})
    sealed = encode_added_slots({whole.slots[0].id: key}, owner.keyring.lineage, later.recipient)
    added = {later.recipient.fingerprint: decode_added_slots(sealed, "added")}
    [chunk] = whole.chunks({_id(owner.keyring, 0, 1)}, added)
    assert chunk.slot.open(owner.keyring, later, {}) == key
    assert chunk.slot.open(owner.keyring, owner.identity, {}) == key


@given(st.integers(0, 10_000))
def test_an_altered_pack_is_none(owner: Repository, packs: list[FinishedPack], position: int) -> None:
    data = bytes(packs[0].data)
    damaged = flipped(data, position % len(data))
    with pytest.raises(DamagedObjectError, match="checksum"):
        WholePack.check(damaged, packs[0].entry.sha256, owner.keyring, owner.document)
    # Under its own hash it is found out by its directory, but for what the directory does not cover.
    if position % len(data) < packs[0].entry.rows[-1].offset:
        with pytest.raises((DamagedObjectError, TamperedError)):
            WholePack.check(damaged, hashlib.sha256(damaged).digest(), owner.keyring, owner.document)
