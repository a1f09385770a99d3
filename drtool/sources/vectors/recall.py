"""Does search still find what is there? Recall@10 of sampled queries against brute force.

Queries are vectors of the collection itself. The true neighbours are found while all vectors pass by on their way into
a backup, or out of a sandbox, at the cost of one matrix product a batch; then the store is asked the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from drtool.sources.vectors.records import Id

QUERIES = 20
NEAREST = 10
#: How much lower recall may be after a restore: an index is built anew, and approximate ones differ each time.
TOLERATED = 0.05
#: Where a view's point holds the recall of each collection by name.
RECALL = "recall"

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class Recall:
    """Finds the true neighbours of some queries among all vectors; fed from several threads.

    `queries` are rows of float32; `metric` is ``l2``, ``cosine`` or ``ip`` (inner product).
    """

    def __init__(self, queries: Matrix, metric: str) -> None:
        self._queries = _unit(queries) if metric == "cosine" else queries
        self._metric = metric
        self._best: list[list[tuple[float, Id]]] = [[] for _ in range(len(queries))]
        self._lock = threading.Lock()

    def feed(self, ids: Sequence[Id], vectors: Matrix) -> None:
        """A batch of the collection's vectors."""
        distances = self._distances(vectors)
        count = min(NEAREST, len(ids))
        nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
        with self._lock:
            for best, places, row in zip(self._best, nearest, distances, strict=True):
                best += [(float(row[place]), ids[place]) for place in places]
                best.sort(key=lambda one: one[0])
                del best[NEAREST:]

    def measure(self, search: Callable[[int, int], Sequence[Id]]) -> float:
        """The share of true neighbours (0 to 1) that the store finds: `search` gives so many ids for the query of this
        number."""
        found = total = 0
        for number, best in enumerate(self._best):
            true = {id_ for _, id_ in best}
            found += len(true & set(search(number, len(best))))
            total += len(best)
        return found / total if total else 1.0

    def _distances(self, vectors: Matrix) -> Matrix:
        if self._metric == "cosine":
            vectors = _unit(vectors)
        products = self._queries @ vectors.T
        if self._metric == "l2":
            return np.asarray((vectors * vectors).sum(axis=1)[None, :] - 2 * products)
        return np.asarray(-products)


def lost_recall(before: Mapping[str, Any], restored: Mapping[str, Any]) -> Sequence[str]:
    """See ``Source.regressions``: the collections in which search finds less than it did."""
    old, new = before.get(RECALL, {}), restored.get(RECALL, {})
    return [
        f"{name}: search finds {new[name]:.0%} of the true nearest {NEAREST}, and {value:.0%} before"
        for name, value in old.items()
        if name in new and new[name] < value - TOLERATED
    ]


def _unit(vectors: Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)
