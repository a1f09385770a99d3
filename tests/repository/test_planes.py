"""Byte planes: whatever goes in comes out, and arrays of doubles take less room than with zstd alone."""

from __future__ import annotations

import math
import random
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import bson
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from drtool.errors import DamagedObjectError
from drtool.repository import planes
from drtool.repository.chunks import MAX_CHUNK_BYTES, Codec, compress, decompress
from drtool.repository.doubles import LEAST_COUNT, count_in, find_runs, run_bytes
from tests.format import planes as independent

_COMPRESSOR = zstandard.ZstdCompressor(level=1)
_DECOMPRESSOR = zstandard.ZstdDecompressor()
#: A signalling NaN, NaNs with payloads that a 32-bit float has room for or not, and other values at the edges.
_ODD = [
    *("f07f0000000001", "f87f000000002a", "7ff8000000000000", "fff8000020000000", "7ff0000020000000"),
    *("8000000000000000", "7ff0000000000000", "36a0000000000000", "47efffffe0000000", "47efffffe0000001"),
]


def _doubles(patterns: Sequence[int]) -> bytes:
    """The elements of an array with these bit patterns."""
    return b"".join(b"\1%d\0" % at + struct.pack("<Q", bits) for at, bits in enumerate(patterns))


def _array(name: bytes, elements: bytes) -> bytes:
    return b"\4" + name + b"\0" + struct.pack("<i", len(elements) + 5) + elements + b"\0"


def _vector(count: int, seed: int = 1, single: bool = False) -> list[float]:
    source = random.Random(seed)
    values = [source.gauss(0, 0.05) for _ in range(count)]
    return list(struct.unpack(f"{count}f", struct.pack(f"{count}f", *values))) if single else values


def _body(data: bytes) -> bytes | None:
    pieces = planes.pack(data, _COMPRESSOR)
    return None if pieces is None else b"".join(pieces)


def _round_trip(data: bytes) -> Codec:
    """Pack and unpack by both readers; the codec."""
    packed = bytes(compress(data))
    assert decompress(memoryview(packed), len(data), "it") == data
    body = _body(data)
    if body is not None:
        assert planes.unpack(memoryview(body), len(data), _DECOMPRESSOR, "it") == data
        assert independent.unpacked(body, len(data)) == data
    return Codec(packed[0])


_patterns = st.integers(0, 2**64 - 1) | st.sampled_from([int(text, 16) for text in _ODD])
_singles = st.floats(width=32, allow_nan=False).map(lambda value: struct.unpack("<Q", struct.pack("<d", value))[0])


@st.composite
def _arrays(draw: st.DrawFn) -> bytes:
    """An array of doubles, its values of one kind; perhaps with a byte changed, cut off or added."""
    count = draw(st.integers(0, 3) | st.integers(LEAST_COUNT - 2, LEAST_COUNT + 3) | st.integers(990, 1010))
    few = draw(st.lists(draw(st.sampled_from([_patterns, _singles])), min_size=1, max_size=4))
    array = bytearray(_array(b"v", _doubles([few[at % len(few)] for at in range(count)])))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(array) - 1))
        array[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(array)


@given(st.lists(_arrays() | st.binary(max_size=40), max_size=5))
@example([b"\x010\x00"])
@example([_array(b"v", _doubles(range(LEAST_COUNT)))[7:]])
def test_any_bytes_come_back(parts: list[bytes]) -> None:
    _round_trip(b"".join(parts))


@pytest.mark.parametrize("count", [0, 1, 9, 10, 127, 128, 1000, 1001, 4096, 4097, 20_000])
@pytest.mark.parametrize("single", [True, False], ids=["singles", "doubles"])
def test_arrays_of_any_length(count: int, single: bool) -> None:
    data = bson.encode({"_id": 1, "v": _vector(count, single=single), "after": "text"})
    codec = _round_trip(data)
    assert (codec is Codec.PLANES) == (count >= 1000 or (count == 128))


def test_documents_of_all_kinds() -> None:
    documents: list[dict[str, Any]] = [
        {"empty": [], "flat": _vector(300), "same": _vector(300, 2, single=True)},
        {"nested": [_vector(200), [_vector(200, 3, single=True), []], {"in": _vector(512)}]},
        {"mixed": [*_vector(200), 1], "also": [1, *_vector(200)], "text": [*_vector(200), "a"]},
        {"one": [0.5], "two": [1.0, 2.0], "binary": bson.Binary(bytes(range(256)))},
    ]
    data = b"".join(bson.encode(each) for each in documents)
    assert _round_trip(data * 3) is Codec.PLANES
    body = _body(data)
    assert body is not None
    assert int.from_bytes(body[:4]) == 5


def test_odd_values_keep_their_bits() -> None:
    for pattern in _ODD:
        bits = [int(pattern, 16)] * 3 + [struct.unpack("<Q", struct.pack("<d", value))[0] for value in _vector(1000)]
        singles = [struct.unpack("<Q", struct.pack("<d", value))[0] for value in _vector(1000, single=True)]
        for patterns in (bits, [*singles, int(pattern, 16)], [int(pattern, 16), *singles]):
            assert _round_trip(_array(b"v", _doubles(patterns))) is Codec.PLANES


def _width_of(values: list[float]) -> int:
    body = _body(_array(b"v", b"".join(b"\1%d\0" % at + struct.pack("<d", value) for at, value in enumerate(values))))
    assert body is not None
    return body[8]


def test_what_fits_into_32_bits_takes_32() -> None:
    singles = _vector(1000, single=True)
    assert _width_of(singles) == _width_of([*singles, -0.0, math.inf, -math.inf, 2.0**-149]) == 4
    for beyond in (0.1, 2.0**-150, 1e39):
        assert _width_of([*singles, beyond]) == 8


@pytest.mark.parametrize(("single", "share"), [(True, 0.8), (False, 0.85)], ids=["singles", "doubles"])
def test_embeddings_take_less_room_than_with_zstd_alone(single: bool, share: float) -> None:
    # Also where as many documents of one length fit in as places are looked at.
    for documents in (12, 16, 32):
        data = b"".join(bson.encode({"_id": at, "v": _vector(1536, at, single)}) for at in range(documents))
        packed = compress(data)
        assert packed[0] == Codec.PLANES
        assert len(packed) <= share * len(_COMPRESSOR.compress(data))


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_what_zstd_alone_makes_small_is_left_to_it(value: float) -> None:
    assert compress(bson.encode({"v": [value] * 20_000}))[0] == Codec.ZSTD


def test_lengths_and_counts_are_one_to_one() -> None:
    lengths = [len(_doubles([0] * count)) for count in range(1200)]
    assert [run_bytes(count) for count in range(1200)] == lengths
    assert [count_in(length) for length in lengths] == list(range(1200))
    found = {length: count_in(length) for length in range(lengths[-1])}
    assert {length for length, count in found.items() if count} == set(lengths[1:-1])
    for count in (10**4, 10**5, 10**6, 6_000_000):
        assert [count_in(run_bytes(near)) for near in (count - 1, count, count + 1)] == [count - 1, count, count + 1]


def test_a_run_is_not_looked_for_within_another() -> None:
    inner = _array(b"", _doubles(range(LEAST_COUNT)))
    runs = find_runs(_array(b"v", _doubles(range(300))) + inner)
    assert [run.values for run in runs] == [300, LEAST_COUNT]


def test_numpy_is_imported_for_vectors_only() -> None:
    script = (
        "import os, sys; from drtool.cli import main; from drtool.repository import writer, reader\n"
        "from drtool.repository.chunks import compress\n"
        "compress(b'text ' * 100_000); compress(os.urandom(100_000)); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# --- damage ------------------------------------------------------------------------------

SAMPLE = b"".join(bson.encode({"a": _vector(130 + at, at, single=at % 2 == 0)}) for at in range(3))
BODY = _body(SAMPLE)


def _unpack(body: bytes, length: int = len(SAMPLE)) -> bytes | None:
    """`None` where `body` is refused; any other error fails the test."""
    try:
        return planes.unpack(memoryview(body), length, _DECOMPRESSOR, "it")
    except DamagedObjectError:
        return None


@given(st.data())
def test_changed_bodies_are_refused_or_of_the_length(data: st.DataObject) -> None:
    assert BODY is not None
    body = bytearray(BODY)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, 60) | st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=4))
    unpacked = _unpack(bytes(body))
    assert unpacked is None or len(unpacked) == len(SAMPLE)


