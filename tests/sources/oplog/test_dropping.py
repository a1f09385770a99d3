"""Which drops belong to a dropped database, and what a search passes over."""

from __future__ import annotations

import pytest

from drtool.sources.log import At, LogEvent
from drtool.sources.mongodb.names import passes_over
from drtool.sources.mongodb.oplog.dropping import whole_drops


def _event(at: At, namespace: str, op: str, count: int | None = None) -> LogEvent:
    return LogEvent(at, namespace, op, count)


def _dropped(*events: LogEvent) -> LogEvent:
    """The dropping of the database among these."""
    told = list(whole_drops(events))
    assert [event for event in told if event.op != "dropDatabase"] == [e for e in events if e.op != "dropDatabase"]
    [found] = [event for event in told if event.op == "dropDatabase"]
    return found


def test_it_stands_at_the_first_of_its_collections() -> None:
    found = _dropped(
        _event((5, 1), "a.early", "drop", 7),
        _event((9, 1), "a.x", "drop", 3),
        _event((9, 2), "b.x", "drop", 5),
        _event((9, 3), "b.y", "insert", 1),
        _event((10, 1), "a.y", "drop", 4),
        _event((70, 1), "a", "dropDatabase"),  # once the majority has dropped them
    )
    assert (found.at, found.last, found.streams, found.count) == ((9, 1), (70, 1), 2, 7)


def test_what_is_not_known_of_it() -> None:
    found = _dropped(
        _event((9, 1), "a.x", "drop"), _event((9, 2), "a.y", "drop", 4), _event((9, 3), "a", "dropDatabase")
    )
    assert (found.at, found.streams, found.count) == ((9, 1), 2, None)
    alone = _dropped(
        _event((9, 1), "a.x", "drop", 1), _event((9, 2), "a.x", "create"), _event((9, 3), "a", "dropDatabase")
    )
    assert (alone.at, alone.last, alone.streams, alone.count) == ((9, 3), None, 0, None)


@pytest.mark.parametrize(
    ("namespace", "pattern", "expected"),
    [
        ("config.transactions", "*", True),
        ("config.transactions", "*.*", True),
        ("config.transactions", "config", False),
        ("config.transactions", "config.*", False),
        ("app.drtool_restore", "app", True),
        ("app.drtool_restore.1", "app.*", True),
        ("app.drtool_restore", "app.drtool_restore", False),
        ("app.drtool_restore.1", "*.drtool_restore*", False),
        ("app.drtool_restored", "app.*", False),
        ("app.tmp.agg_out.1", "app.*", True),
        ("app.tmp.agg_out.1", "app.tmp.agg_out.*", False),
        ("app.tmp.agg_out.1", "app.target", False),
        ("app.users", "*", False),
    ],
)
def test_what_a_search_passes_over(namespace: str, pattern: str, expected: bool) -> None:
    assert passes_over(namespace, pattern) is expected
