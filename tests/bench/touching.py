"""A vector collection of which every item's metadata is touched, and one of which a few vectors are: what is stored."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from drtool.sources.extras import require
from tests.bench.workload import DIMENSIONS

TITLE = "touching"
POINTS = 10_000
#: How many scattered vectors are replaced.
SCATTERED = 200
_LEAST = 500
_AT_ONCE = 500
_COLLECTION = "passages"


def report(scale: float, runs: int, parent: Path | None) -> str:
    """A line for each backup. One run: bytes do not vary as times do."""
    del runs
    count = max(_LEAST, round(POINTS * scale))
    with tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as directory:
        shelf = _Shelf(Path(directory), count)
        first = shelf.back_up()
        shelf.touch_payloads()
        payloads = shelf.back_up()
        scattered = max(1, round(SCATTERED * count / POINTS))
        shelf.replace_vectors(scattered)
        vectors = shelf.back_up()
    size = 4 * DIMENSIONS * count / 1e6
    lines = [
        f"{count:,} points with {DIMENSIONS:,} dimensions in an embedded Qdrant ({size:.0f} MB)",
        _line("first backup", first, first),
        _line("after every payload was touched", payloads, first),
        _line(f"after {scattered:,} scattered vectors were replaced", vectors, first),
    ]
    return "\n".join(lines)


def _line(what: str, found: dict[str, Any], first: dict[str, Any]) -> str:
    new, stored = found["bytes"]["new"], found["bytes"]["stored"]
    share = "" if found is first else f"  {new / first['bytes']['new']:.3f} × the bytes of the first"
    return f"  {what:<45} {new / 1e6:>6.1f} MB of new chunks, {stored / 1e6:>6.1f} MB stored{share}"


class _Shelf:
    """A shard with points, and a repository that it is backed up to."""

    def __init__(self, directory: Path, count: int) -> None:
        self._directory, self._count = directory, count
        self._random = np.random.default_rng(1)
        self._engine = require("qdrant_edge", "qdrant")
        shard = directory / "shards" / _COLLECTION
        shard.mkdir(parents=True)
        params = self._engine.EdgeVectorParams(size=DIMENSIONS, distance=self._engine.Distance.Dot)
        self._engine.EdgeShard.create(str(shard), self._engine.EdgeConfig(vectors={"": params})).close()
        self._upsert(range(count))
        directory.joinpath("drtool.yaml").write_text(
            "repository: {url: repository, agent_key: {file: agent.key}, state_dir: state, cache_dir: cache}\n"
            "sources: {vectors: {type: qdrant, edge: shards}}\n"
            "jobs: {nightly: {sources: [vectors]}}\n",
            encoding="utf-8",
        )
        self._run("init", "--identity-out", "identity.key")

    def touch_payloads(self) -> None:
        """Every item gets another field."""
        with self._open() as shard:
            for first in range(0, self._count, _AT_ONCE):
                ids = list(range(first, min(self._count, first + _AT_ONCE)))
                shard.update(self._engine.UpdateOperation.set_payload(ids, {"touched": True}))

    def replace_vectors(self, count: int) -> None:
        """So many, anywhere in the collection."""
        self._upsert(sorted(int(id_) for id_ in self._random.choice(self._count, count, replace=False)))

    def back_up(self) -> dict[str, Any]:
        """What the backup says of itself."""
        lines = [json.loads(line) for line in self._run("backup", "--json").splitlines()]
        return next(line for line in lines if line["type"] == "backup")

    def _upsert(self, ids: Sequence[int]) -> None:
        with self._open() as shard:
            for first in range(0, len(ids), _AT_ONCE):
                part = ids[first : first + _AT_ONCE]
                rows = self._random.standard_normal((len(part), DIMENSIONS)).astype(np.float32)
                points = [
                    self._engine.Point(id_, row.tolist(), {"doc_id": f"doc-{id_}", "text": f"passage {id_} " * 20})
                    for id_, row in zip(part, rows, strict=True)
                ]
                shard.update(self._engine.UpdateOperation.upsert_points(points))

    @contextmanager
    def _open(self) -> Iterator[Any]:
        with closing(self._engine.EdgeShard.load(str(self._directory / "shards" / _COLLECTION))) as shard:
            yield shard

    def _run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "drtool", *arguments]
        return subprocess.run(command, cwd=self._directory, check=True, stdout=subprocess.PIPE, text=True).stdout
