"""Planes of singles: whatever goes in comes out, and vectors of 32-bit floats take less room than with zstd alone."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Sequence

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import DamagedObjectError
from drtool.repository import single_planes
from drtool.repository.chunks import MAX_CHUNK_BYTES, Codec, compress, decompress
from drtool.repository.singles import LEAST_VALUES, find_vectors, may_hold_vectors
from drtool.sources.vectors.records import encode_vectors
from tests.format import singles as independent
from tests.format.keys import FormatError

_COMPRESSOR = zstandard.ZstdCompressor(level=1)
_DECOMPRESSOR = zstandard.ZstdDecompressor()


def _vector(count: int, seed: int, bits: int = 32) -> bytes:
    source = random.Random(seed)
    kept = (1 << 32) - (1 << (32 - bits))
    words = struct.unpack(f"<{count}I", struct.pack(f"<{count}f", *(source.gauss(0, 0.05) for _ in range(count))))
    return struct.pack(f"<{count}I", *(word & kept for word in words))


def _chunk(vectors: Sequence[bytes]) -> bytes:
    return b"".join(encode_vectors(f"id-{at:06}", {"": vector})[1] for at, vector in enumerate(vectors))


def _round_trip(data: bytes) -> Codec:
    """Pack and unpack by both readers; the codec."""
    packed = bytes(compress(data))
    assert decompress(memoryview(packed), len(data), "it") == data
    pieces = single_planes.pack(data, _COMPRESSOR)
    if pieces is not None:
        body = b"".join(pieces)
        assert single_planes.unpack(memoryview(body), len(data), _DECOMPRESSOR, "it") == data
        assert independent.unpacked(body, len(data)) == data
    return Codec(packed[0])


_odd = st.sampled_from([b"", b"\x09\x27\x00", struct.pack("<i", 130) + b"\x09\x27\x00", b"x" * 40])


@given(st.lists(st.tuples(_odd, st.integers(0, 3) | st.integers(LEAST_VALUES - 1, LEAST_VALUES + 2)), max_size=8))
def test_whatever_goes_in_comes_out(pieces: list[tuple[bytes, int]]) -> None:
    _round_trip(b"".join(before + _chunk([_vector(count, 1)]) for before, count in pieces))


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 20))
def test_damaged_chunks_come_back_as_they_were(noise: bytes, at: int, length: int) -> None:
    chunk = _chunk([_vector(40, 2), _vector(40, 3)])
    _round_trip(chunk[:at] + noise + chunk[at + length :])


@pytest.mark.parametrize(("bits", "share"), [(32, 0.88), (16, 0.5)])
def test_vectors_take_less_room(bits: int, share: float) -> None:
    chunk = _chunk([_vector(1536, seed, bits) for seed in range(16)])
    assert _round_trip(chunk) is Codec.SINGLES
    assert len(compress(chunk)) < share * len(chunk)


def test_other_chunks_are_left_alone() -> None:
    assert _round_trip(b"\x09\x27\x00" * 1000) is Codec.ZSTD
    assert _round_trip(_chunk([_vector(LEAST_VALUES - 1, 1)] * 20)) is Codec.ZSTD
    text_with_a_vector = _chunk([_vector(64, 1)]) + b"what is most of it " * 1000
    assert may_hold_vectors(text_with_a_vector)
    assert _round_trip(text_with_a_vector) is Codec.ZSTD


def test_finds_every_vector() -> None:
    vectors = [_vector(count, count) for count in (40, 33, 1536)]
    chunk = _chunk(vectors)
    assert [chunk[run.start : run.end] for run in find_vectors(chunk)] == vectors


def _stream(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _made(rows: Sequence[tuple[int, int]], rest: bytes, *planes: bytes) -> bytes:
    table = b"".join(struct.pack(">II", *row) for row in rows)
    every = [*planes, *[b""] * (4 - len(planes))]
    return len(rows).to_bytes(4) + b"".join(_stream(each) for each in (table, rest, *every))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (_made([(1, 4)], b"", *[bytes(4)] * 4), "outside"),
        (_made([(0, 0)], bytes(16)), "empty"),
        (_made([(0, 5)], b"", *[bytes(5)] * 4), "longer vectors"),
        (_made([(0, 2**32 - 1)], b""), "longer vectors"),
        (_made([(0, 1)] * 5, b""), "more vectors"),
        (_made([(0, 4)], b"", *[bytes(3)] * 4), "another length|does not unpack"),
        (_made([(0, 4)], b"", *[bytes(4)] * 4) + b"\0", "too many"),
    ],
)
def test_what_no_writer_makes_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(DamagedObjectError, match=told):
        single_planes.unpack(memoryview(body), 16, _DECOMPRESSOR, "it")
    with pytest.raises((FormatError, zstandard.ZstdError)):
        independent.unpacked(body, 16)


@given(st.binary(max_size=200))
def test_no_body_does_harm(body: bytes) -> None:
    for length in (0, 16, MAX_CHUNK_BYTES):
        with contextlib.suppress(DamagedObjectError):
            assert len(single_planes.unpack(memoryview(body), length, _DECOMPRESSOR, "it")) == length
