"""The pace against a simulated store that takes so many requests per second."""

from __future__ import annotations

from drtool.storage.pacing import Pace


class Store:
    """Takes `limit` requests in each second."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.now = 0.0
        self.taken: dict[int, int] = {}
        self.throttled = 0

    def send(self, pace: Pace) -> None:
        self.now += pace.delay() + 0.001
        second = int(self.now)
        taken = self.taken.get(second, 0)
        refused = taken >= self.limit
        self.throttled += refused
        if not refused:
            self.taken[second] = taken + 1
        pace.answered(throttled=refused)


def test_no_limit_until_throttled() -> None:
    store = Store(10**9)
    pace = Pace(lambda: store.now)
    assert all(pace.delay() == 0.0 for _ in range(1000))
    assert pace.rate is None


def test_rate_settles_near_what_the_store_takes() -> None:
    store = Store(50)
    pace = Pace(lambda: store.now)
    while store.now < 60:
        store.send(pace)
    late = [taken for second, taken in store.taken.items() if 20 <= second < 59]
    assert sum(late) / len(late) > 20
    assert store.throttled < 0.2 * sum(store.taken.values())


def test_rate_recovers() -> None:
    store = Store(5)
    pace = Pace(lambda: store.now)
    while store.now < 10:
        store.send(pace)
    slow = pace.rate
    store.limit = 10**9
    while store.now < 40:
        store.send(pace)
    assert slow is not None
    assert pace.rate is not None
    assert slow < 20
    assert pace.rate > 100
