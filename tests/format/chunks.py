"""Chunks: where they lie (index), what they are sealed in (packs and slots), and what is inside."""

from __future__ import annotations

import hashlib
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.format.keys import SEALED_KEY, FormatError, Trust, derive, reading, require
from tests.format.objects import DIRECTORY, open_sealed
from tests.format.planes import unpacked as from_planes
from tests.format.singles import unpacked as from_singles

DATA, CATALOG, PRIVATE = 1, 2, 3
KIND_WORDS = {DATA: "data", CATALOG: "catalog", PRIVATE: "private"}
LARGEST = 64 << 20
_MAGIC = b"drtpack\x01"
_ROW = struct.Struct(">32sBHIIII")
_ENTRY = struct.Struct(">32sQI32s")
_CATALOG_SLOT = struct.Struct(">16s8s32s")


class Row(NamedTuple):
    """One chunk in a pack."""

    id: bytes
    kind: int
    slot: int
    counter: int
    offset: int
    stored: int
    length: int


class Location(NamedTuple):
    """A row of the index; `header` is the number of bytes before the pack's first chunk."""

    pack: str
    header: int
    row: Row


@dataclass(frozen=True)
class Slot:
    """A slot's id and its keys: more than one if several claim to be it, none if this identity has none."""

    id: bytes
    keys: tuple[bytes, ...]


def read_rows(data: bytes, at: int) -> tuple[list[Row], int]:
    """Rows that begin with their number at `at`, and where they end."""
    (count,) = struct.unpack_from(">I", data, at)
    end = at + 4 + count * _ROW.size
    require(end <= len(data), "announces more rows than it has")
    return [Row(*fields) for fields in _ROW.iter_unpack(data[at + 4 : end])], end


def read_index(payload: bytes) -> Iterator[Location]:
    """The locations in the payload of an index object."""
    at = 0
    while at < len(payload):
        pack, _size, header, _signer = _ENTRY.unpack_from(payload, at)
        rows, at = read_rows(payload, at + _ENTRY.size)
        yield from (Location(pack.hex(), header, row) for row in rows)


