"""Chunks: their ids, and how one is compressed and sealed (docs/format.md, "Chunks")."""

from __future__ import annotations

import threading
from enum import IntEnum

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drtool.errors import DamagedObjectError
from drtool.repository.doubles import may_hold_runs
from drtool.repository.keyring import ChunkKind, Keyring
from drtool.repository.primitives import TAG_BYTES, nonce
from drtool.repository.singles import may_hold_vectors

ID_BYTES = 32
#: No chunk is longer than this when unpacked: 4 MiB and one more record, of at most 48 MiB.
MAX_CHUNK_BYTES = 64 * 1024 * 1024
COMPRESSION_LEVEL = 1


class Codec(IntEnum):
    """How a chunk is written down before it is sealed: the first sealed byte."""

    RAW = 0
    ZSTD = 1
    PLANES = 2
    SINGLES = 3


def chunk_id(keyring: Keyring, kind: ChunkKind, data: bytes) -> bytes:
    """Keyed BLAKE3 over the chunk as read: 32 bytes."""
    return keyed_id(keyring.chunk_id_key(kind), data)


def keyed_id(key: bytes, data: bytes) -> bytes:
    """The same, by the key of the kind."""
    return blake3(data, key=key).digest()


def chunk_aad(lineage: bytes, kind: ChunkKind, id_: bytes) -> bytes:
    """What a sealed chunk is bound to: never the pack, so that it can move."""
    return b"drtool/1/chunk\0" + lineage + bytes([kind]) + id_


class _Workspace(threading.local):
    """What one thread keeps between chunks: fresh memory costs more than the work done in it."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()
        self._scratch = bytearray(2 * 1024 * 1024)

    def scratch(self, length: int) -> memoryview:
        """`length` bytes, the same ones each time."""
        if len(self._scratch) < length:
            self._scratch = bytearray(length)
        return memoryview(self._scratch)[:length]


_workspace = _Workspace()


def compress(data: bytes) -> memoryview:
    """The codec byte and what follows it; valid until this thread works on its next chunk."""
    codec, pieces = _pack(data)
    out = _workspace.scratch(1 + sum(map(len, pieces)))
    out[0] = codec
    at = 1
    for piece in pieces:
        out[at : at + len(piece)] = piece
        at += len(piece)
    return out


def _pack(data: bytes) -> tuple[Codec, list[bytes | memoryview]]:
    if may_hold_runs(data):
        # Imported only where there are vectors: numpy costs time and memory.
        from drtool.repository import planes

        pieces = planes.pack(data, _workspace.compressor)
        if pieces is not None and sum(map(len, pieces)) < len(data):
            return Codec.PLANES, pieces
    elif may_hold_vectors(data):
        from drtool.repository import single_planes

        pieces = single_planes.pack(data, _workspace.compressor)
        if pieces is not None and sum(map(len, pieces)) < len(data):
            return Codec.SINGLES, pieces
    packed: bytes = _workspace.compressor.compress(data)
    return (Codec.ZSTD, [packed]) if len(packed) < len(data) else (Codec.RAW, [data])


def sealed_length(packed: memoryview) -> int:
    """How many bytes `packed` takes once sealed."""
    return len(packed) + TAG_BYTES


def seal_into(key: AESGCM, counter: int, packed: memoryview, aad: bytes, out: memoryview) -> None:
    """Seal into `out`, which has `sealed_length` bytes."""
    key.encrypt_into(nonce(counter), packed, aad, out)


def open_chunk(
    key: bytes, counter: int, sealed: bytes | memoryview, keyring: Keyring, kind: ChunkKind, id_: bytes, length: int
) -> bytes:
    """The chunk, provided that it is the one that was named: ``DamagedObjectError`` otherwise.

    `length` is the unpacked length that the index or a page announced; it bounds what is allocated.
    """
    what = f"chunk {id_.hex()[:16]}"
    if not 0 <= length <= MAX_CHUNK_BYTES:
        raise DamagedObjectError(f"{what} is announced with {length} bytes, which no chunk has")
    if len(sealed) <= TAG_BYTES:
        raise DamagedObjectError(f"{what} is truncated")
    packed = _workspace.scratch(len(sealed) - TAG_BYTES)
    try:
        AESGCM(key).decrypt_into(nonce(counter), sealed, chunk_aad(keyring.lineage, kind, id_), packed)
    except InvalidTag as error:
        raise DamagedObjectError(f"{what} does not decrypt: it was altered or is another chunk") from error
    data = decompress(packed, length, what)
    if chunk_id(keyring, kind, data) != id_:
        raise DamagedObjectError(f"{what} is not what it is named: its content has another id")
    return data


def decompress(packed: memoryview, length: int, what: str) -> bytes:
    """What `compress` was given, if it has `length` bytes; otherwise ``DamagedObjectError`` names `what`."""
    codec, body = packed[0], packed[1:]
    if codec == Codec.RAW:
        data = bytes(body)
    elif codec == Codec.ZSTD:
        try:
            # The frame's own claim decides what is allocated, so it must not exceed what was announced.
            if zstandard.frame_content_size(body) > length:
                raise DamagedObjectError(f"{what} would unpack to more than the {length} bytes announced")
            data = _workspace.decompressor.decompress(body, max_output_size=length)
        except zstandard.ZstdError as error:
            raise DamagedObjectError(f"{what} does not unpack: {error}") from error
    elif codec in (Codec.PLANES, Codec.SINGLES):
        from drtool.repository import planes, single_planes

        unpack = planes.unpack if codec == Codec.PLANES else single_planes.unpack
        data = unpack(body, length, _workspace.decompressor, what)
    else:
        raise DamagedObjectError(f"{what} uses codec {codec}, which this version does not know")
    if len(data) != length:
        raise DamagedObjectError(f"{what} has {len(data)} bytes instead of {length}")
    return data
