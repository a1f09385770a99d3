"""What every source must do, against a real server. A test module subclasses `SourceContract` and gives it a harness.

``class TestFoo(SourceContract)`` with a fixture ``harness`` is all; the harness's system is this test's alone.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import pytest

from drtool.errors import MissingToolError, RefusedError, UnreachableError
from drtool.sources.base import Source
from drtool.sources.cutting import FINE_MIN_BYTES, MAX_BYTES, MIN_BYTES, Chunk, CutRule, join
from drtool.sources.reading import WHOLE, Consistency, KeyRange, Proof, ReadAgainError, SharedView, StreamInfo, View
from drtool.sources.restoring import RestoreItem, RestorePlan, Target
from drtool.sources.support import SUPPORT

CUT_KEY = bytes(range(32))


class Harness(Protocol):
    """A system of the kind, and other ways to look at it."""

    #: Can a large stream be read in several parts?
    splits: bool
    #: Is there such a thing as a sandbox of an older version?
    has_versions: bool

    def source(self, *, part_bytes: int | None = None) -> Source:
        """The system as a source; `part_bytes` makes even a small stream worth splitting."""

    def fill(self) -> None:
        """Put in whatever this kind of system makes awkward, and one stream of several chunks."""

    def change(self) -> None:
        """Add, alter and remove records of streams that are read at an instant."""

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """What is there, found without drtool: each stream's records in the order and form they are backed up in,
        None where it has none of its own."""

    def nowhere(self) -> Source:
        """A source where no server listens."""


@dataclass(frozen=True)
class Copy:
    """A backup in memory."""

    stream: StreamInfo
    chunks: tuple[Chunk, ...]

    @property
    def data(self) -> bytes:
        """All records."""
        return b"".join(chunk.data for chunk in self.chunks)


def rule_of(stream: StreamInfo) -> CutRule:
    """The rule as a first snapshot would choose it."""
    average = stream.estimated_bytes / max(1, stream.estimated_records)
    return CutRule.for_average(CUT_KEY, average, fine=stream.fine)


def read_all(view: View, rules: Mapping[str, CutRule] | None = None) -> dict[str, Copy]:
    """All streams of a view, read in one part each, with `rules` or those that their sizes suggest."""
    copies = {}
    for stream in view.streams():
        rule = (rules or {}).get(stream.name) or rule_of(stream)
        copies[stream.name] = Copy(stream, tuple(view.chunks(stream, WHOLE, rule)))
    return copies


def read_parts(view: View, stream: StreamInfo, parts: Sequence[KeyRange], rule: CutRule) -> list[list[Chunk]]:
    """The chunks of each part, the second time where the first did not hold."""
    try:
        return [list(view.chunks(stream, part, rule)) for part in parts]
    except ReadAgainError:
        return [list(view.chunks(stream, part, rule)) for part in parts]


def back_up(source: Source) -> dict[str, Copy]:
    """A snapshot in memory."""
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        copies = read_all(view)
        view.settle()
        return copies


def plan_for(source: Source, copies: Mapping[str, Copy], marker: str = "marker-1") -> RestorePlan:
    """Everything beside the original."""
    return RestorePlan(
        tuple(
            RestoreItem(
                stream=copy.stream,
                name=source.name_of_restored(name, "restored"),
                records=sum(chunk.records for chunk in copy.chunks),
                bytes=len(copy.data),
            )
            for name, copy in copies.items()
        ),
        marker,
    )


def load_all(target: Target, plan: RestorePlan, copies: Mapping[str, Copy]) -> None:
    """Load every stream, and check the counts."""

    def data(item: RestoreItem) -> Iterator[bytes]:
        return (chunk.data for chunk in copies[item.stream.name].chunks)

    for item in plan.items:
        beside = [each for each in plan.items if each.stream.beside == item.stream.name]
        if beside:
            every = [item, *beside]
            loaded = target.load_joined(item, data(item), [(each, data(each)) for each in beside])
            assert [(one.records, one.bytes) for one in loaded] == [(one.records, one.bytes) for one in every], (
                item.name
            )
        elif not item.stream.beside:
            one = target.load(item, data(item))
            assert (one.records, one.bytes) == (item.records, item.bytes), item.name


def restore(target: Target, plan: RestorePlan, copies: Mapping[str, Copy]) -> None:
    """The whole of a restore."""
    target.begin(plan)
    load_all(target, plan, copies)
    target.finish(plan, lambda sentence: None)


class SourceContract:
    """The suite."""

    def test_probe_tells_what_it_is(self, harness: Harness) -> None:
        with closing(harness.source()) as source:
            probe = source.probe()
            assert probe.type == source.type
            assert probe.version[0].isdigit()
            assert probe.topology
            assert (probe.consistency is Consistency.EXACT) or probe.warnings

    def test_the_table_of_sources_tells_the_truth(self, harness: Harness) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            probe, row = source.probe(), SUPPORT[source.type]
            assert not row.tested or probe.version.startswith(row.tested), (
                "the README names the versions that were tried"
            )
            assert probe.consistency in row.consistency
            assert {copy.stream.proof for copy in back_up(source).values()} <= set(row.proofs)

    def test_no_server_is_unreachable_and_says_what_to_do(self, harness: Harness) -> None:
        with closing(harness.nowhere()) as source, pytest.raises(UnreachableError) as caught:
            source.probe()
        assert caught.value.hint

    def test_reads_what_is_there(self, harness: Harness) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            copies = back_up(source)
        listing = harness.listing()
        assert list(copies) == sorted(listing)
        for name, records in listing.items():
            copy = copies[name]
            assert copy.stream.has_records == (records is not None), name
            assert copy.data == b"".join(records or ()), name
            assert sum(chunk.records for chunk in copy.chunks) == len(records or ()), name

    def test_chunks_keep_the_bounds(self, harness: Harness) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            copies = back_up(source)
        longest = max(copies.values(), key=lambda copy: len(copy.chunks))
        assert len(longest.chunks) >= 3, "the harness should fill a stream of several chunks"
        largest = max(len(record) for records in harness.listing().values() for record in records or (b"",))
        for copy in copies.values():
            for chunk in copy.chunks[:-1]:
                assert len(chunk.data) >= (FINE_MIN_BYTES if copy.stream.fine else MIN_BYTES)
            for chunk in copy.chunks:
                assert 0 < len(chunk.data) < MAX_BYTES + largest
                assert chunk.records > 0

    def test_reading_again_gives_the_same(self, harness: Harness) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            assert back_up(source) == back_up(source)

    def test_parts_join_to_the_whole(self, harness: Harness) -> None:
        harness.fill()
        with (
            closing(harness.source(part_bytes=64 * 1024)) as source,
            closing(source.prepare(None)) as prepared,
            closing(prepared.freeze()) as view,
        ):
            most = 0
            for stream in view.streams():
                parts = view.split(stream, 4)
                assert 1 <= len(parts) <= 4
                assert parts[0].lower is None
                assert parts[-1].upper is None
                assert all(left.upper == right.lower for left, right in pairwise(parts))
                rule = rule_of(stream)
                lists = read_parts(view, stream, parts, rule)
                whole = list(view.chunks(stream, WHOLE, rule))
                joined = join(lists, lambda chunk: chunk.records, lambda chunk: chunk.beyond)
                assert [chunk.data for chunk in joined] == [chunk.data for chunk in whole], stream.name
                most = max(most, len(parts))
            assert most > 1 or not harness.splits, "the harness should fill a stream that can be split"

    def test_another_process_reads_the_same(self, harness: Harness) -> None:
        harness.fill()
        with (
            closing(harness.source(part_bytes=64 * 1024)) as source,
            closing(source.prepare(None)) as prepared,
            closing(prepared.freeze()) as view,
        ):
            if not source.shares_views:
                assert not isinstance(view, SharedView)
                return
            assert isinstance(view, SharedView)
            splits = {stream: view.split(stream, 4) for stream in view.streams() if stream.keyed}
            opening = view.elsewhere()
            assert opening is not None
            with closing(pickle.loads(pickle.dumps(opening))()) as elsewhere:
                for stream, parts in splits.items():
                    rule = rule_of(stream)
                    try:
                        chunks = [list(elsewhere.chunks(stream, part, rule)) for part in parts]
                        view.read_elsewhere(stream, None)
                    except ReadAgainError as error:
                        view.read_elsewhere(stream, error)
                        chunks = [list(view.chunks(stream, part, rule)) for part in parts]
                    assert chunks == read_parts(view, stream, parts, rule), stream.name
            assert view.settle().consistency is Consistency.EXACT

    def test_an_exact_view_stands_still(self, harness: Harness) -> None:
        harness.fill()
        before = harness.listing()
        with (
            closing(harness.source()) as source,
            closing(source.prepare(None)) as prepared,
            closing(prepared.freeze()) as view,
        ):
            if source.probe().consistency is not Consistency.EXACT:
                return  # nobody promised it
            harness.change()
            assert harness.listing() != before, "the harness should change something"
            copies = read_all(view)
            weaker = view.settle().weaker
        for name, records in before.items():
            if name not in weaker:
                assert copies[name].data == b"".join(records or ()), name

    def test_freezing_again_is_a_later_instant(self, harness: Harness) -> None:
        harness.fill()
        with closing(harness.source()) as source, closing(source.prepare(None)) as prepared:
            with closing(prepared.freeze()) as first:
                earlier = first.instant
            with closing(prepared.freeze()) as second:
                assert second.instant >= earlier
                assert second.instant.tzinfo is not None
                json.dumps(second.point)
                assert read_all(second)

    def test_comes_back_in_a_sandbox(self, harness: Harness, tmp_path: Path) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            copies = back_up(source)
            plan = plan_for(source, copies)
            with (
                source.sandbox(source.probe().version, tmp_path) as box,
                closing(source.target(box.uri)) as target,
            ):
                assert target.inspect(plan).occupied == ()
                restore(target, plan, copies)
                check_restored(source, target, plan, copies)
        assert list(tmp_path.iterdir()) == []

    def test_an_interrupted_restore_starts_over(self, harness: Harness, tmp_path: Path) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            copies = back_up(source)
            plan = plan_for(source, copies)
            with (
                source.sandbox(source.probe().version, tmp_path) as box,
                closing(source.target(box.uri)) as target,
            ):
                target.begin(plan)
                alone = _alone(plan)
                if alone:
                    some = max(alone, key=lambda item: item.bytes)
                    target.load(some, [copies[some.stream.name].chunks[0].data])
                else:
                    load_all(target, plan, copies)
                with closing(source.target(box.uri)) as later:
                    assert later.inspect(plan).occupied == (), "it is our own work that lies there"
                    other = RestorePlan(plan.items, "marker-2")
                    assert later.inspect(other).occupied, "it is another's work that lies there"
                    restore(later, plan, copies)
                    check_restored(source, later, plan, copies)

    def test_loading_again_changes_nothing(self, harness: Harness, tmp_path: Path) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            copies = back_up(source)
            plan = plan_for(source, copies)
            with (
                source.sandbox(source.probe().version, tmp_path) as box,
                closing(source.target(box.uri)) as target,
            ):
                target.begin(plan)
                for item in _alone(plan):
                    if item.stream.keyed and copies[item.stream.name].chunks:
                        target.load(item, [copies[item.stream.name].chunks[0].data])
                load_all(target, plan, copies)
                target.finish(plan, lambda sentence: None)
                check_restored(source, target, plan, copies)

    def test_a_target_that_holds_something_says_so(self, harness: Harness, tmp_path: Path) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            copies = back_up(source)
            plan = plan_for(source, copies)
            with (
                source.sandbox(source.probe().version, tmp_path) as box,
                closing(source.target(box.uri)) as target,
            ):
                restore(target, plan, copies)
                found = target.inspect(RestorePlan(plan.items, "marker-2")).occupied
                for item in plan.items:
                    if not item.stream.beside:
                        assert any(item.name in sentence for sentence in found), item.name
                over = RestorePlan(plan.items, "marker-3", replace=True)
                assert target.inspect(over).lasting == (), "what the plan's own streams hold can be replaced"
                names = tuple(f"{item.name}: " for item in plan.items)
                assert all(sentence.startswith(names) for sentence in target.inspect(over).occupied)
                restore(target, over, copies)
                check_restored(source, target, over, copies)

    def test_names(self, harness: Harness) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            for stream in (name for name in back_up(source) if "#" not in name):
                beside = source.name_of_restored(stream, "x1")
                assert beside != stream
                assert "x1" in beside
                assert source.matches(stream, stream)
                assert not source.matches(stream, "no-such-thing")
                assert source.rename(stream, stream, beside) == beside
                assert source.rename(stream, beside, stream) is None

    def test_definitions_can_be_shown(self, harness: Harness) -> None:
        harness.fill()
        with closing(harness.source()) as source:
            for copy in back_up(source).values():
                assert json.dumps(source.describe(copy.stream.definition))
                assert list(source.differences(copy.stream, copy.stream)) == []

    def test_an_older_sandbox_is_refused(self, harness: Harness, tmp_path: Path) -> None:
        if not harness.has_versions:
            return
        with closing(harness.source()) as source, pytest.raises((MissingToolError, RefusedError)) as caught:
            source.sandbox("999.0", tmp_path).__enter__()
        assert "999" in caught.value.message

    def test_closing_twice(self, harness: Harness) -> None:
        harness.fill()
        source = harness.source()
        prepared = source.prepare(None)
        view = prepared.freeze()
        for thing in (view, view, prepared, prepared, source, source):
            thing.close()


def _alone(plan: RestorePlan) -> list[RestoreItem]:
    """The items that are not loaded together with others."""
    joined = {item.stream.beside for item in plan.items if item.stream.beside}
    return [item for item in plan.items if not item.stream.beside and item.stream.name not in joined]


def _data(copy: Copy) -> list[bytes]:
    return [chunk.data for chunk in copy.chunks]


def check_restored(source: Source, target: Target, plan: RestorePlan, copies: Mapping[str, Copy]) -> None:
    """Everything came back, by every proof there is."""
    with closing(target.read_back(plan)) as view:
        rules = {name: rule_of(copy.stream) for name, copy in copies.items()}
        back = read_all(view, rules)
    assert list(back) == list(copies)
    digests = target.digests(plan)
    for name, copy in copies.items():
        compared = source.compare(copy.stream, _data(copy), _data(back[name]))
        assert compared.differences == (), name
        if copy.chunks:
            assert source.compare(copy.stream, _data(copy), ()).differences, "what is missing must be noticed"
        if copy.stream.proof is Proof.IDENTICAL:
            assert [chunk.data for chunk in back[name].chunks] == [chunk.data for chunk in copy.chunks], name
        assert list(source.differences(copy.stream, back[name].stream)) == []
        digest = source.digest(copy.stream.definition)
        assert (digest is None) == (name not in digests), name
        if digest is not None:
            digest.update(copy.data)
            assert digests[name] == digest.hexdigest(), name
