"""Which entries count: made-up entries, where a server could not be made to write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bson
import pytest
from bson import Binary, Int64, Timestamp

from drtool.errors import OplogTruncatedError, SourceError, UsageError
from drtool.sources.mongodb.oplog.entries import Entry
from drtool.sources.mongodb.oplog.replaying.scanning import scan
from drtool.sources.mongodb.oplog.replaying.window import Steps, Window
from drtool.sources.restoring import Stop

_SESSION = {"id": Binary(bytes(16), 4), "uid": bytes(32)}
_NEVER = {"ts": Timestamp(0, 0), "t": Int64(-1)}


def insert(at: int, name: str) -> bytes:
    """An insert outside of transactions."""
    return bson.encode({"op": "i", "ns": "a.c", "o": {"_id": name}, "o2": {"_id": name}, "ts": Timestamp(at, 1)})


def part(at: int, name: str, previous: int | None = None, **flags: Any) -> bytes:
    """An entry of a transaction that inserts one record."""
    before = _NEVER if previous is None else {"ts": Timestamp(previous, 1), "t": Int64(1)}
    o = {"applyOps": [{"op": "i", "ns": "a.c", "o": {"_id": name}}], **flags}
    return _of_session(at, o, before)


def ending(at: int, previous: int, **o: Any) -> bytes:
    """The commit or the abort of a prepared transaction."""
    return _of_session(at, o, {"ts": Timestamp(previous, 1), "t": Int64(1)})


def _of_session(at: int, o: dict[str, Any], previous: dict[str, Any]) -> bytes:
    return bson.encode(
        {
            **{"lsid": _SESSION, "txnNumber": Int64(1), "op": "c", "ns": "admin.$cmd", "o": o},
            **{"ts": Timestamp(at, 1), "t": Int64(1), "prevOpTime": previous},
        }
    )


def names(log: Sequence[bytes], begin: int = 0, stop: Stop | None = None) -> tuple[list[str], int]:
    """What is inserted, and the second up to which the log was followed."""
    steps = Steps(Window.of({"cluster_time": [begin, 1]}, stop))
    found = [each.decoded()["_id"] for step in steps.of([b"".join(log)]) for each in step.operations]
    return found, steps.position.time


CHAIN = [
    part(10, "first", partialTxn=True),
    insert(11, "between"),
    part(12, "second", 10, partialTxn=True),
    part(13, "third", 12, count=Int64(3)),
    insert(14, "after"),
]
PREPARED = [
    part(10, "prepared", prepare=True),
    insert(11, "between"),
    insert(12, "after"),
    ending(13, 10, commitTransaction=1, commitTimestamp=Timestamp(11, 5)),
    insert(14, "last"),
]


@pytest.mark.parametrize(
    ("begin", "stop", "expected", "position"),
    [
        (9, None, ["between", "first", "second", "third", "after"], 14),
        (12, None, ["first", "second", "third", "after"], 14),
        (13, None, ["after"], 14),
        (9, Stop([12, 1]), ["between"], 12),
        (9, Stop([13, 1], before=True), ["between"], 12),
        (9, Stop([13, 1]), ["between", "first", "second", "third"], 13),
        (9, Stop([99, 1]), ["between", "first", "second", "third", "after"], 14),
        (20, None, [], 20),
    ],
)
def test_a_transaction_counts_at_its_commit(begin: int, stop: Stop | None, expected: list[str], position: int) -> None:
    assert names(CHAIN, begin, stop) == (expected, position)


@pytest.mark.parametrize(
    ("begin", "stop", "expected"),
    [
        (9, None, ["between", "after", "prepared", "last"]),
        (11, None, ["after", "prepared", "last"]),
        (12, None, ["last"]),
        (9, Stop([12, 1]), ["between", "after", "prepared"]),
        (9, Stop([11, 1]), ["between"]),
        (9, Stop([12, 1], before=True), ["between", "prepared"]),
        (9, Stop([13, 1], before=True), ["between", "after"]),
        (9, Stop([13, 1]), ["between", "after", "prepared"]),
    ],
)
def test_a_prepared_one_counts_at_its_commit_timestamp(begin: int, stop: Stop | None, expected: list[str]) -> None:
    assert names(PREPARED, begin, stop)[0] == expected


def test_an_aborted_one_does_not_count() -> None:
    log = [part(10, "no", prepare=True), ending(11, 10, abortTransaction=1), insert(12, "yes")]
    assert names(log, 9) == (["yes"], 12)
    assert names(log[1:], 9) == (["yes"], 12)


def test_a_prepared_one_must_be_decided() -> None:
    undecided = PREPARED[:3]
    assert names(undecided, 9) == (["between", "after"], 12), "what is not asked for need not be known"
    assert names(undecided, 9, Stop([10, 1], before=True))[0] == []
    for stop in (Stop([10, 1]), Stop([12, 1]), Stop([13, 1], before=True), Stop([99, 1])):
        with pytest.raises(OplogTruncatedError, match=r"prepared at .*\(10:1\)") as caught:
            names(undecided, 9, stop)
        assert "(10:1)" in caught.value.hint


def test_what_may_hold_more_than_the_instant() -> None:
    since = {"cluster_time": [9, 1], "read_until": [12, 1]}
    for stop in (Stop([9, 1]), Stop([12, 1], before=True)):
        with pytest.raises(UsageError):
            Window.of(since, stop)
    for later in (Stop([12, 1]), Stop([12, 2], before=True), None):
        assert not Window.of(since, later).is_past(Timestamp(12, 1))


def test_a_beginning_before_the_first_entry() -> None:
    with pytest.raises(OplogTruncatedError) as caught:
        names(CHAIN[1:], 9)
    assert "(10:1)" in caught.value.message
    assert "(13:1)" in caught.value.message
    assert names(CHAIN[1:], 13) == (["after"], 14), "what was committed before needs no beginning"
    assert names(CHAIN[1:3], 9) == (["between"], 12), "nor does what was not committed"
    with pytest.raises(OplogTruncatedError):
        names(PREPARED[1:], 9)
    assert names(PREPARED[1:], 12)[0] == ["last"]


def test_entries_out_of_order() -> None:
    with pytest.raises(SourceError, match="comes after"):
        names([insert(11, "b"), insert(10, "a")])


def test_the_overlay_has_an_end() -> None:
    window = Window.of({"cluster_time": [9, 1], "overlay_until": [12, 1]}, None)
    assert [step.overlaid for step in Steps(window).of(CHAIN)] == [True, False, False]


def test_entries_are_scanned_as_they_are_parsed() -> None:
    document = {"_id": "x", "ts": "o2", "o": b"\x03o2\0"}
    common = {"op": "u", "ns": "a.c.d", "ui": Binary(bytes(range(16)), 4), "o": document, "o2": {"_id": 1}}
    later = {"ts": Timestamp(5, 6), "t": Int64(1), "v": Int64(2)}
    session = {"lsid": _SESSION, "txnNumber": Int64(7)}
    forms: list[tuple[dict[str, Any], bool]] = [
        ({**common, **later}, True),
        ({**session, **common, "stmtId": 3, **later}, True),
        ({**{name: common[name] for name in ("op", "ns", "o")}, **later}, True),
        ({**common, "fromMigrate": True, **later}, False),
        ({**later, **common}, False),
        ({**common, "op": "c", **later}, False),
        ({**common, "op": "n", **later}, False),
        ({"lsid": _SESSION, **common, "stmtId": [1, 2], **later}, False),
    ]
    for form, is_usual in forms:
        raw = bson.encode(form)
        entry, scanned = Entry.parse(raw), scan(raw)
        assert (scanned is not None) == is_usual, form
        if scanned is not None:
            assert scanned == ((entry.ts.time << 32) + entry.ts.inc, entry.operation)
