"""The token bucket, on a clock of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.sources.bandwidth import BURST, Bandwidth

RATE = 1000


class Time:
    """A clock that only sleeping and `pass_by` move."""

    def __init__(self) -> None:
        self.now = 0.0

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def sleep(self, cancelled: threading.Event, seconds: float) -> None:
        assert not cancelled.is_set()
        self.now += seconds

    def bandwidth(self) -> Bandwidth:
        return Bandwidth(RATE, clock=lambda: self.now, sleep=self.sleep)


steps = st.lists(st.tuples(st.floats(0, 5), st.integers(0, 20_000)), min_size=1, max_size=30)


@given(steps)
def test_never_more_than_the_rate_over_any_time(takes: list[tuple[float, int]]) -> None:
    time = Time()
    bandwidth, cancelled = time.bandwidth(), threading.Event()
    spans = []
    for pause, size in takes:
        time.pass_by(pause)
        began = time.now
        bandwidth.take(size, cancelled)
        spans.append((began, time.now, size))
    for first, (began, _, _) in enumerate(spans):
        totals = accumulate(size for _, _, size in spans[first:])
        for (_, ended, _), total in zip(spans[first:], totals, strict=True):
            assert total <= RATE * (ended - began + BURST) * (1 + 1e-9) + 1e-6


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=30))
def test_as_fast_as_the_rate_allows_without_pauses(sizes: list[int]) -> None:
    time = Time()
    bandwidth, cancelled = time.bandwidth(), threading.Event()
    for size in sizes:
        bandwidth.take(size, cancelled)
    assert time.now == pytest.approx(sum(sizes) / RATE)


def test_a_pause_is_caught_up_for_one_burst_only() -> None:
    time = Time()
    bandwidth, cancelled = time.bandwidth(), threading.Event()
    time.pass_by(3600)
    bandwidth.take(int(RATE * BURST), cancelled)
    assert time.now == 3600
    bandwidth.take(RATE, cancelled)
    assert time.now == 3601


def test_threads_share_it() -> None:
    """On a clock that stands still, whoever comes last waits for all bytes of all threads."""
    waits: list[float] = []
    bandwidth = Bandwidth(RATE, clock=lambda: 0.0, sleep=lambda _, seconds: waits.append(seconds))
    cancelled = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda size: bandwidth.take(size, cancelled), range(1, 1001)))
    assert max(waits) == pytest.approx(sum(range(1, 1001)) / RATE)
    assert len(waits) == 1000


def test_cancelling_ends_the_wait() -> None:
    bandwidth, cancelled = Bandwidth(1), threading.Event()
    cancelled.set()
    bandwidth.take(1_000_000_000, cancelled)
