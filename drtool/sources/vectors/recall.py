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

QUERIES = 50
NEAREST = 10
#: How many of the nearest are kept for each query, so that those at equal distance are among them.
_KEPT = 64
#: A matrix product of few rows costs more to begin than to compute.
_WORTHWHILE_BYTES = 8 * 1024 * 1024
#: By how much distances differ that are equal but for the order of additions, as a share of what is added up.
_ROUNDING = 1e-5
#: How much lower recall may be after a restore, beside what chance explains: an index is built anew, and approximate
#: ones differ each time.
TOLERATED = 0.05
#: Where a view's point holds the recall of each collection by name.
RECALL = "recall"

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class Recall:
    """Finds the true neighbours of some queries among all vectors; fed from several threads, and what is fed again
    counts once.

    `queries` are rows of float32; `metric` is ``l2``, ``cosine`` or ``ip`` (inner product).
    """

    def __init__(self, queries: Matrix, metric: str) -> None:
        self._queries = _unit(queries) if metric == "cosine" else queries
        self._metric = metric
        squares = (self._queries.astype(np.float64) ** 2).sum(axis=1)
        self._rounding = [_ROUNDING * float(square) for square in squares]
        self._best: list[dict[Id, float]] = [{} for _ in range(len(queries))]
        self._waiting: list[tuple[Sequence[Id], Matrix]] = []
        self._lock = threading.Lock()

    def feed(self, ids: Sequence[Id], vectors: Matrix) -> None:
        """A batch of the collection's vectors. Both are kept until there are enough for a product to be worth it."""
        with self._lock:
            self._waiting.append((ids, vectors))
            if sum(waiting.nbytes for _, waiting in self._waiting) >= _WORTHWHILE_BYTES:
                self._take()

    def measure(self, search: Callable[[int, int], Sequence[Id]]) -> float:
        """The share of true neighbours (0 to 1) that the store finds: `search` gives so many ids for the query of this
        number. Of several that are as far as the last one, any will do."""
        with self._lock:
            self._take()
        found = total = 0
        for number, (best, rounding) in enumerate(zip(self._best, self._rounding, strict=True)):
            count = min(NEAREST, len(best))
            if count:
                found += _found(best, search(number, count), count, rounding)
                total += count
        return found / total if total else 1.0

    def _take(self) -> None:
        ids = [id_ for some, _ in self._waiting for id_ in some]
        if ids:
            distances = self._distances(np.concatenate([vectors for _, vectors in self._waiting if len(vectors)]))
            count = min(_KEPT, len(ids))
            nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
            for number, (places, row) in enumerate(zip(nearest, distances, strict=True)):
                best = self._best[number] | {ids[place]: float(row[place]) for place in places}
                self._best[number] = dict(sorted(best.items(), key=lambda one: one[1])[:_KEPT])
        self._waiting = []

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
        if name in new and new[name] < value - TOLERATED - _chance(value)
    ]


def _chance(recall: float) -> float:
    """Twice the standard error of the difference of two such shares, each of all neighbours that are looked for."""
    return float(2 * np.sqrt(2 * recall * (1 - recall) / (QUERIES * NEAREST)))


def _found(best: Mapping[Id, float], answer: Sequence[Id], count: int, rounding: float) -> int:
    """How many of the `count` true neighbours an answer holds. `best` are ids with their distances, by distance, which
    are off by `rounding` at least."""
    distances = list(best.values())
    reach = distances[count - 1] + max(rounding, _ROUNDING * abs(distances[count - 1]))
    if len(best) == _KEPT and distances[-1] <= reach:  # there may be any number of them, and which ones is not known
        return min(count, len(set(answer)))
    return min(count, len({id_ for id_ in answer if id_ in best and best[id_] <= reach}))


def _unit(vectors: Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)
