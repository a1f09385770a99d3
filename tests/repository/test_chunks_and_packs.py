"""Chunks and packs: what goes in comes out, and anything else is noticed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import DamagedObjectError, TamperedError, WrongKeyError
from drtool.repository.chunks import MAX_CHUNK_BYTES, Codec, chunk_aad, chunk_id, compress, open_chunk
from drtool.repository.identity import Identity
from drtool.repository.keyring import ChunkKind, Keyring
from drtool.repository.packs import (
    FinishedPack,
    PackBuilder,
    Row,
    SlotKind,
    decode_added_slots,
    decode_header,
    new_slot,
    read_directory,
)
from drtool.repository.primitives import SigningKey, nonce, seal_to
from drtool.repository.sealed import Kind, seal_object
from drtool.repository.trust import RepositoryDocument, Role, Signer
from tests.repository.builders import NOW, flipped

KEYRING = Keyring(b"L" * 16, {b"k" * 8: b"K" * 32}, b"k" * 8, b"i" * 32)
KEY = b"s" * 32
FIRST, SECOND, STRANGER = Identity(b"1" * 32), Identity(b"2" * 32), Identity(b"3" * 32)
SIGNER = SigningKey(b"S" * 32)
DOCUMENT = RepositoryDocument(
    b"r" * 16,
    KEYRING.lineage,
    FIRST.root,
    1,
    NOW,
    KEYRING.current,
    (),
    (Signer(SIGNER.public, "host1", frozenset({Role.WRITER}), NOW),),
)

kinds = st.sampled_from(list(ChunkKind))


def _seal(packed: bytes, kind: ChunkKind, id_: bytes, counter: int = 0) -> bytes:
    return AESGCM(KEY).encrypt(nonce(counter), packed, chunk_aad(KEYRING.lineage, kind, id_))


def _sealed(data: bytes, kind: ChunkKind = ChunkKind.DATA) -> tuple[bytes, bytes]:
    id_ = chunk_id(KEYRING, kind, data)
    return id_, _seal(bytes(compress(data)), kind, id_)


# --- chunks ------------------------------------------------------------------------------


@given(st.binary(max_size=2000) | st.binary(max_size=5).map(lambda piece: piece * 1000), kinds)
def test_chunk_round_trip(data: bytes, kind: ChunkKind) -> None:
    id_, sealed = _sealed(data, kind)
    assert open_chunk(KEY, 0, sealed, KEYRING, kind, id_, len(data)) == data


def test_what_does_not_shrink_is_stored_as_it_is() -> None:
    noise = os.urandom(1000)
    assert bytes(compress(noise)) == bytes([Codec.RAW]) + noise
    packed = bytes(compress(b"a" * 1000))
    assert packed[0] == Codec.ZSTD
    assert len(packed) < 100


@given(st.binary(max_size=100))
def test_ids_differ_by_kind_and_lineage(data: bytes) -> None:
    ids = {chunk_id(KEYRING, kind, data) for kind in ChunkKind}
    ids |= {chunk_id(replace(KEYRING, id_key=b"j" * 32), kind, data) for kind in ChunkKind}
    assert len(ids) == 2 * len(ChunkKind)


def test_every_byte_of_a_chunk_counts() -> None:
    data = b"some records" * 20
    id_, sealed = _sealed(data)
    for position in range(len(sealed)):
        with pytest.raises(DamagedObjectError):
            open_chunk(KEY, 0, flipped(sealed, position), KEYRING, ChunkKind.DATA, id_, len(data))
    for end in range(len(sealed)):
        with pytest.raises(DamagedObjectError):
            open_chunk(KEY, 0, sealed[:end], KEYRING, ChunkKind.DATA, id_, len(data))


def test_a_chunk_is_bound_to_counter_kind_id_and_lineage() -> None:
    data = b"some records"
    id_, sealed = _sealed(data)
    other = chunk_id(KEYRING, ChunkKind.DATA, b"other")
    for counter, kind, name, keyring in (
        (1, ChunkKind.DATA, id_, KEYRING),
        (0, ChunkKind.PRIVATE, id_, KEYRING),
        (0, ChunkKind.DATA, other, KEYRING),
        (0, ChunkKind.DATA, id_, replace(KEYRING, lineage=b"M" * 16)),
    ):
        with pytest.raises(DamagedObjectError, match="does not decrypt"):
            open_chunk(KEY, counter, sealed, keyring, kind, name, len(data))


def test_who_holds_the_slot_key_cannot_pass_other_content_off() -> None:
    id_ = chunk_id(KEYRING, ChunkKind.DATA, b"genuine")
    sealed = _seal(bytes(compress(b"forgery")), ChunkKind.DATA, id_)
    with pytest.raises(DamagedObjectError, match="another id"):
        open_chunk(KEY, 0, sealed, KEYRING, ChunkKind.DATA, id_, 7)


@pytest.mark.parametrize("length", [-1, 0, 999, 1001, MAX_CHUNK_BYTES, MAX_CHUNK_BYTES + 1])
@pytest.mark.parametrize("data", [b"a" * 1000, bytes(range(250)) * 4])
def test_a_wrong_length_is_noticed(data: bytes, length: int) -> None:
    id_, sealed = _sealed(data)
    with pytest.raises(DamagedObjectError):
        open_chunk(KEY, 0, sealed, KEYRING, ChunkKind.DATA, id_, length)


@pytest.mark.parametrize("claims", [True, False], ids=["frame claims its size", "frame claims nothing"])
def test_a_bomb_is_not_unpacked(claims: bool) -> None:
    bomb = zstandard.ZstdCompressor(write_content_size=claims).compress(bytes(MAX_CHUNK_BYTES))
    assert len(bomb) < 10_000
    id_ = bytes(32)
    sealed = _seal(bytes([Codec.ZSTD]) + bomb, ChunkKind.DATA, id_)
    with pytest.raises(DamagedObjectError, match="unpack"):
        open_chunk(KEY, 0, sealed, KEYRING, ChunkKind.DATA, id_, 1000)


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        (b"\x04later", "uses codec 4, which this version does not know"),
        (b"\xff", "uses codec 255, which"),
        (b"\x01not zstd", "does not unpack"),
        (b"\x01", "does not unpack"),
        (b"\x02planes", "more arrays than 5 bytes hold"),
        (b"\x02", "truncated"),
    ],
)
def test_unknown_codecs_and_broken_frames(packed: bytes, told: str) -> None:
    sealed = _seal(packed, ChunkKind.DATA, bytes(32))
    with pytest.raises(DamagedObjectError, match=told):
        open_chunk(KEY, 0, sealed, KEYRING, ChunkKind.DATA, bytes(32), 5)


# --- packs -------------------------------------------------------------------------------


def _pack(
    chunks: list[tuple[ChunkKind, bytes]], slot_kind: SlotKind = SlotKind.DATA, *recipients: Identity
) -> FinishedPack:
    to = [identity.recipient for identity in recipients or (FIRST,)]
    builder = PackBuilder(slot_kind, KEYRING, to, bytearray())
    for kind, data in chunks:
        builder.add(kind, chunk_id(KEYRING, kind, data), compress(data), len(data))
    return builder.finish(SIGNER)


def _contents(data: bytes | memoryview, identity: Identity | None) -> list[bytes]:
    entry = read_directory(data, KEYRING, DOCUMENT, "the pack")
    slots = decode_header(data, "the pack")
    keys = [slot.open(KEYRING, identity, {}) for slot in slots]
    return [
        open_chunk(
            keys[row.slot],
            row.counter,
            data[row.offset : row.offset + row.stored],
            KEYRING,
            row.kind,
            row.id,
            row.length,
        )
        for row in entry.rows
    ]


SMALL = _pack([(ChunkKind.DATA, b"one"), (ChunkKind.PRIVATE, b"two" * 50)])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from([ChunkKind.DATA, ChunkKind.PRIVATE]), st.binary(max_size=500))))
def test_data_pack_round_trip(chunks: list[tuple[ChunkKind, bytes]]) -> None:
    pack = _pack(chunks)
    assert _contents(pack.data, FIRST) == [data for _, data in chunks]
    entry = read_directory(pack.data, KEYRING, DOCUMENT, "the pack")
    assert entry.rows == pack.entry.rows
    assert (entry.sha256, entry.size, entry.indexed_by) == (pack.entry.sha256, len(pack.data), SIGNER.public)
    assert entry.sha256 == hashlib.sha256(pack.data).digest()


@given(st.lists(st.binary(max_size=500), max_size=8))
def test_catalog_pack_needs_no_identity(chunks: list[bytes]) -> None:
    pack = _pack([(ChunkKind.CATALOG, data) for data in chunks], SlotKind.CATALOG)
    assert _contents(pack.data, None) == chunks


def test_a_pack_grows_beyond_its_first_buffer_and_its_usual_size() -> None:
    noise = os.urandom(40 * 1024 * 1024)
    pack = _pack([(ChunkKind.DATA, noise), (ChunkKind.DATA, b"more")])
    assert _contents(pack.data, FIRST) == [noise, b"more"]


def test_every_recipient_reads_and_nobody_else() -> None:
    pack = _pack([(ChunkKind.DATA, b"one")], SlotKind.DATA, FIRST, SECOND)
    for identity in (FIRST, SECOND):
        assert _contents(pack.data, identity) == [b"one"]
    with pytest.raises(WrongKeyError, match="not a recipient"):
        _contents(pack.data, STRANGER)
    with pytest.raises(WrongKeyError, match="needs the identity"):
        _contents(pack.data, None)


def test_a_recipient_added_later() -> None:
    (slot,) = decode_header(SMALL.data, "the pack")
    key = slot.open(KEYRING, FIRST, {})
    sealed = seal_to(SECOND.recipient.public, key, b"drtool/1/slot\0" + KEYRING.lineage + slot.id)
    added = decode_added_slots(b"x" * 16 + bytes(len(sealed)) + slot.id + sealed, "slots/…")
    assert slot.open(KEYRING, SECOND, added) == key
    with pytest.raises(DamagedObjectError, match="altered"):
        slot.open(KEYRING, SECOND, {slot.id: flipped(sealed, 5)})
    for end in (1, 16, 100, len(sealed) + 15):
        with pytest.raises(DamagedObjectError, match="truncated"):
            decode_added_slots((slot.id + sealed)[:end], "slots/…")


def test_a_truncated_pack_is_noticed_at_every_boundary() -> None:
    data = bytes(SMALL.data)
    for end in range(len(data)):
        with pytest.raises(DamagedObjectError):
            read_directory(data[:end], KEYRING, DOCUMENT, "the pack")


def test_a_header_cut_off_anywhere_is_noticed() -> None:
    header = bytes(SMALL.data)[: SMALL.entry.header]
    for end in range(len(header)):
        with pytest.raises(DamagedObjectError):
            decode_header(header[:end], "the pack")


def test_a_flipped_byte_anywhere_in_a_pack_is_noticed() -> None:
    data = bytes(SMALL.data)
    for position in range(len(data)):
        with pytest.raises((DamagedObjectError, WrongKeyError)):
            read_directory(flipped(data, position), KEYRING, DOCUMENT, "the pack")


def test_an_altered_slot_does_not_open() -> None:
    slot = decode_header(SMALL.data, "the pack")[0]
    fingerprint, sealed = next(iter(slot.sealed.items()))
    for position in range(0, len(sealed), 97):
        bad = replace(slot, sealed={fingerprint: flipped(sealed, position)})
        with pytest.raises(DamagedObjectError, match="altered"):
            bad.open(KEYRING, FIRST, {})
    with pytest.raises(DamagedObjectError):
        replace(slot, id=bytes(16)).open(KEYRING, FIRST, {})


def test_a_genuine_directory_behind_other_bytes_is_refused() -> None:
    other = bytes(_pack([(ChunkKind.DATA, b"one"), (ChunkKind.PRIVATE, b"two" * 50)]).data)
    mine = bytes(SMALL.data)
    start = max(row.offset + row.stored for row in SMALL.entry.rows)
    assert len(other) == len(mine)
    with pytest.raises(DamagedObjectError, match="belongs to another pack"):
        read_directory(other[:start] + mine[start:], KEYRING, DOCUMENT, "the pack")


def test_a_directory_by_a_stranger_is_refused() -> None:
    directory = seal_object(Kind.DIRECTORY, "", bytes(36), KEYRING, SigningKey(b"?" * 32))
    data = b"drtpack\x01\x00\x00" + directory + len(directory).to_bytes(4) + b"drtpack\x01"
    with pytest.raises(TamperedError):
        read_directory(data, KEYRING, DOCUMENT, "the pack")


@pytest.mark.parametrize("tail", [b"", b"drtpack\x01", b"\xff\xff\xff\xffdrtpack\x01", bytes(4) + b"drtpack\x01"])
def test_what_is_no_pack(tail: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        read_directory(tail, KEYRING, DOCUMENT, "the pack")


def test_fresh_slots_share_nothing() -> None:
    made = [new_slot(SlotKind.DATA, KEYRING, [FIRST.recipient]) for _ in range(5)]
    assert len({slot.id for slot, _ in made}) == len({key for _, key in made}) == 5
    catalog = [new_slot(SlotKind.CATALOG, KEYRING, []) for _ in range(5)]
    assert len({key for _, key in catalog}) == 5


def test_rows_are_51_bytes() -> None:
    assert len(Row(bytes(32), ChunkKind.DATA, 0, 0, 0, 0, 0).encode()) == 51
