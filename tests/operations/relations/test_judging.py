"""Relations are judged as a plain reading of their sentences judges them, whatever the values and however few are held
at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drtool.config.relations import Relation
from drtool.operations.relations import hashing
from drtool.operations.relations.judging import Judge
from drtool.operations.relations.outcome import SHOWN, Outcome
from drtool.operations.relations.reading_as import normal, read_as
from drtool.repository.manifests import StreamEntry
from drtool.repository.pages import PageRef
from drtool.sources.reading import Proof, StreamInfo
from tests.operations.lines import LinesSource

_ABSENT = "absent"
_VALUES = st.integers(0, 12) | st.sampled_from(["1", "2", "x", ""]) | st.just(1.0) | st.booleans()
_RECORDS = st.lists(_VALUES | st.none() | st.just(_ABSENT) | st.lists(_VALUES, max_size=3), max_size=30)
_SLACK = st.integers(0, 4) | st.sampled_from(["0%", "10%", "100%"])


class _Snapshot:
    """Of ``drtool.operations.contents.Contents`` what a judge reads, without a repository around it."""

    def __init__(self, *sources: LinesSource) -> None:
        self._sources = {source.name: source for source in sources}
        self.manifest = self

    @property
    def sources(self) -> Sequence[LinesSource]:
        return list(self._sources.values())

    def streams(self) -> Sequence[StreamEntry]:
        return [_entry(source.name, name, len(lines)) for source in self.sources for name, lines in source.held.items()]

    def records(self, entry: StreamEntry) -> Iterator[bytes]:
        return iter(self._sources[entry.source].held[entry.name])

    def info(self, entry: StreamEntry) -> StreamInfo:
        return StreamInfo(entry.name, entry.kind, Proof.IDENTICAL, b"")


def _entry(source: str, name: str, records: int, consistency: str = "exact") -> StreamEntry:
    root = PageRef(bytes(32), 0, 1, records, 1)
    return StreamEntry(source, name, "lines", "", "identical", consistency, True, True, 1, b"", 0, root)


def _judge(settings: Mapping[str, Any], *sources: LinesSource) -> Outcome:
    """What becomes of a relation in a snapshot of these sources."""
    by_name = {source.name: source for source in sources}
    contents: Any = _Snapshot(*sources)
    return Judge(contents, by_name.__getitem__).judge(Relation.model_validate(settings))


def _sources(left: Sequence[Any], right: Sequence[Any]) -> tuple[LinesSource, LinesSource]:
    def records(values: Sequence[Any]) -> list[Mapping[str, Any]]:
        return [{"id": number} | ({} if v == _ABSENT else {"v": v}) for number, v in enumerate(values)]

    return (
        LinesSource("left", {"a.b": []}).put("a.b", *records(left)),
        LinesSource("right", {"c": []}).put("c", *records(right)),
    )


def _flat(values: Sequence[Any]) -> list[Any]:
    """The values alone, with the type that tells true from 1, but 1 not from 1.0."""
    found = []
    for value in values:
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one != _ABSENT:
                found.append((isinstance(one, bool), isinstance(one, str), one))
    return found


def _absent(values: Sequence[Any]) -> int:
    return sum(value is None or value == _ABSENT for value in values)


def _allowed(slack: int | str, checked: int) -> int:
    return slack if isinstance(slack, int) else int(int(slack.rstrip("%")) / 100 * checked)


@given(_RECORDS, _RECORDS, _SLACK, st.booleans(), st.sampled_from([1, 4, 1000]))
@example([], [None], 1, True, 1000)
def test_every_value_exists(left: list[Any], right: list[Any], slack: int | str, optional: bool, held: int) -> None:
    relation = {"every": "left.a.b.v", "exists_in": "right.c.v", "slack": slack, "optional": optional}
    with mock.patch.object(hashing, "MOST_HELD", held), mock.patch.object(hashing, "BATCH", 4):
        outcome = _judge(relation, *_sources(left, right))
    known, values = set(_flat(right)), _flat(left)
    absent = 0 if optional else _absent(left)
    if not optional and ((left and not values) or (right and not known)):
        assert outcome.reason, "a field that is nowhere is spelt wrongly"
        return
    unfit = sum(value not in known for value in values) + absent
    nowhere = "left.a.b" if left and not values else "right.c" if right and not known else ""
    if nowhere and not unfit:
        assert (outcome.ok, f"not judged: no record of {nowhere}" in outcome.message) == (None, True)
        return
    assert (outcome.checked, outcome.unfit, outcome.absent) == (len(values) + absent, unfit, absent)
    assert outcome.allowed == _allowed(slack, outcome.checked)
    assert outcome.ok == (unfit <= outcome.allowed)
    wrong = {repr(value) if isinstance(value, str) else str(value) for *_, value in values}
    assert set(outcome.sample) <= wrong
    assert len(outcome.sample) <= SHOWN
    assert bool(outcome.sample) == (unfit > absent)


@given(_RECORDS, _RECORDS, _SLACK, st.sampled_from([1, 4, 1000]))
def test_one_to_one(left: list[Any], right: list[Any], slack: int | str, held: int) -> None:
    relation = {"one_to_one": "left.a.b.v", "with": "right.c.v", "slack": slack, "optional": True}
    with mock.patch.object(hashing, "MOST_HELD", held), mock.patch.object(hashing, "BATCH", 4):
        outcome = _judge(relation, *_sources(left, right))
    one, two = Counter(_flat(left)), Counter(_flat(right))
    unfit = sum((one[value], two[value]) != (1, 1) for value in one.keys() | two.keys())
    if (left or right) and not (one or two):
        assert outcome.ok is None, "what is nowhere may be spelt wrongly, although records may lack it"
        return
    assert (outcome.checked, outcome.unfit) == (len(one.keys() | two.keys()), unfit)
    assert outcome.ok == (unfit <= outcome.allowed == _allowed(slack, outcome.checked))
    assert bool(outcome.sample) == bool(unfit)


def test_one_to_one_wants_a_value_in_every_record() -> None:
    relation = {"one_to_one": "left.a.b.v", "with": "right.c.v"}
    outcome = _judge(relation, *_sources([1, 2, _ABSENT], [1, 2]))
    assert (outcome.unfit, outcome.absent, outcome.ok) == (1, 1, False)
    assert outcome.message.endswith("1 of 3 values do not fit (1 without a value); 0 may")


@pytest.mark.parametrize(("one", "two", "slack", "ok"), [(5, 5, 0, True), (5, 6, 0, False), (5, 6, 1, True)])
def test_counts(one: int, two: int, slack: int, ok: bool) -> None:
    relation = {"count": "left.a.b", "equals": "right.c", "slack": slack}
    outcome = _judge(relation, *_sources([0] * one, [0] * two))
    assert (outcome.ok, outcome.unfit, outcome.checked) == (ok, abs(one - two), max(one, two))
    assert outcome.counts == (one, two)
    assert f"{one} and {two} records" in outcome.message


@pytest.mark.parametrize(
    ("settings_", "told"),
    [
        ({"every": "left.a.b.v", "exists_in": "right.d.v"}, "right has no such stream in this snapshot"),
        (
            {"every": "left.a.c.v", "exists_in": "right.c.v"},
            "left has no such stream in this snapshot; did you mean 'a.b'?",
        ),
        ({"every": "left.a.b.w", "exists_in": "right.c.v"}, "no record of left.a.b has a value in w"),
        ({"every": "left.a.b.v", "exists_in": "right.c"}, "right.c names a stream and no field of it"),
        ({"every": "left.a.b.v", "exists_in": "right.c.impossible"}, "c can have no impossible"),
        ({"count": "left.a.b.v", "equals": "right.c"}, "left.a.b.v: a.b is a stream, and streams are counted, not v"),
        ({"one_to_one": "left.a.b.w", "with": "right.c.v"}, "no record of left.a.b has a value in w"),
    ],
)
def test_what_a_path_does_not_lead_to(settings_: dict[str, Any], told: str) -> None:
    outcome = _judge(settings_, *_sources([1], [1]))
    assert outcome.ok is False
    assert told in outcome.reason
    assert outcome.reason in outcome.message


def test_the_longest_stream_name_that_fits() -> None:
    relation = {"every": "left.a.b.v", "exists_in": "right.c.v"}
    source = LinesSource("left").put("a", {"id": 1, "b": {"v": 1}}).put("a.b", {"id": 1, "v": 2})
    right = _sources([], [2])[1]
    assert _judge(relation, source, right).ok
    del source.held["a.b"]
    outcome = _judge(relation, source, right)
    assert (outcome.checked, outcome.unfit, outcome.sample) == (1, 1, ("1",))


def test_a_stream_named_by_its_end() -> None:
    relation = {"every": "left.a.b.v", "exists_in": "right.c.v"}
    right = _sources([], [2])[1]

    class Tenants(LinesSource):
        def matches(self, stream: str, pattern: str) -> bool:
            return stream.rpartition("/")[2] == pattern

    source = Tenants("left").put("tenant/a.b", {"id": 1, "v": 2})
    assert _judge(relation, source, right).ok
    source.put("other/a.b", {"id": 1, "v": 2})
    assert "may be other/a.b or tenant/a.b" in _judge(relation, source, right).reason


def test_what_only_a_replay_brings_to_the_instant_is_not_judged() -> None:
    source, right = _sources([1], [2])
    contents: Any = _Snapshot(source, right)
    stale = [_entry("left", "a.b", 1, "overlay"), _entry("right", "c", 1)]
    with mock.patch.object(contents, "streams", return_value=stale):
        judge = Judge(contents, {"left": source, "right": right}.__getitem__)
        outcome = judge.judge(Relation.model_validate({"every": "left.a.b.v", "exists_in": "right.c.v"}))
    assert outcome.ok is None
    assert "not judged" in outcome.message


def test_values_read_as_another_type() -> None:
    relation = {"every": "left.a.b.v", "exists_in": "right.c.v", "as": "int", "slack": 2}
    outcome = _judge(relation, *_sources(["1", "2", "x", 3.0, "9"], [1, 2, 3]))
    assert (outcome.checked, outcome.unfit, outcome.unread, outcome.ok) == (5, 2, 1, True)
    assert set(outcome.sample) == {"'x'", "'9'"}


def test_only_relations_between_sources_of_the_snapshot_concern_it() -> None:
    contents: Any = _Snapshot(*_sources([1], [1]))
    both, other = (
        Relation.model_validate({"every": path, "exists_in": "right.c.v"}) for path in ("left.a.b.v", "third.a.b")
    )
    assert Judge(contents, mock.Mock()).concerning([both, other]) == [both]


def test_a_sample_is_not_for_everybody() -> None:
    outcome = Outcome("r", "every", ok=False, checked=3, unfit=1, sample=("secret",))
    assert "secret" not in str(outcome.without_data())
    assert "secret" not in outcome.message


_SCALARS = st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.uuids(), st.booleans())


@given(_SCALARS, _SCALARS)
def test_normal_forms_are_equal_where_values_are(one: Any, two: Any) -> None:
    kinds = [bool if isinstance(v, bool) else float if isinstance(v, int | float) else type(v) for v in (one, two)]
    assert (normal(one) == normal(two)) == (kinds[0] is kinds[1] and one == two)


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_what_they_are_worth(number: int) -> None:
    assert normal(read_as(str(number), "int")) == normal(number)
    assert read_as(number, "string") == str(number)
