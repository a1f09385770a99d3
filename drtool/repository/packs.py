"""Packs: immutable objects of many sealed chunks (docs/format.md, "Packs")."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drtool.errors import DamagedObjectError, WrongKeyError
from drtool.repository.chunks import ID_BYTES, chunk_aad, seal_into, sealed_length
from drtool.repository.identity import FINGERPRINT_BYTES, Identity, Recipient
from drtool.repository.keyring import CATALOG_KEY_ID_BYTES, ChunkKind, Keyring
from drtool.repository.primitives import KEY_BYTES, SEALED_KEY_BYTES, SigningKey, derive, seal_to
from drtool.repository.sealed import SALT_BYTES, Kind, open_object, seal_object
from drtool.repository.trust import RepositoryDocument
from drtool.repository.wire import Cursor

MAGIC = b"drtpack\x01"
PACK_BYTES = 32 * 1024 * 1024
#: By how much the memory of a pack may exceed its size: it grows by this, and holds a last chunk and the directory.
PACK_SLACK_BYTES = 2 * 1024 * 1024
SLOT_ID_BYTES = 16
#: An entry of slots/: a slot's id and its key, sealed.
ADDED_SLOT_BYTES = SLOT_ID_BYTES + SEALED_KEY_BYTES
_ROW = Struct(f">{ID_BYTES}sBHIIII")
ROW_BYTES = _ROW.size
_KINDS = {int(kind): kind for kind in ChunkKind}
_FOOTER_BYTES = 4 + len(MAGIC)


class SlotKind(IntEnum):
    """Whom a slot's key is for."""

    DATA = 1  # sealed to every recipient
    CATALOG = 2  # derived from the catalog key


SLOT_OF_CHUNK = {
    ChunkKind.DATA: SlotKind.DATA,
    ChunkKind.PRIVATE: SlotKind.DATA,
    ChunkKind.CATALOG: SlotKind.CATALOG,
}


def pack_name(sha256: bytes) -> str:
    """Where a pack lies in the store."""
    return f"packs/{sha256[:1].hex()}/{sha256.hex()}"


@dataclass(frozen=True, slots=True)
class Row:
    """Where one chunk lies in its pack. ``offset`` and ``stored`` are in bytes of the pack, ``length`` unpacked."""

    id: bytes
    kind: ChunkKind
    slot: int
    counter: int
    offset: int
    stored: int
    length: int

    def encode(self) -> bytes:
        """51 bytes."""
        return _ROW.pack(self.id, self.kind, self.slot, self.counter, self.offset, self.stored, self.length)

    @classmethod
    def decode(cls, cursor: Cursor) -> Row:
        """The next row."""
        (row,) = split_rows(cursor.take(ROW_BYTES))
        return row


@dataclass(frozen=True, slots=True)
class Slot:
    """A key slot as it stands in a pack: its id, and what its key can be had from.

    ``sealed`` maps recipients' fingerprints to the key sealed to them; a catalog slot has ``catalog_key`` and
    ``salt`` instead.
    """

    kind: SlotKind
    id: bytes
    sealed: dict[bytes, bytes]
    catalog_key: bytes = b""
    salt: bytes = b""

    def encode(self) -> bytes:
        """The slot's bytes in the pack's header."""
        head = bytes([self.kind]) + self.id
        if self.kind is SlotKind.CATALOG:
            return head + self.catalog_key + self.salt
        return head + bytes([len(self.sealed)]) + b"".join(fp + blob for fp, blob in self.sealed.items())

    @classmethod
    def decode(cls, cursor: Cursor) -> Slot:
        """The next slot."""
        kind, id_ = cursor.u8(), cursor.take(SLOT_ID_BYTES)
        if kind == SlotKind.CATALOG:
            return cls(SlotKind.CATALOG, id_, {}, cursor.take(CATALOG_KEY_ID_BYTES), cursor.take(SALT_BYTES))
        if kind != SlotKind.DATA:
            raise DamagedObjectError(f"a pack has a key slot of kind {kind}, which this version does not know")
        sealed = {cursor.take(FINGERPRINT_BYTES): cursor.take(SEALED_KEY_BYTES) for _ in range(cursor.u8())}
        return cls(SlotKind.DATA, id_, sealed)

    def open(self, keyring: Keyring, identity: Identity | None, added: Mapping[bytes, bytes]) -> bytes:
        """The slot's key. ``WrongKeyError`` where neither `keyring` nor `identity` gives it.

        `added` are keys by slot id that were sealed to `identity` after the pack was written (``decode_added_slots``).
        """
        if self.kind is SlotKind.CATALOG:
            return derive(keyring.catalog_key(self.catalog_key), "drtool/1/slot", salt=self.salt)
        if identity is None:
            raise WrongKeyError(
                "reading data needs the identity; an agent key cannot do it",
                hint="Name it in the configuration (repository.identity) where data is read back.",
            )
        sealed = self.sealed.get(identity.recipient.fingerprint) or added.get(self.id)
        if sealed is None:
            raise WrongKeyError("the identity given is not a recipient of this pack")
        try:
            return identity.opening_key.open(sealed, _slot_info(keyring.lineage, self.id))
        except InvalidTag as error:
            raise DamagedObjectError("a pack's key slot was altered: it does not open") from error


