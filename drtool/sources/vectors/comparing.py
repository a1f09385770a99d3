"""Vectors that a store normalises: equal but for the last bits."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, zip_longest

import numpy as np

from drtool.sources.base import Compared
from drtool.sources.comparing import TOLD
from drtool.sources.vectors.records import decode_vectors, records


def compare_vectors(expected: Iterable[bytes], restored: Iterable[bytes], ulps: int) -> Compared:
    """Vector by vector: each component at most `ulps` units in the last place of its float32 apart."""
    worst, count = 0, 0
    differences: list[str] = []
    each = (chain.from_iterable(map(records, chunks)) for chunks in (expected, restored))
    for wanted, found in zip_longest(*each):
        count += 1
        if wanted is None or found is None or wanted[0] != found[0]:
            differences.append(f"vector {count} is {'one too many' if wanted is None else 'not there'}")
            break
        if wanted[1] == found[1]:
            continue
        id_, vectors = decode_vectors(wanted[1])
        apart = _apart(vectors, decode_vectors(found[1])[1])
        if apart is None or apart > ulps:
            how = "is another one" if apart is None else f"differs by {apart} units in the last place"
            differences.append(f"the vector of {id_!r} {how}")
            if len(differences) == TOLD:
                break
        worst = max(worst, apart or 0)
    return Compared(count, tuple(differences), f"{worst} units in the last place (at most {ulps} are tolerated)")


def _apart(wanted: dict[str, object], found: dict[str, object]) -> int | None:
    """The largest distance; None where they are not of the same names, kinds and dimensions, or where one is no
    number."""
    if wanted.keys() != found.keys():
        return None
    worst = 0
    for name, value in wanted.items():
        other = found[name]
        if value == other:
            continue
        if type(value) is not bytes or type(other) is not bytes or len(value) != len(other):
            return None
        if not (_is_finite(value) and _is_finite(other)):
            return None
        worst = max(worst, int(np.abs(_ordered(value) - _ordered(other)).max()))
    return worst


def _is_finite(data: bytes) -> bool:
    return bool(np.isfinite(np.frombuffer(data, "<f4")).all())


def _ordered(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Integers that are as far apart as the floats are in units of the last place."""
    bits = np.frombuffer(data, "<i4").astype(np.int64)
    return np.where(bits < 0, np.int64(-(1 << 31)) - bits, bits)
