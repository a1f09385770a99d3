"""Embeddings: what drtool's codecs make of them, beside ``zstd -1`` of the same bytes, in one thread each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import bson
import numpy as np
import numpy.typing as npt
import zstandard

from drtool.repository.chunks import Codec, compress
from drtool.sources.vectors.records import encode_vectors
from tests.bench.workload import DIMENSIONS

TITLE = "vectors"
DOCUMENTS = 2_000
_CHUNK_BYTES = 400_000
_WORDS = 120
_VECTORS_PER_CHUNK = 16
_HEADINGS = ("", "MB of BSON", "zstd -1", "drtool", "size", "MB/s zstd -1", "MB/s drtool", "time")

Values = npt.NDArray[np.float64]


def report(scale: float, runs: int) -> str:
    """A table: a line for embeddings as models give them (32-bit floats that became doubles), one for true doubles, one
    for 32-bit floats as vector stores have them."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    documents = max(40, round(DOCUMENTS * scale))
    for name, narrow in (("32-bit floats as doubles", True), ("doubles", False)):
        rows.append((name, *_figures(list(_chunks(documents, narrow)), Codec.PLANES, runs)))
    rows.append(("32-bit floats", *_figures(list(_vectors(documents)), Codec.SINGLES, runs)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return "\n".join([f"{DIMENSIONS:,} values in a document", *("  " + "  ".join(line) for line in lines)])


def _figures(chunks: Sequence[bytes], codec: Codec, runs: int) -> Iterator[str]:
    whole = b"".join(chunks)
    zstd = zstandard.ZstdCompressor(level=1)
    ours, theirs = 0, 0
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(runs):  # in turns, so that both meet the same disturbances
        seconds, theirs = _timed(lambda: len(zstd.compress(whole)))
        times["theirs"].append(seconds)
        seconds, ours = _timed(lambda: sum(len(compress(chunk)) for chunk in chunks))
        times["ours"].append(seconds)
    if any(compress(chunk)[0] != codec for chunk in chunks):
        raise AssertionError("a chunk of embeddings was not written down as byte planes")
    yield from (f"{len(whole) / 1e6:.1f}", f"{theirs / 1e6:.1f}", f"{ours / 1e6:.1f}", f"{ours / theirs:.2f} ×")
    yield from (f"{len(whole) / median(times[who]) / 1e6:.0f}" for who in ("theirs", "ours"))
    ratios = [mine / its for mine, its in zip(times["ours"], times["theirs"], strict=True)]
    yield f"{median(ratios):.2f} ×"


def _vectors(documents: int) -> Iterator[bytes]:
    """Records of vectors, in chunks of ordinary size for those."""
    random = np.random.default_rng(1)
    for first in range(0, documents, _VECTORS_PER_CHUNK):
        rows = random.standard_normal((_VECTORS_PER_CHUNK, DIMENSIONS)).astype("<f4")
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        yield b"".join(encode_vectors(first + at, {"": row.tobytes()})[1] for at, row in enumerate(rows))


def _timed(work: Callable[[], int]) -> tuple[float, int]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _chunks(documents: int, narrow: bool) -> Iterator[bytes]:
    """Documents as BSON, with some text beside a normalised vector, in chunks of ordinary size."""
    random = np.random.default_rng(1)
    words = [f"{word:012x}" for word in random.integers(0, 1 << 48, 3_000)]
    chunk = b""
    for number in range(documents):
        values: Values = random.standard_normal(DIMENSIONS)
        values /= np.linalg.norm(values)
        embedding = values.astype(np.float32).astype(np.float64) if narrow else values
        text = " ".join(random.choice(words, _WORDS))
        chunk += bson.encode({"_id": number, "text": text, "embedding": embedding.tolist()})
        if len(chunk) >= _CHUNK_BYTES or number == documents - 1:
            yield chunk
            chunk = b""
