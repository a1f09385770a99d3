"""Which moments can be reached, and how moments are typed; without a server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest

from drtool.errors import OutOfReachError, UsageError
from drtool.operations.pitr.grouping import grouped
from drtool.operations.pitr.reach import bases, moment, ranges, reaching
from drtool.operations.pitr.times import parse_moment, parse_place
from drtool.repository.archive import Archive, Archived, Timeline, stretches
from drtool.repository.chain import Snapshot
from drtool.repository.manifests import Manifest, SourceEntry, Statistics
from drtool.repository.pages import PageRef
from drtool.repository.segments import At, Position, Segment
from drtool.sources.log import Anchor, LogEvent, LogPosition

NOW = "2026-11-21T02:00:00+00:00"
A, B = "a" * 32, "b" * 32


def timeline(
    id_: str, *spans: tuple[int, int], term: int = 1, identity: str = "", foreign: tuple[At, At] | None = None
) -> Timeline:
    """Segments from second to second."""
    return Timeline(
        id_,
        stretches(
            Archived(
                Segment(
                    repository="",
                    source="app",
                    source_id="0" * 32,
                    timeline=id_,
                    identity=identity,
                    number=number,
                    previous=None,
                    start=Position((start, 0), term),
                    end=Position((end, 0), term),
                    root=PageRef(bytes(32), 0, 1, 1, 1),
                    threshold=1,
                    created=NOW,
                    host="",
                    run="",
                    tool="",
                    foreign=foreign,
                ),
                b"",
                "",
            )
            for number, (start, end) in enumerate(spans, 1)
        ),
    )


def snapshot(at: int, *, number: int = 1, **point: Any) -> Snapshot:
    """A snapshot of the second `at`."""
    source = SourceEntry("app", "mongodb", "6", "replica-set", "", NOW, "exact", {"at": at, **point}, ())
    manifest = Manifest(
        snapshot=f"s{at}",
        repository="",
        job="nightly",
        number=number,
        previous=None,
        previous_snapshot=None,
        created=NOW,
        run="",
        host="",
        tool="",
        consistency="exact",
        proof="identical",
        instant=NOW,
        sources=(source,),
        stream_count=0,
        stream_chunks=(),
        statistics=Statistics(0, 0, 0, 0, 0, 0, 0.0),
    )
    return Snapshot(manifest, b"", "", 0)


def anchor_of(point: Mapping[str, Any]) -> Anchor | None:
    """How these snapshots say where they stand."""
    if point.get("fuzzy"):
        return None
    at = int(point["at"])
    identity = str(point.get("identity", ""))
    read_until = (int(point["read_until"]), 0) if "read_until" in point else None
    position = LogPosition((at, 0), int(point.get("term", 1)))
    return Anchor(position, (int(point.get("since", at)), 0), identity, read_until)


def archive(*timelines: Timeline) -> Archive:
    """An archive without problems."""
    return Archive("app", timelines, ())


def chosen(found: Archive, snapshots: list[Snapshot], wanted: int) -> tuple[str, str]:
    """The snapshot and timeline that lead to a second."""
    base = reaching(found, bases(found, snapshots, anchor_of), (wanted, 0), "it")[0]
    return base.snapshot.id, base.stretch.timeline


def test_the_nearest_snapshot_before() -> None:
    found = archive(timeline(A, (10, 20), (20, 60)))
    snapshots = [snapshot(15), snapshot(30, number=2), snapshot(50, number=3)]
    assert chosen(found, snapshots, 45) == ("s30", A)
    assert chosen(found, snapshots, 31) == ("s30", A)
    assert chosen(found, snapshots, 30) == ("s15", A)  # the snapshot has what happened in its own second
    assert chosen(found, snapshots, 60) == ("s50", A)


@pytest.mark.parametrize("wanted", [10, 15, 61, 1000])
def test_outside(wanted: int) -> None:
    with pytest.raises(OutOfReachError) as caught:
        chosen(archive(timeline(A, (10, 60))), [snapshot(15)], wanted)
    told = caught.value.message + caught.value.hint
    assert moment((60, 0)).isoformat() in told
    assert moment((16, 0)).isoformat() in told


def test_a_gap() -> None:
    found = archive(timeline(A, (10, 20), (30, 60)))
    snapshots = [snapshot(15)]
    for wanted in (25, 30, 45):
        with pytest.raises(OutOfReachError) as caught:
            chosen(found, snapshots, wanted)
        assert moment((20, 0)).isoformat() in caught.value.message
        assert moment((30, 0)).isoformat() in caught.value.message
    assert chosen(found, snapshots, 18) == ("s15", A)
    assert chosen(found, [*snapshots, snapshot(40)], 45) == ("s40", A)


def refused(found: Archive, snapshots: list[Snapshot], wanted: int) -> str:
    """Why a second cannot be reached."""
    with pytest.raises(OutOfReachError) as caught:
        chosen(found, snapshots, wanted)
    return caught.value.message


def test_only_a_gap_on_the_way_is_blamed() -> None:
    found = archive(timeline(A, (10, 20), (30, 60), (70, 90)))
    snapshots = [snapshot(12), snapshot(75, number=2)]
    assert "archived up to" in refused(found, snapshots, 95)
    assert "s12, of 1970-01-01T00:00:12+00:00, is later, and the first" in refused(found, snapshots, 11)
    assert refused(found, snapshots[1:], 72).endswith("snapshot s75, of 1970-01-01T00:01:15+00:00, is later")
    for wanted in (25, 45, 65, 75):
        told = refused(found, snapshots, wanted)
        assert "gap from 1970-01-01T00:00:20+00:00 to 1970-01-01T00:00:30+00:00" in told
        assert "the last moment before it is 1970-01-01T00:00:20+00:00" in told
    # A snapshot within the gap leads nowhere.
    told = refused(found, [snapshot(25)], 45)
    assert "no snapshot" in told
    assert "gap from 1970-01-01T00:00:20+00:00" in told
    assert "gap" not in refused(archive(timeline(A, (10, 20))), [snapshot(15, fuzzy=True)], 18)


def test_what_a_snapshot_needs_must_be_archived() -> None:
    found = archive(timeline(A, (10, 60)))
    for one in (snapshot(15, since=10), snapshot(15, since=5), snapshot(15, fuzzy=True), snapshot(70)):
        assert bases(found, [one], anchor_of) == []
    assert len(bases(found, [snapshot(15, since=11)], anchor_of)) == 1


def test_a_snapshot_of_another_history() -> None:
    found = archive(timeline(A, (10, 60), term=2, identity="x"))
    assert bases(found, [snapshot(15, term=1)], anchor_of) == []
    assert bases(found, [snapshot(15, term=2, identity="y")], anchor_of) == []
    assert len(bases(found, [snapshot(15, term=2, identity="x"), snapshot(16, term=2)], anchor_of)) == 2


def test_a_snapshot_of_the_history_that_was_undone() -> None:
    found = archive(timeline(A, (10, 60)), timeline(B, (10, 90), foreign=((30, 0), (60, 0))))
    snapshots = [snapshot(at) for at in (15, 30, 60, 61)]
    [older, newer] = ranges(bases(found, snapshots, anchor_of))
    assert (older.snapshots, newer.snapshots) == (("s15", "s30", "s60"), ("s15", "s61"))


def test_a_snapshot_that_was_read_until_later() -> None:
    found = archive(timeline(A, (10, 60)))
    snapshots = [snapshot(15), snapshot(30, number=2, read_until=40)]
    assert chosen(found, snapshots, 41) == ("s30", A)
    assert [chosen(found, snapshots, wanted)[0] for wanted in (31, 40)] == ["s15", "s15"]
    [reachable] = ranges(bases(found, snapshots[1:], anchor_of))
    assert reachable.first == moment((41, 0))
    with pytest.raises(OutOfReachError, match="capped") as caught:
        chosen(found, snapshots[1:], 35)
    assert moment((41, 0)).isoformat() in caught.value.hint


def test_the_current_timeline_comes_first() -> None:
    found = archive(timeline(A, (10, 60)), timeline(B, (12, 50)))
    snapshots = [snapshot(15)]
    assert chosen(found, snapshots, 40) == ("s15", B)
    assert chosen(found, snapshots, 55) == ("s15", A)


def test_ranges() -> None:
    found = archive(timeline(A, (10, 20), (30, 60)), timeline(B, (70, 90)))
    reachable = ranges(bases(found, [snapshot(15), snapshot(35), snapshot(40), snapshot(19)], anchor_of))
    assert [(one.first, one.last) for one in reachable] == [
        (moment((16, 0)), moment((20, 0))),
        (moment((36, 0)), moment((60, 0))),
    ]
    assert reachable[1].snapshots == ("s35", "s40")


def _event(at: At, op: str = "delete", **fields: Any) -> LogEvent:
    return LogEvent(at, fields.pop("namespace", "a.b"), op, fields.pop("count", 1), **fields)


def test_what_follows_closely_is_one_candidate() -> None:
    events = [_event((1, 1)), _event((1, 2)), _event((2, 1)), _event((9, 1)), _event((9, 2), namespace="a.c")]
    found = list(grouped(A, events))
    assert [(one.event.at, one.event.count, one.last) for one in found] == [
        ((1, 1), 3, (2, 1)),
        ((9, 1), 1, (9, 1)),
        ((9, 2), 1, (9, 2)),
    ]


def test_a_transaction_is_a_candidate_of_its_own() -> None:
    within = [_event((1, 2), in_transaction=True), _event((1, 2), in_transaction=True)]
    found = list(grouped(A, [_event((1, 1)), *within, _event((1, 3))]))
    assert [one.event.count for one in found] == [1, 2, 1]
    drops = [_event((1, 1), "drop"), _event((1, 2), "drop")]
    assert len(list(grouped(A, drops))) == 2


@pytest.fixture
def zone() -> Iterator[Callable[[str], None]]:
    """Moves this process elsewhere."""

    def move(name: str) -> None:
        os.environ["TZ"] = name
        time.tzset()

    with mock.patch.dict(os.environ):
        yield move
    time.tzset()


def test_a_moment_with_a_zone() -> None:
    assert parse_moment("2026-08-01T14:03:27+02:00") == datetime(2026, 8, 1, 12, 3, 27, tzinfo=UTC)
    for text in ("14:03", "yesterday", ""):
        with pytest.raises(UsageError):
            parse_moment(text)


def test_a_moment_by_the_clock_on_the_wall(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")
    assert parse_moment("2026-08-01T14:03:27") == datetime(2026, 8, 1, 12, 3, 27, tzinfo=UTC)
    assert parse_moment("2026-12-01 14:03") == datetime(2026, 12, 1, 13, 3, tzinfo=UTC)


def test_a_moment_that_happened_twice(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")
    with pytest.raises(UsageError, match="twice") as caught:
        parse_moment("2026-10-25T02:30:00")
    assert "2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00" in caught.value.hint
    assert parse_moment("2026-10-25T03:00:00").utcoffset() == parse_moment("2026-12-01T03:00:00").utcoffset()


def test_a_moment_that_never_was(zone: Callable[[str], None]) -> None:
    zone("Europe/Berlin")
    with pytest.raises(UsageError, match="there was no"):
        parse_moment("2026-03-29T02:30:00")


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "-1:1", "1:1:1", "4294967296:1", "1:4294967296", "x:y"])
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(UsageError):
        parse_place(text)


def test_a_place() -> None:
    assert parse_place("1790000000:12") == (1790000000, 12)


def test_a_snapshot_of_several_sources() -> None:
    one = snapshot(15)
    other = replace(one.manifest.sources[0], name="other", point={"at": 40})
    both = replace(one, manifest=replace(one.manifest, sources=(other, *one.manifest.sources)))
    [base] = bases(archive(timeline(A, (10, 60))), [both], anchor_of)
    assert base.source.name == "app"
