"""Vectors as Arrow arrays; None where an item has none of the name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from drtool.sources.extras import require
from drtool.sources.vectors.columns import as_json


def dense_array(vectors: Sequence[bytes | None]) -> Any:
    """Lists of float32, from their little-endian bytes; nothing is copied value by value."""
    pyarrow = require("pyarrow", "parquet")
    lengths = (0 if vector is None else len(vector) // 4 for vector in vectors)
    offsets = np.fromiter(accumulate(lengths, initial=0), np.int32, len(vectors) + 1)
    values = np.frombuffer(b"".join(vector for vector in vectors if vector is not None), "<f4")
    missing = np.fromiter((vector is None for vector in vectors), np.bool_, len(vectors))
    mask = pyarrow.array(missing) if missing.any() else None
    return pyarrow.ListArray.from_arrays(pyarrow.array(offsets), pyarrow.array(values, pyarrow.float32()), mask=mask)


def sparse_array(vectors: Sequence[Any]) -> Any:
    """Structures of ``indices`` and ``values``."""
    pyarrow = require("pyarrow", "parquet")
    form = pyarrow.struct({"indices": pyarrow.list_(pyarrow.uint32()), "values": pyarrow.list_(pyarrow.float32())})
    return pyarrow.array(vectors, form)


def other_array(vectors: Sequence[Any]) -> Any:
    """JSON text; bytes as base64."""
    pyarrow = require("pyarrow", "parquet")
    return pyarrow.array([None if vector is None else as_json(vector) for vector in vectors], pyarrow.string())