def new_slot(kind: SlotKind, keyring: Keyring, recipients: Sequence[Recipient]) -> tuple[Slot, bytes]:
    """A fresh slot and its key."""
    id_ = os.urandom(SLOT_ID_BYTES)
    if kind is SlotKind.CATALOG:
        salt = os.urandom(SALT_BYTES)
        key = derive(keyring.catalog_key(keyring.current), "drtool/1/slot", salt=salt)
        return Slot(kind, id_, {}, keyring.current, salt), key
    key = os.urandom(KEY_BYTES)
    info = _slot_info(keyring.lineage, id_)
    return Slot(kind, id_, {r.fingerprint: seal_to(r.public, key, info) for r in recipients}), key


def _slot_info(lineage: bytes, slot_id: bytes) -> bytes:
    return b"drtool/1/slot\0" + lineage + slot_id


def added_slots_name(recipient: Recipient, sha256: bytes) -> str:
    """Where a pack's keys lie for a recipient who was added after it had been written."""
    return f"slots/{recipient.fingerprint.hex()}/{sha256.hex()}"


def encode_added_slots(keys: Mapping[bytes, bytes], lineage: bytes, recipient: Recipient) -> bytes:
    """The object for `added_slots_name`: keys of a pack's slots, by slot id, sealed to `recipient`."""
    return b"".join(id_ + seal_to(recipient.public, key, _slot_info(lineage, id_)) for id_, key in keys.items())


def decode_added_slots(data: bytes, name: str) -> dict[bytes, bytes]:
    """Slot id → sealed key. Nothing here needs a signature: a wrong key opens no chunk."""
    cursor = Cursor(data, name)
    found: dict[bytes, bytes] = {}
    while not cursor.at_end:
        slot_id = cursor.take(SLOT_ID_BYTES)
        found[slot_id] = cursor.take(SEALED_KEY_BYTES)
    return found


@dataclass(frozen=True, slots=True)
class PackEntry:
    """A pack as the index knows it. ``header`` is the length of what stands before the first chunk;
    ``indexed_by`` the public key of the signer who wrote it."""

    sha256: bytes
    size: int
    header: int
    indexed_by: bytes
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class FinishedPack:
    """A pack ready to be stored under `entry`'s hash."""

    entry: PackEntry
    data: memoryview


