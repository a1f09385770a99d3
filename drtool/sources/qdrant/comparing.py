"""Vectors that an engine changes when it is given what it stored, and by how much.

Measured on the embedded engine with 2 to 3,072 dimensions: a normalised vector of float32 is left as it is, and so is
one of uint8; a normalised one of float16 is normalised again, and rounded, by one unit of a half float at most; the
Turbo types quantise again what was not normalised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from drtool.sources.base import Compared
from drtool.sources.comparing import TOLD
from drtool.sources.qdrant.addresses import Kind
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.vectors.records import Id, decode_vectors, records

_HALF = 2.0**-10
_TURBO = 2.0**-16
_SINGLE = 2.0**-21


def is_exact(definition: Definition) -> bool:
    """Does a restored copy of such vectors have the same bits?"""
    return not any(_tolerance(definition.engine, params) for params in definition.vectors.values())


def compare(definition: Definition, expected: Iterable[bytes], restored: Iterable[bytes]) -> Compared:
    """Vector by vector: no component further apart than the tolerance for its kind, as a share of the vector's largest
    component."""
    tolerated = {name: _tolerance(definition.engine, params) for name, params in definition.vectors.items()}
    worst, count = 0.0, 0
    differences: list[str] = []
    for wanted, found in zip_longest(_each(expected), _each(restored)):
        if wanted is None or found is None or wanted[0] != found[0]:
            differences.append(f"vector {count + 1} is {'one too many' if wanted is None else 'not there'}")
            break
        count += 1
        apart = _apart(wanted[1], found[1], tolerated)
        if isinstance(apart, str):
            differences.append(f"point {wanted[0]}: {apart}")
            if len(differences) == TOLD:
                break
        else:
            worst = max(worst, apart)
    most = max(tolerated.values(), default=0.0)
    told = f"{worst:.2g} of a vector's largest component (at most {most:.2g} is tolerated)"
    return Compared(count, tuple(differences), told)


def _tolerance(engine: Kind, params: Mapping[str, Any]) -> float:
    """A share of a vector's largest component; 0 where the bits are the same."""
    datatype, normalised = str(params.get("datatype", "float32")).lower(), params.get("distance") == "Cosine"
    if datatype.startswith("turbo"):
        return 0.0 if normalised and engine is Kind.EDGE else _TURBO
    if not normalised or datatype == "uint8" or engine is Kind.LOCAL:
        return 0.0
    if datatype == "float16":
        return _HALF
    return 0.0 if engine is Kind.EDGE else _SINGLE


def _apart(wanted: Mapping[str, Any], found: Mapping[str, Any], tolerated: Mapping[str, float]) -> float | str:
    """The largest distance that is tolerated; a sentence where it is not."""
    if wanted.keys() != found.keys():
        return "has vectors of other names"
    worst = 0.0
    for name, value in wanted.items():
        if value == found[name]:
            continue
        distance = _distance(value, found[name])
        if distance is None or not distance <= tolerated.get(name, 0.0):
            return f"the vector {name!r} is another one" if name else "the vector is another one"
        worst = max(worst, distance)
    return worst


def _distance(wanted: Any, found: Any) -> float | None:
    """None where they are not of the same form."""
    rows, others = _rows(wanted), _rows(found)
    if rows is None or others is None or [len(row) for row in rows] != [len(row) for row in others]:
        return None
    return max((_share(row, other) for row, other in zip(rows, others, strict=True)), default=0.0)


def _share(wanted: bytes, found: bytes) -> float:
    one, other = (np.frombuffer(data, "<f4").astype(np.float64) for data in (wanted, found))
    largest = float(np.abs(one).max(initial=0.0))
    apart = float(np.abs(one - other).max(initial=0.0))
    return apart / largest if largest else (0.0 if apart == 0.0 else float("inf"))


def _rows(value: Any) -> list[bytes] | None:
    """A dense vector is one row, a multivector several; a sparse one has none."""
    if isinstance(value, bytes):
        return [value]
    return [bytes(row)[2:] for row in value] if isinstance(value, list) else None


def _each(chunks: Iterable[bytes]) -> Iterator[tuple[Id, dict[str, Any]]]:
    return (decode_vectors(data) for chunk in chunks for _, data in records(chunk))
