"""Databases with what LanceDB makes awkward."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Whoever imports this module is skipped where the engine is not installed.
lancedb = pytest.importorskip("lancedb")
index = pytest.importorskip("lancedb.index")
pa = pytest.importorskip("pyarrow")

DIMENSIONS = 256
#: Of the large table.
ROWS = 3000


def connect(path: Path) -> Any:
    """The engine's own client."""
    return lancedb.connect(str(path))


def vectors(count: int, seed: int, dimensions: int = DIMENSIONS) -> Any:
    """Random vectors in clusters, as an Arrow column."""
    source = np.random.default_rng(seed)
    centres = np.random.default_rng(1).random((8, dimensions), dtype=np.float32) * 10
    rows = centres[source.integers(0, 8, count)] + source.random((count, dimensions), dtype=np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.astype(np.float32).ravel()), dimensions)


def documents(first: int, count: int, seed: int = 0) -> Any:
    """Rows of the large table."""
    numbers = range(first, first + count)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "vector": vectors(count, seed),
            "text": [f"document {number} über {'even' if number % 2 else 'odd'} things" for number in numbers],
            "metadata": [{"doc_id": f"d{number}", "tags": ["a", "b"][: number % 3]} for number in numbers],
        }
    )


def fill(path: Path) -> None:
    """A large table with every kind of file: fragments, deletions, columns added later, indexes; and odd ones.

    Nothing is left of older versions but their manifests and transactions (`needed`).
    """
    database = connect(path)
    large = database.create_table("docs", documents(0, ROWS - 500))
    large.create_index("vector", config=index.IvfPq(distance_type="l2", num_partitions=4, num_sub_vectors=8))
    large.create_index("id", config=index.BTree())
    large.create_index("text", config=index.FTS())
    for _ in range(2):  # what the first one makes superfluous the second one removes
        large.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
    large.add(documents(ROWS - 500, 500, seed=2))
    large.update(where="id < 20", values={"text": "changed"})
    large.add_columns({"double": "id * 2"})
    database.create_table("empty", schema=pa.schema([pa.field("id", pa.int64(), metadata={"note": "ü"})]))
    small = pa.table(
        {"key": ["a", "b", "c"], "half": pa.array(np.ones(3, np.float16)), "when": pa.array([0, None, 1], pa.date32())}
    )
    odd = database.create_table("odd.name-1", small)
    odd.add(pa.table({"key": ["d"], "half": pa.array(np.zeros(1, np.float16)), "when": pa.array([2], pa.date32())}))
    cosine = database.create_table("cosine", pa.table({"v": vectors(300, 5, 8), "n": range(300)}))
    cosine.create_index("v", config=index.IvfFlat(distance_type="cosine", num_partitions=2))


def needed(table: Path) -> list[Path]:
    """The files of a table of `fill`: all but those that keep older versions, in the order of the bytes of their
    paths."""
    manifests = sorted((table / "_versions").glob("*.manifest"))  # the newest comes first
    transactions = sorted((table / "_transactions").iterdir(), key=lambda path: int(path.name.partition("-")[0]))
    found = {path for path in table.rglob("*") if path.is_file() and path.suffix != ".json"}
    return sorted(
        found - set(manifests[1:]) - set(transactions[:-1]),
        key=lambda path: path.relative_to(table).as_posix().encode(),
    )


def rows_of(path: Path, name: str, version: int | None = None) -> Any:
    """All rows of a table at a version, in the engine's order."""
    table = connect(path).open_table(name)
    if version is not None:
        table.checkout(version)
    return table.to_arrow()
