"""The laws of the cut rule, and that MongoDB's own loop over server replies obeys them."""

from __future__ import annotations

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from unittest import mock

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.sources import cutting
from drtool.sources.cutting import Chunk, CutRule, Record, cut, cut_lists, cut_part, join
from drtool.sources.mongodb import batches
from drtool.sources.mongodb.batches import Batch, cut_batches
from drtool.sources.mongodb.keys import bound, key_of
from tests.sources.mongo import document, int32

MIN, MAX = 60, 200

rules = st.builds(CutRule, st.binary(min_size=32, max_size=32), st.integers(1, 8).map(lambda n: (1 << 64) // n))
keys = st.binary(min_size=1, max_size=3)
values = st.binary(max_size=90)
streams = st.dictionaries(keys, values, max_size=120).map(lambda found: sorted(found.items()))


@contextlib.contextmanager
def small_bounds() -> Iterator[None]:
    """Chunks of 60 to 200 bytes, so that few records make many."""
    with (
        mock.patch.multiple(cutting, MIN_BYTES=MIN, MAX_BYTES=MAX),
        mock.patch.multiple(batches, MIN_BYTES=MIN, MAX_BYTES=MAX),
    ):
        yield


def facts(chunks: Sequence[Chunk]) -> list[tuple[bytes, int, bytes, bytes]]:
    """Chunks without what depends on who read them."""
    return [(chunk.data, chunk.records, chunk.first, chunk.last) for chunk in chunks]


@given(streams, rules)
def test_chunks_are_whole_records_within_bounds(records: list[Record], rule: CutRule) -> None:
    with small_bounds():
        chunks = list(cut(records, rule))
    position = 0
    for chunk in chunks:
        held = records[position : position + chunk.records]
        assert chunk.data == b"".join(value for _, value in held)
        assert (chunk.first, chunk.last) == (held[0][0], held[-1][0])
        assert len(chunk.data) < MAX + len(held[-1][1]) + 1
        position += chunk.records
    assert position == len(records)
    assert all(len(chunk.data) >= MIN for chunk in chunks[:-1])


@given(streams, rules, st.booleans(), st.integers(1, 130))
def test_records_in_lists_are_cut_alike(records: list[Record], rule: CutRule, fine: bool, at_a_time: int) -> None:
    rule = CutRule(rule.key, rule.threshold, fine)
    taken = [records[start : start + at_a_time] for start in range(0, len(records), at_a_time)]
    lists = [([key for key, _ in some], [bytes(data) for _, data in some]) for some in taken]
    with small_bounds(), mock.patch.object(cutting, "FINE_MIN_BYTES", MIN // 2):
        assert list(cut_lists(lists, rule)) == list(cut(records, rule))


@given(streams, rules, st.lists(keys, max_size=6, unique=True).map(sorted))
def test_parts_join_to_the_sequential_list(records: list[Record], rule: CutRule, bounds: list[bytes]) -> None:
    with small_bounds():
        whole = list(cut(records, rule))
        names = [key for key, _ in records]
        edges = [0, *(bisect_left(names, edge) for edge in bounds), len(records)]
        parts = [list(cut_part(records[start:end], iter(records[end:]), rule)) for start, end in pairwise(edges)]
    joined = join(parts, lambda chunk: chunk.records, lambda chunk: chunk.beyond)
    assert facts(joined) == facts(whole)


@given(streams, rules, st.tuples(keys, keys).map(sorted), st.dictionaries(keys, values, max_size=20), st.data())
def test_a_reread_joins_the_old_cuts(
    records: list[Record], rule: CutRule, region: list[bytes], inserts: dict[bytes, bytes], data: st.DataObject
) -> None:
    low, high = region
    with small_bounds():
        old = list(cut(records, rule))
        edited = {key: value for key, value in records if not low <= key <= high}
        edited |= {key: value for key, value in inserts.items() if low <= key <= high}
        new_records: list[Record] = sorted(edited.items())
        cuts = [chunk.last for chunk in old[:-1]]  # where the stream ends is no cut
        untouched = bisect_left(cuts, low)
        start = data.draw(st.integers(0, untouched))
        names = [key for key, _ in new_records]
        first = bisect_right(names, old[start - 1].last) if start else 0
        boundaries = {chunk.last: number for number, chunk in enumerate(old) if chunk.last > high}
        reread = list(cut(new_records[first:], rule, until=boundaries.__contains__))
        stopped = boundaries.get(reread[-1].last) if reread else None
        rest = old[stopped + 1 :] if stopped is not None else []
        assert facts([*old[:start], *reread, *rest]) == facts(list(cut(new_records, rule)))


# --- MongoDB's loop ----------------------------------------------------------------------

identities = st.one_of(
    st.binary(min_size=12, max_size=12).map(lambda value: (0x07, value)),
    st.integers(-5, 5).map(lambda value: (0x10, int32(value))),
    st.binary(max_size=12).map(lambda value: (0x05, int32(len(value)) + b"\0" + value)),
    st.text(max_size=8).map(lambda value: (0x02, int32(len(value.encode()) + 1) + value.encode() + b"\0")),
    st.just((0x0A, b"")),
)


@st.composite
def bson_documents(draw: st.DrawFn) -> bytes:
    """A document whose ``_id`` is first, later, or missing."""
    kind, value = draw(identities)
    size = draw(st.integers(0, 60))
    filler = (0x05, "fill", int32(size) + b"\0" + bytes(size))
    elements = draw(st.sampled_from([[(kind, "_id", value), filler], [filler, (kind, "_id", value)], [filler]]))
    return document(*elements)


def reply(documents: Sequence[bytes]) -> Batch:
    """A batch as it lies in a server's reply."""
    array = b"".join(b"\x03%d\0" % number + each for number, each in enumerate(documents))
    head = b"what comes before" + int32(len(array) + 5)
    return Batch(head + array + b"\0and after", len(head), len(head) + len(array))


def in_batches(documents: list[bytes], sizes: list[int]) -> list[Batch]:
    """Batches of these sizes, over and over."""
    result, position, turn = [], 0, 0
    while position < len(documents):
        size = sizes[turn % len(sizes)]
        result.append(reply(documents[position : position + size]))
        position, turn = position + size, turn + 1
    return result


@given(
    st.lists(bson_documents(), max_size=130),
    st.integers(0, 130),
    st.lists(st.integers(1, 125), min_size=1, max_size=4),
    rules,
)
def test_the_loop_over_replies_cuts_by_the_same_rule(
    documents: list[bytes], own: int, sizes: list[int], rule: CutRule
) -> None:
    with small_bounds():
        expected = list(
            cut_part(
                ((key_of(each), each) for each in documents[:own]),
                iter([(key_of(each), each) for each in documents[own:]]),
                rule,
            )
        )
        found = list(cut_batches(in_batches(documents[:own], sizes), in_batches(documents[own:], sizes), rule))
    assert found == expected


@pytest.mark.parametrize("bound_bytes", [MIN, MAX])
@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("threshold", [1, 1 << 64])
def test_the_loop_over_replies_at_the_bounds(bound_bytes: int, off: int, threshold: int) -> None:
    least = len(document((0x10, "_id", int32(0)), (0x05, "fill", int32(0) + b"\0")))
    filler = bound_bytes + off - 14 - least
    documents = [
        document((0x10, "_id", int32(0))),
        document((0x10, "_id", int32(1)), (0x05, "fill", int32(filler) + b"\0" + bytes(filler))),
        document((0x10, "_id", int32(2))),
    ]
    assert len(documents[0] + documents[1]) == bound_bytes + off
    rule = CutRule(bytes(32), threshold)
    with small_bounds():
        expected = list(cut(((key_of(each), each) for each in documents), rule))
        assert list(cut_batches([reply(documents)], (), rule)) == expected


def test_indexes_of_four_digits() -> None:
    documents = [document((0x10, "_id", int32(number))) for number in range(12345)]
    rule = CutRule(bytes(32), 1 << 64)
    with small_bounds():
        found = list(cut_batches([reply(documents)], (), rule))
    assert b"".join(chunk.data for chunk in found) == b"".join(documents)
    assert sum(chunk.records for chunk in found) == len(documents)


@given(identities)
def test_a_key_bounds_itself(identity: tuple[int, bytes]) -> None:
    kind, value = identity
    key = key_of(document((0x10, "a", int32(1)), (kind, "_id", value)))
    assert key == bytes((kind,)) + value
    assert bound(key) == document((kind, "_id", value))
    assert "_id" in bson.decode(bound(key))