@given(st.binary(max_size=200), st.integers(0, MAX_CHUNK_BYTES))
def test_garbage_is_refused(body: bytes, length: int) -> None:
    unpacked = _unpack(body, length)
    assert unpacked is None or len(unpacked) == length


def test_truncation_and_other_lengths_are_refused() -> None:
    assert BODY is not None
    assert _unpack(BODY) == SAMPLE
    assert all(_unpack(BODY[:end]) is None for end in range(0, len(BODY), 7))
    assert all(_unpack(BODY, length) is None for length in (0, 1, len(SAMPLE) - 1, len(SAMPLE) + 1, MAX_CHUNK_BYTES))
    assert _unpack(BODY + b"\0") is None


def _stream(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _made(rows: Sequence[tuple[int, int, int]], rest: bytes, *value_planes: bytes) -> bytes:
    table = b"".join(struct.pack(">BII", *row) for row in rows)
    every = [*value_planes, *[b""] * (12 - len(value_planes))]
    return len(rows).to_bytes(4) + b"".join(_stream(each) for each in (table, rest, *every))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (_made([(4, 1, 16)], b"", *[bytes(16)] * 4), "outside"),
        (_made([(5, 0, 16)], b"", *[bytes(16)] * 4), "16 values of 5 bytes"),
        (_made([(4, 0, 15)], bytes(10), *[bytes(15)] * 4), "15 values"),
        (_made([(4, 0, 17)], b"", *[bytes(17)] * 4), "longer arrays"),
        (_made([(4, 0, 2**32 - 1)], b""), "4294967295 values"),
        (_made([(4, 0, 16)] * 2, b""), "more arrays"),
        (_made([(4, 0, 16)], b"", *[bytes(15)] * 4), "another length|does not unpack"),
        (_made([(4, 0, 16)], b"", *[bytes(17)] * 4), "another length"),
        (_made([(4, 0, 16)], b"", *[bytes(16)] * 4) + b"\0", "too many"),
        (_made([], _COMPRESSOR.compress(bytes(183))), "another length"),
        (_made([], zstandard.ZstdCompressor(write_content_size=False).compress(bytes(182))), "another length"),
        (_made([], _COMPRESSOR.compress(bytes(182))[:-1]), "does not unpack"),
    ],
)
def test_what_no_writer_makes_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(DamagedObjectError, match=told):
        planes.unpack(memoryview(body), 182, _DECOMPRESSOR, "it")


def test_the_least_that_the_format_allows_is_read() -> None:
    body = _made([(4, 0, 16)], b"", *[bytes(16)] * 4)
    assert planes.unpack(memoryview(body), 182, _DECOMPRESSOR, "it") == _doubles([0] * 16)
    assert independent.unpacked(body, 182) == _doubles([0] * 16)
