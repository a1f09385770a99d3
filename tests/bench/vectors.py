"""Embeddings: what drtool's codec makes of them, beside ``zstd -1`` of the same bytes, in one thread each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import bson
import numpy as np
import numpy.typing as npt
import zstandard

from drtool.repository.chunks import Codec, compress
from tests.bench.workload import DIMENSIONS

TITLE = "vectors"
DOCUMENTS = 2_000
_CHUNK_BYTES = 400_000
_WORDS = 120
_HEADINGS = ("", "MB of BSON", "zstd -1", "drtool", "size", "MB/s zstd -1", "MB/s drtool", "time")

Values = npt.NDArray[np.float64]


def report(scale: float, runs: int) -> str:
    """A table: a line for embeddings as models give them (32-bit floats that became doubles), one for true doubles."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for name, narrow in (("32-bit floats as doubles", True), ("doubles", False)):
        chunks = list(_chunks(max(40, round(DOCUMENTS * scale)), narrow))
        rows.append((name, *_figures(chunks, runs)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return "\n".join([f"{DIMENSIONS:,} values in a document", *("  " + "  ".join(line) for line in lines)])


def _figures(chunks: Sequence[bytes], runs: int) -> Iterator[str]:
    whole = b"".join(chunks)
    zstd = zstandard.ZstdCompressor(level=1)
    ours, theirs = 0, 0
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(runs):  # in turns, so that both meet the same disturbances
        seconds, theirs = _timed(lambda: len(zstd.compress(whole)))
        times["theirs"].append(seconds)
        seconds, ours = _timed(lambda: sum(len(compress(chunk)) for chunk in chunks))
        times["ours"].append(seconds)
    if any(compress(chunk)[0] != Codec.PLANES for chunk in chunks):
        raise AssertionError("a chunk of embeddings was not written down as byte planes")
    yield from (f"{len(whole) / 1e6:.1f}", f"{theirs / 1e6:.1f}", f"{ours / 1e6:.1f}", f"{ours / theirs:.2f} ×")
    yield from (f"{len(whole) / median(times[who]) / 1e6:.0f}" for who in ("theirs", "ours"))
    ratios = [mine / its for mine, its in zip(times["ours"], times["theirs"], strict=True)]
    yield f"{median(ratios):.2f} ×"


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
