"""Recall against brute force."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from drtool.sources.vectors.recall import NEAREST, RECALL, Recall, lost_recall

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]] | np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def distances(metric: str, query: Array, vectors: Array) -> Array:
    """By the definition."""
    query, vectors = query.astype(np.float64), vectors.astype(np.float64)
    if metric == "l2":
        return np.asarray(((vectors - query) ** 2).sum(axis=1))
    if metric == "ip":
        return np.asarray(-(vectors @ query))
    return np.asarray(-(vectors @ query) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query))


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_true_neighbours_are_found_however_they_are_fed(metric: str) -> None:
    vectors = np.random.default_rng(3).normal(size=(500, 12)).astype(np.float32)
    queries = vectors[::50]
    recall = Recall(queries, metric)
    parts = [range(at, min(at + 70, 500)) for at in range(0, 500, 70)]

    def feed(part: range) -> None:
        recall.feed(list(part), vectors[part.start : part.stop])

    threads = [threading.Thread(target=feed, args=(part,)) for part in [*parts, parts[0], parts[3]]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def search(number: int, count: int) -> Sequence[int]:
        return [int(place) for place in np.argsort(distances(metric, queries[number], vectors))[:count]]

    assert recall.measure(search) == 1.0
    assert recall.measure(lambda number, count: search(number, count)[: NEAREST // 2]) == 0.5
    assert recall.measure(lambda number, count: []) == 0.0


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_whatever_the_unit_a_wrong_answer_is_wrong(metric: str, scale: float) -> None:
    vectors = (scale * np.random.default_rng(3).normal(size=(500, 12))).astype(np.float32)
    recall = Recall(vectors[:50], metric)
    recall.feed(list(range(500)), vectors)
    near = [np.argsort(distances(metric, query, vectors)) for query in vectors[:50]]
    assert recall.measure(lambda number, count: [int(place) for place in near[number][:count]]) == 1.0
    assert recall.measure(lambda number, count: [int(place) for place in near[number][-count:]]) == 0.0


def test_of_equally_distant_ones_any_will_do() -> None:
    vectors = np.ones((40, 4), np.float32)
    recall = Recall(vectors[:1], "l2")
    recall.feed(list(range(40)), vectors)
    assert recall.measure(lambda number, count: list(range(25, 25 + count))) == 1.0


def test_more_equally_distant_ones_than_are_kept() -> None:
    vectors = np.ones((500, 4), np.float32)
    recall = Recall(vectors[:1], "ip")
    recall.feed(list(range(500)), vectors)
    assert recall.measure(lambda number, count: list(range(490, 490 + count))) == 1.0


def test_fewer_vectors_than_neighbours_and_none() -> None:
    vectors = np.eye(3, dtype=np.float32)
    recall = Recall(vectors, "cosine")
    recall.feed([], vectors[:0])
    assert recall.measure(lambda number, count: []) == 1.0
    recall.feed(["a", "b", "c"], vectors)
    assert recall.measure(lambda number, count: ["a", "b", "c"][:count]) == 1.0
    assert recall.measure(lambda number, count: ["a"]) == pytest.approx(1 / 3)


def test_what_is_lost_is_told() -> None:
    before = {RECALL: {"docs": 0.97, "other": 0.9, "gone": 1.0}}
    [sentence] = lost_recall(before, {RECALL: {"docs": 0.80, "other": 0.88}})
    assert "docs" in sentence
    assert "80%" in sentence
    assert "97%" in sentence
    assert lost_recall(before, {}) == []
    assert lost_recall({RECALL: {"docs": 0.5}}, {RECALL: {"docs": 0.41}}) == [], "that may be chance"
    assert lost_recall({RECALL: {"docs": 1.0}}, {RECALL: {"docs": 0.94}})
    assert lost_recall({}, before) == []