class Chunks:
    """Reads chunks by id. What it returns has that id, so neither index nor pack has to be believed."""

    def __init__(self, directory: Path, trust: Trust) -> None:
        self._directory = directory
        self._trust = trust
        self._id_keys = {kind: trust.chunk_id_key(word) for kind, word in KIND_WORDS.items()}
        self._locations: defaultdict[bytes, list[Location]] = defaultdict(list)
        self._slots: dict[str, list[Slot]] = {}
        #: Codecs of the chunks read so far.
        self.codecs: set[int] = set()

    def add(self, payload: bytes) -> None:
        """Add what an index object says."""
        for location in read_index(payload):
            self._locations[location.row.id].append(location)

    def id_of(self, kind: int, chunk: bytes) -> bytes:
        """The id that `chunk` has as a chunk of this kind."""
        return blake3(chunk, key=self._id_keys[kind]).digest()

    def locations(self, id_: bytes) -> Sequence[Location]:
        """Where the index says that the chunk lies."""
        return self._locations.get(id_, [])

    def read(self, kind: int, id_: bytes, length: int | None = None) -> bytes:
        """The chunk, from the first location that holds it. `length`: what refers to it says this.

        Pages are referred to without a length: then the location's counts.
        """
        failures = []
        for location in self.locations(id_):
            row = location.row
            if row.kind != kind or row.length > LARGEST or (length is not None and row.length != length):
                failures.append("another kind or length")
                continue
            try:
                with reading(f"packs/{location.pack[:2]}/{location.pack}"):
                    return self._read_at(location)
            except FormatError as error:
                failures.append(str(error))
        raise FormatError(
            f"{KIND_WORDS[kind]} chunk {id_.hex()} is nowhere: {'; '.join(failures) or 'not in the index'}"
        )

    def _read_at(self, location: Location) -> bytes:
        row = location.row
        slots = self._slots_of(location.pack, location.header)
        require(row.slot < len(slots), "has no such slot")
        slot = slots[row.slot]
        require(bool(slot.keys), "was not sealed to this identity")
        with self._path(location.pack).open("rb") as pack:
            pack.seek(row.offset)
            stored = pack.read(row.stored)
        aad = b"drtool/1/chunk\0" + self._trust.lineage + bytes([row.kind]) + row.id
        error: FormatError | None = None
        for key in slot.keys:
            try:
                with reading(f"chunk {row.id.hex()}"):
                    plain = AESGCM(key).decrypt(row.counter.to_bytes(12, "big"), stored, aad)
                    self.codecs.add(plain[0])
                    chunk = _unpacked(plain, row.length)
                    require(self.id_of(row.kind, chunk) == row.id, "has another id")
                return chunk
            except FormatError as failed:
                error = failed
        assert error is not None
        raise error

    def _path(self, pack: str) -> Path:
        path = self._directory / "packs" / pack[:2] / pack
        require(path.exists(), "is missing")
        return path

    def _slots_of(self, pack: str, header: int) -> list[Slot]:
        if pack not in self._slots:
            with self._path(pack).open("rb") as file:
                slots, _end = self._read_slots(file.read(header))
            self._slots[pack] = [slot if slot.keys else self._added(pack, slot) for slot in slots]
        return self._slots[pack]

    def _read_slots(self, header: bytes) -> tuple[list[Slot], int]:
        require(header.startswith(_MAGIC), "is no pack")
        (count,) = struct.unpack_from(">H", header, len(_MAGIC))
        at = len(_MAGIC) + 2
        slots = []
        for _ in range(count):
            if header[at : at + 1] == b"\x01":
                slot_id, recipients = struct.unpack_from(">16sB", header, at + 1)
                begin = at + 18
                at = begin + recipients * (16 + SEALED_KEY)
                require(at <= len(header), "ends within its slots")
                slots.append(self._data_slot(slot_id, header[begin:at]))
            else:
                require(header[at : at + 1] == b"\x02", "has a slot of an unknown kind")
                slot_id, key_id, salt = _CATALOG_SLOT.unpack_from(header, at + 1)
                at += 1 + _CATALOG_SLOT.size
                key = derive(self._trust.catalog_keys[key_id], "drtool/1/slot", salt)
                slots.append(Slot(slot_id, (key,)))
        return slots, at

    def _data_slot(self, slot_id: bytes, sealed_to: bytes) -> Slot:
        step = 16 + SEALED_KEY
        entries = [sealed_to[at : at + step] for at in range(0, len(sealed_to), step)]
        fingerprint = self._trust.identity.fingerprint
        return Slot(slot_id, tuple(self._keys(slot_id, (entry[16:] for entry in entries if entry[:16] == fingerprint))))

    def _added(self, pack: str, slot: Slot) -> Slot:
        """The slot with keys that were sealed to this identity after the pack was written."""
        path = self._directory / "slots" / self._trust.identity.fingerprint.hex() / pack
        data = path.read_bytes() if path.exists() else b""
        step = 16 + SEALED_KEY
        entries = [data[at : at + step] for at in range(0, len(data), step)]
        return Slot(slot.id, tuple(self._keys(slot.id, (entry[16:] for entry in entries if entry[:16] == slot.id))))

    def _keys(self, slot_id: bytes, sealed_keys: Iterable[bytes]) -> Iterator[bytes]:
        """What opens: nobody signs a slot, so somebody may have added others."""
        for sealed in sealed_keys:
            with suppress(InvalidTag, ValueError):
                yield self._trust.identity.unseal(sealed, b"drtool/1/slot\0" + self._trust.lineage + slot_id)

    def check_pack(self, name: str) -> list[Row]:
        """Check a whole pack, named ``packs/…``: its hash, its directory and that directory's signer. Its rows."""
        data = (self._directory / name).read_bytes()
        with reading(name):
            digest = hashlib.sha256(data).hexdigest()
            require(name == f"packs/{digest[:2]}/{digest}", "does not have its hash as name")
            require(data.endswith(_MAGIC) and len(data) < 1 << 32, "is no pack")
            slots, first = self._read_slots(data)
            (length,) = struct.unpack_from(">I", data, len(data) - 12)
            begin = len(data) - 12 - length
            require(begin >= first, "is shorter than its directory")
            payload = open_sealed(self._trust, DIRECTORY, "", data[begin:-12]).payload
            require(payload[:32] == hashlib.sha256(data[:begin]).digest(), "has the directory of other bytes")
            rows, end = read_rows(payload, 32)
            require(end == len(payload), "has more than rows in its directory")
            used = Counter((row.slot, row.counter) for row in rows)
            require(max(used.values(), default=1) == 1, "uses a counter twice under one key")
            for row in rows:
                require(first <= row.offset and row.offset + row.stored <= begin, "has a chunk outside of itself")
                require(row.slot < len(slots), "has a chunk in no slot")
        return rows


def _unpacked(plain: bytes, length: int) -> bytes:
    codec, body = plain[0], plain[1:]
    if codec == 1:
        claimed = zstandard.get_frame_parameters(body).content_size
        require(claimed in {zstandard.CONTENTSIZE_UNKNOWN, length}, "claims another length in its frame")
        body = zstandard.ZstdDecompressor().decompress(body, max_output_size=length, allow_extra_data=False)
    elif codec == 2:
        body = from_planes(body, length)
    elif codec == 3:
        body = from_singles(body, length)
    else:
        require(codec == 0, f"has the unknown codec {codec}")
    require(len(body) == length, "has another length")
    return body
