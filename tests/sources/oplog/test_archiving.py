"""Archived entries: their record keys, however an entry ends, and how a snapshot is tied to them."""

from __future__ import annotations

from typing import Any, NoReturn

import bson
from bson.int64 import Int64
from bson.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from drtool.sources.log import Anchor, LogPosition
from drtool.sources.mongodb.oplog.archiving import Keys, MongoLog

_TAILS: tuple[dict[str, Any], ...] = (
    {"wall": 1},
    {"wall": 1, "prevOpTime": {"ts": Timestamp(1, 1), "t": Int64(1)}},
    {"wall": 1, "o2": {"ts": Timestamp(9, 9), "t": Int64(9), "v": Int64(2), "wall": 1}},
    {"x": b"\x11ts\0" + b"\xff" * 8 + b"\x12t\0" + b"\xff" * 8 + b"\x12v\0" + bytes(22)},
)


@given(st.lists(st.tuples(st.sampled_from(_TAILS), st.binary(max_size=20)), min_size=1, max_size=30))
def test_keys_are_places(shapes: list[tuple[dict[str, Any], bytes]]) -> None:
    keys = Keys()
    for number, (tail, data) in enumerate(shapes, 1):
        entry = {"op": "i", "ns": "a.b", "o": {"x": data}, "ts": Timestamp(5, number), "t": Int64(1), "v": Int64(2)}
        assert keys.of(bson.encode({**entry, **tail})) == (5 << 32 | number).to_bytes(8)


def _connect() -> NoReturn:
    raise AssertionError("this needs no server")


def test_entries_are_found() -> None:
    log = MongoLog(_connect)
    entries = [{"op": "n", "ns": "", "o": {}, "ts": Timestamp(5, number), "t": Int64(3)} for number in range(1, 4)]
    chunk = b"".join(map(bson.encode, entries))
    assert log.entry(chunk, (5, 2)) == LogPosition((5, 2), 3)
    assert log.entry(chunk, (5, 9)) is None


def test_how_a_snapshot_is_tied_to_the_log() -> None:
    log = MongoLog(_connect)
    point = {"cluster_time": [9, 1], "replay_from": [8, 1], "term": 2, "set_id": "5" * 24}
    assert log.anchor(point) == Anchor(LogPosition((9, 1), 2), (8, 1), "5" * 24)
    older = {**point, "cluster_time": [4, 1], "replay_from": [3, 1]}
    assert log.anchor({**point, "overlay_since": older, "set_id": "rs0"}) == Anchor(LogPosition((9, 1), 2), (3, 1), "")
    assert log.anchor({"version": "6.0.5", "topology": "standalone"}) is None