class PackBuilder:
    """A pack being written. Not thread-safe: the caller serialises `add` and `finish`."""

    def __init__(self, kind: SlotKind, keyring: Keyring, recipients: Sequence[Recipient], buffer: bytearray) -> None:
        slot, key = new_slot(kind, keyring, recipients)
        header = MAGIC + (1).to_bytes(2) + slot.encode()
        self._keyring = keyring
        self._cipher = AESGCM(key)
        self._buffer = buffer
        self._end = self._header = len(header)
        self._rows: list[Row] = []
        self._require(self._end)
        buffer[: self._end] = header

    @property
    def is_empty(self) -> bool:
        """Has no chunk been added?"""
        return not self._rows

    def has_room_for(self, packed: memoryview, limit: int | None = None) -> bool:
        """Would the pack stay within `limit` bytes, and its usual size?"""
        size = PACK_BYTES if limit is None else min(limit, PACK_BYTES)
        return self.is_empty or self._end + sealed_length(packed) <= size

    def add(self, kind: ChunkKind, id_: bytes, packed: memoryview, length: int) -> Row:
        """Seal a compressed chunk into the pack."""
        stored = sealed_length(packed)
        start, counter = self._end, len(self._rows)
        self._require(start + stored)
        with memoryview(self._buffer) as whole, whole[start : start + stored] as out:
            seal_into(self._cipher, counter, packed, chunk_aad(self._keyring.lineage, kind, id_), out)
        row = Row(id_, kind, 0, counter, start, stored, length)
        self._rows.append(row)
        self._end = start + stored
        return row

    def finish(self, signer: SigningKey) -> FinishedPack:
        """Close the pack with its directory."""
        digest = hashlib.sha256(memoryview(self._buffer)[: self._end])
        payload = digest.digest() + encode_rows(self._rows)
        directory = seal_object(Kind.DIRECTORY, "", payload, self._keyring, signer)
        tail = directory + len(directory).to_bytes(4) + MAGIC
        size = self._end + len(tail)
        self._require(size)
        self._buffer[self._end : size] = tail
        data = memoryview(self._buffer)[:size]
        digest.update(tail)
        return FinishedPack(PackEntry(digest.digest(), size, self._header, signer.public, tuple(self._rows)), data)

    def _require(self, size: int) -> None:
        missing = size - len(self._buffer)
        if missing > 0:
            self._buffer.extend(bytes(max(missing, min(len(self._buffer), PACK_SLACK_BYTES))))


def encode_rows(rows: Sequence[Row]) -> bytes:
    """A count and the rows."""
    return len(rows).to_bytes(4) + join_rows(rows)


def decode_rows(cursor: Cursor) -> tuple[Row, ...]:
    """What `encode_rows` wrote."""
    return split_rows(cursor.take(cursor.u32() * ROW_BYTES))


def join_rows(rows: Iterable[Row]) -> bytes:
    """Rows behind each other, 51 bytes each."""
    return b"".join(row.encode() for row in rows)


def split_rows(data: bytes) -> tuple[Row, ...]:
    """What `join_rows` gave; ``DamagedObjectError`` for a kind of chunk that this version does not know."""
    try:
        return tuple(Row(id_, _KINDS[kind], *numbers) for id_, kind, *numbers in _ROW.iter_unpack(data))
    except KeyError as error:
        raise DamagedObjectError(f"a row names chunk kind {error}, which this version does not know") from error


def decode_header(data: bytes | memoryview, what: str) -> tuple[Slot, ...]:
    """The key slots at the front of a pack; `data` may hold more than the header."""
    cursor = Cursor(data, what)
    if cursor.take(len(MAGIC)) != MAGIC:
        raise DamagedObjectError(f"{what} is no pack of format 1")
    return tuple(Slot.decode(cursor) for _ in range(cursor.u16()))


def read_directory(data: bytes | memoryview, keyring: Keyring, document: RepositoryDocument, what: str) -> PackEntry:
    """A pack's own account of itself, from the whole pack: what `repair` builds an index from.

    The directory names the hash of all that stands before it: nobody can put a signer's directory behind other bytes.
    """
    view = memoryview(data)
    if len(view) < _FOOTER_BYTES or bytes(view[-len(MAGIC) :]) != MAGIC:
        raise DamagedObjectError(f"{what} is truncated")
    length = int.from_bytes(view[-_FOOTER_BYTES : -len(MAGIC)])
    start = len(view) - _FOOTER_BYTES - length
    if start < 0:
        raise DamagedObjectError(f"{what} is damaged: its directory cannot be where it says")
    opened = open_object(
        Kind.DIRECTORY, "", view[start : start + length], keyring, document, what=f"{what} (directory)"
    )
    cursor = Cursor(opened.payload, what)
    if cursor.take(hashlib.sha256().digest_size) != hashlib.sha256(view[:start]).digest():
        raise DamagedObjectError(f"{what} is altered: its directory belongs to another pack")
    rows = decode_rows(cursor)
    cursor.finish()
    header = min((row.offset for row in rows), default=start)
    return PackEntry(hashlib.sha256(view).digest(), len(view), header, opened.signer, rows)
