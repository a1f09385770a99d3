"""Packs made of sealed chunks of other packs: chunks and key slots move byte for byte, without being opened.

A chunk is bound to lineage, kind and id, never to its pack; only the slot's number and the offset change on the way,
and the counter stays (docs/format.md, "Packs").
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace

from drtool.errors import DamagedObjectError
from drtool.repository.keyring import Keyring
from drtool.repository.packs import (
    MAGIC,
    PACK_BYTES,
    SLOT_OF_CHUNK,
    FinishedPack,
    PackEntry,
    Row,
    Slot,
    SlotKind,
    decode_header,
    encode_rows,
    pack_name,
    read_directory,
)
from drtool.repository.primitives import SigningKey
from drtool.repository.sealed import Kind, seal_object
from drtool.repository.trust import RepositoryDocument

#: A slot's number is written down in two bytes.
_MOST_SLOTS = 0xFFFF


@dataclass(frozen=True, slots=True)
class SealedChunk:
    """A chunk as it lies in a pack, its row there, and the slot that its key is in."""

    row: Row
    slot: Slot
    data: memoryview


@dataclass(frozen=True, slots=True)
class WholePack:
    """A pack that was read whole and found to be what its signer made: hash and directory fit."""

    entry: PackEntry
    slots: tuple[Slot, ...]
    data: memoryview

    @classmethod
    def check(cls, data: bytes, sha256: bytes, keyring: Keyring, document: RepositoryDocument) -> WholePack:
        """The pack of this name. ``DamagedObjectError`` where it is another one, or its rows point outside of its
        chunks; errors of `read_directory`."""
        name = pack_name(sha256)
        if hashlib.sha256(data).digest() != sha256:
            raise DamagedObjectError(f"{name} does not have its checksum: it was altered")
        entry = read_directory(data, keyring, document, name)
        slots = decode_header(data, name)
        for row in entry.rows:
            is_inside = entry.header <= row.offset and row.offset + row.stored <= len(data)
            if not is_inside or row.slot >= len(slots) or slots[row.slot].kind is not SLOT_OF_CHUNK[row.kind]:
                raise DamagedObjectError(f"{name}: its directory is at odds with what it holds")
        if sum(row.stored for row in entry.rows) > len(data):
            # Chunks that share bytes would take more room each time they are moved.
            raise DamagedObjectError(f"{name}: its directory names more bytes than it holds")
        return cls(entry, slots, memoryview(data))

    def chunks(self, wanted: Container[bytes], added: Mapping[bytes, Mapping[bytes, bytes]]) -> Iterator[SealedChunk]:
        """Those of its chunks whose ids are `wanted`, all that go by one id: only who can read them knows which of them
        is true. `added` are the keys of its slots that were sealed
        later, by recipients' fingerprints and slot ids: they become part of the slots."""
        slots = [_with(slot, added) for slot in self.slots]
        for row in (row for row in self.entry.rows if row.id in wanted):
            yield SealedChunk(row, slots[row.slot], self.data[row.offset : row.offset + row.stored])

    def indexed_by(self, signer: bytes) -> FinishedPack:
        """All of it, to be stored as it is; `signer` vouches for it where it goes."""
        return FinishedPack(replace(self.entry, indexed_by=signer), self.data)


class Repacker:
    """A pack being put together from sealed chunks of one kind of slot. Not thread-safe."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._slots: dict[bytes, int] = {}
        self._header_bytes = len(MAGIC) + 2
        self._body = bytearray()
        self._rows: list[Row] = []

    @property
    def is_empty(self) -> bool:
        """Has no chunk been added?"""
        return not self._rows

    @property
    def size(self) -> int:
        """Bytes so far, without the directory."""
        return self._header_bytes + len(self._body)

    def has_room_for(self, chunk: SealedChunk, limit: int = PACK_BYTES) -> bool:
        """Would the pack stay within `limit` bytes?"""
        encoded = chunk.slot.encode()
        is_known = encoded in self._slots
        size = self.size + len(chunk.data) + (0 if is_known else len(encoded))
        return self.is_empty or (size <= limit and (is_known or len(self._slots) < _MOST_SLOTS))

    def add(self, chunk: SealedChunk) -> None:
        """Take a chunk, and its slot where it is the first of it."""
        encoded = chunk.slot.encode()
        if encoded not in self._slots:
            self._slots[encoded] = len(self._slots)
            self._header_bytes += len(encoded)
        # Where the body begins is known at the end only.
        self._rows.append(replace(chunk.row, slot=self._slots[encoded], offset=len(self._body)))
        self._body += chunk.data

    def finish(self, signer: SigningKey) -> FinishedPack:
        """Close the pack with a directory of `signer`'s. It is of no use afterwards."""
        header = MAGIC + len(self._slots).to_bytes(2) + b"".join(self._slots)
        rows = tuple(replace(row, offset=row.offset + len(header)) for row in self._rows)
        data, self._body = self._body, bytearray()
        data[0:0] = header
        digest = hashlib.sha256(data)
        directory = seal_object(Kind.DIRECTORY, "", digest.digest() + encode_rows(rows), self._keyring, signer)
        tail = directory + len(directory).to_bytes(4) + MAGIC
        digest.update(tail)
        data += tail
        return FinishedPack(
            PackEntry(digest.digest(), len(data), len(header), signer.public, rows), memoryview(data).toreadonly()
        )


def slot_kind(chunk: SealedChunk) -> SlotKind:
    """Which packs it belongs in: pages lie apart from records."""
    return SLOT_OF_CHUNK[chunk.row.kind]


def _with(slot: Slot, added: Mapping[bytes, Mapping[bytes, bytes]]) -> Slot:
    later = {fingerprint: keys[slot.id] for fingerprint, keys in added.items() if slot.id in keys}
    if slot.kind is SlotKind.CATALOG or not later:
        return slot
    return replace(slot, sealed={**later, **slot.sealed})
