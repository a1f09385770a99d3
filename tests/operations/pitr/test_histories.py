"""Where two archived histories part, and which of them a goal takes; made-up entries in a real repository."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drtool.errors import MissingObjectError, OutOfReachError, UsageError
from drtool.operations.pitr.goals import Goal
from drtool.operations.pitr.histories import Parting
from drtool.operations.pitr.reach import bases, reaching
from drtool.operations.pitr.timelines import choose
from drtool.operations.pitr.writing import Place
from drtool.repository.archive import Archive, read_ends
from drtool.sources.log import LogPosition
from tests.operations.pitr.shelf import Shelf, history, shelf_in
from tests.operations.pitr.test_reach import anchor_of, snapshot


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """One for all of these tests."""
    with shelf_in(tmp_path_factory.mktemp("shelf")) as found:
        yield found


def at(second: int) -> Goal:
    """To a second."""
    return Goal((second, 0), f"second {second}")


def operation(second: int) -> Goal:
    """To just before the entry of a second."""
    return Goal((second, 0), f"operation {second}:0", is_operation=True)


own = st.lists(st.integers(1, 3), max_size=5)


@pytest.mark.heavy
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 3), max_size=6), own, own, st.integers(1, 3))
def test_where_they_part(shelf: Shelf, common: list[int], one: list[int], other: list[int], size: int) -> None:
    past = list(itertools.accumulate(common, initial=100))
    mine, others = ([past[-1] + step for step in itertools.accumulate(steps)] for steps in (one, other))
    log = history(*past)
    archive = shelf.archive(log + history(*mine, mark=2), log + history(*others, mark=3), size=size)
    [[first], [second]] = [timeline.stretches for timeline in archive.timelines]
    parting = Parting((mine[0], 0) if mine else None, (others[0], 0) if others else None, shares=True)
    assert shelf.histories.part(first, second) == parting
    assert shelf.histories.part(second, first) == Parting(parting.other, parting.one, shares=True)


def test_what_has_nothing_in_common(shelf: Shelf) -> None:
    archive = shelf.archive(history(10, 20, 30), history(15, 25, 35, mark=2), history(40, 50))
    first, second, third = (timeline.stretches[0] for timeline in archive.timelines)
    assert shelf.histories.part(first, second) == Parting((20, 0), (15, 0), shares=False)
    assert shelf.histories.part(first, third) is None


@pytest.fixture(scope="module")
def parted(shelf: Shelf) -> Archive:
    """A history that went on to 40, and one that parted from it at 20, and went on at 60."""
    return shelf.archive(history(10, 15, 20, 30, 40), history(10, 15, 20) + history(60, 70, mark=2))


@pytest.mark.parametrize(("second", "timeline"), [(16, 1), (20, 1), (30, 1), (31, 0), (40, 0), (61, 1), (70, 1)])
def test_the_one_that_is_what_happened(shelf: Shelf, parted: Archive, second: int, timeline: int) -> None:
    assert shelf.chosen(parted, at(second), 15) == timeline


def test_what_happened_is_not_archived(shelf: Shelf, parted: Archive) -> None:
    for second in (41, 60):
        with pytest.raises(OutOfReachError) as caught:
            shelf.chosen(parted, at(second), 15)
        assert parted.timelines[0].id[:8] in caught.value.message
        assert f"--timeline {parted.timelines[1].id[:8]}" in caught.value.hint


def test_a_snapshot_of_one_of_them_is_no_base_of_the_other(shelf: Shelf, parted: Archive) -> None:
    assert shelf.chosen(parted, at(65), 15, 30) == 1
    with pytest.raises(OutOfReachError, match="another history"):
        shelf.chosen(parted, at(65), 30)


def test_two_that_were_written_to_at_the_same_time(shelf: Shelf) -> None:
    archive = shelf.archive(history(10, 15, 20, 30, 40), history(10, 15, 20) + history(25, 35, 45, mark=2))
    with pytest.raises(UsageError) as caught:
        shelf.chosen(archive, at(32), 15)
    assert all(timeline.id[:8] in caught.value.message for timeline in archive.timelines)
    assert "--timeline" in caught.value.hint
    assert shelf.chosen(archive, at(24), 15) == 1  # where they part a second later
    assert shelf.chosen(archive, at(45), 15) == 1  # the other one had ended
    assert shelf.chosen(archive, operation(30), 15) == 0
    assert shelf.chosen(archive, operation(35), 15) == 1
    assert shelf.chosen(archive, operation(20), 15) == 1
    both = shelf.archive(history(10, 15, 20, 30), history(10, 15) + history(30, 40, mark=2))
    with pytest.raises(UsageError, match="changes of its own"):
        shelf.chosen(both, operation(30), 10)


def test_what_no_timeline_holds(shelf: Shelf, parted: Archive) -> None:
    with pytest.raises(UsageError, match="any of the 2 timelines"):
        shelf.chosen(parted, operation(33), 15)
    [_, newer] = parted.timelines
    only = Archive("app", (newer,), ())
    fitting = reaching(only, bases(only, [snapshot(15)], anchor_of), (30, 0), "it")
    with pytest.raises(UsageError) as caught:
        choose(parted, fitting, operation(30), shelf.histories, is_named=True)
    assert f"--timeline {parted.timelines[0].id[:8]}" in caught.value.hint


def test_one_that_goes_on_where_the_other_ends(shelf: Shelf) -> None:
    archive = shelf.archive(history(10, 15, 20), history(10, 15, 20, 30))
    assert [shelf.chosen(archive, at(second), 10) for second in (18, 20, 25)] == [1, 1, 1]


def test_what_cannot_be_compared_must_be_named(tmp_path: Path) -> None:
    with shelf_in(tmp_path) as shelf:
        storage = shelf.repository.storage
        [whole] = shelf.archive(history(10, 20, 30)).timelines
        before = {info.name for info in storage.list("packs/")}
        [damaged] = shelf.archive(history(10, 25, 30, mark=2)).timelines
        for name in {info.name for info in storage.list("packs/")} - before:
            storage.delete(name)
        with pytest.raises(MissingObjectError) as caught:
            shelf.chosen(Archive("app", (damaged, whole), ()), at(28), 10)
        assert whole.id[:8] in caught.value.message
        assert "--timeline" in caught.value.hint
        assert shelf.chosen(Archive("app", (whole,), ()), at(28), 10) == 0


def test_the_newest_timeline_is_the_current_one_whatever_the_clock_says(shelf: Shelf) -> None:
    source, later = os.urandom(8).hex(), "2999-01-01T00:00:00+00:00"
    begun = LogPosition((9, 1), 1)
    old = shelf.write(source, Place("a" * 32, "", begun, created=later), history(10, 20, 30))
    shelf.write(source, Place("b" * 32, "", begun, created=old.created), history(10, 25))
    last = read_ends(shelf.repository, source).last
    assert last is not None
    assert last.segment.timeline == "b" * 32
