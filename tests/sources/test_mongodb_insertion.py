"""Collections read as they lie: the same chunks as by the index, or word that it has to be the index."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from unittest import mock

import bson
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import InstantMovedError
from drtool.sources.bandwidth import Bandwidth
from drtool.sources.cutting import join
from drtool.sources.mongodb.batches import Documents
from drtool.sources.mongodb.insertion import window
from drtool.sources.mongodb.insertion.window import OutOfOrderError, in_order, up_to
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.sessions import Restraint
from drtool.sources.mongodb.view import MongoView
from drtool.sources.reading import WHOLE, Consistency, KeyRange, ReadAgainError, StreamInfo
from tests.sources.contract import read_parts, rule_of
from tests.sources.mongo import Client, Document, document, int32, source_of, together_in_two_views

_PART_BYTES = 200_000


# --- the window ---------------------------------------------------------------------------------


def _one(number: int, size: int = 30) -> bytes:
    return document((0x07, "_id", number.to_bytes(12)), (0x05, "fill", int32(size) + b"\0" + bytes(size)))


def _key(number: int) -> bytes:
    return b"\x07" + number.to_bytes(12)


def _data(some: Iterable[Documents]) -> bytes:
    return b"".join(each.data for each in some)


@contextmanager
def _small(window_bytes: int) -> Iterator[None]:
    with mock.patch.multiple(window, WINDOW_BYTES=window_bytes, _PIECE_BYTES=200, _SORTED_START=10_000_000):
        yield


def _buffers(documents: Sequence[bytes], sizes: Sequence[int]) -> Iterator[bytes]:
    position = turn = 0
    while position < len(documents):
        size = sizes[turn % len(sizes)]
        yield b"".join(documents[position : position + size])
        position, turn = position + size, turn + 1


@given(
    st.lists(st.integers(1, 10_000), unique=True, max_size=120),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(0, 3_000),
)
def test_all_in_order_or_an_error(numbers: list[int], sizes: list[int], window_bytes: int) -> None:
    documents = [_one(number, number % 50) for number in numbers]
    with _small(window_bytes):
        try:
            found = _data(in_order(_buffers(documents, sizes), None, None))
        except OutOfOrderError:
            assert numbers != sorted(numbers)
            return
    assert found == b"".join(_one(number, number % 50) for number in sorted(numbers))


@given(
    st.lists(st.integers(1, 10_000), unique=True, max_size=150),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_what_is_out_of_place_by_less_than_the_window_is_put_in_order(
    numbers: list[int], sizes: list[int], chance: random.Random
) -> None:
    numbers.sort()
    near = sorted(range(len(numbers)), key=lambda place: place + chance.uniform(0, 8))
    documents = [_one(numbers[place]) for place in near]
    with _small(40 * len(_one(1))):
        assert _data(in_order(_buffers(documents, sizes), None, None)) == b"".join(map(_one, numbers))


@pytest.mark.parametrize("stray", [7, 30])
@pytest.mark.parametrize("place", [0, 5, 10])
def test_what_lies_outside_of_the_range_is_an_error(stray: int, place: int) -> None:
    documents = [_one(number) for number in range(10, 20)]
    bounds = (_key(10), _key(20))
    assert _data(in_order(iter(documents), *bounds)) == b"".join(documents)
    documents.insert(place, _one(stray))
    with pytest.raises(OutOfOrderError):
        list(in_order(iter(documents), *bounds))


@pytest.mark.parametrize(
    "other",
    [
        bson.encode({"_id": 5, "fill": "x" * 30}),
        bson.encode({"_id": 5}),
        bson.encode({"_id": "five", "fill": "x" * 30}),
        bson.encode({"fill": "x" * 30}),
    ],
)
@pytest.mark.parametrize("place", [0, 3, 6])
def test_another_kind_of_id_is_an_error(other: bytes, place: int) -> None:
    documents = [_one(number) for number in range(6)]
    documents.insert(place, other)
    with pytest.raises(OutOfOrderError):
        list(in_order([b"".join(documents)], None, None))


@pytest.mark.parametrize("numbers", [[1, 2, 2, 3], [3, 2, 1, 2], [2, 3, 1, 2]])
@pytest.mark.parametrize("at_a_time", [1, 2, 3, 4])
def test_the_same_id_twice_is_an_error(numbers: list[int], at_a_time: int) -> None:
    documents = [_one(number) for number in numbers]
    with pytest.raises(OutOfOrderError):
        list(in_order(_buffers(documents, [at_a_time]), None, None))


def test_sorting_everything_again_and_again_is_given_up() -> None:
    numbers = [number ^ 1023 for number in range(20_000)]
    small = mock.patch.multiple(window, WINDOW_BYTES=400_000, _PIECE_BYTES=5_000, _SORTED_START=100_000)
    with small, pytest.raises(OutOfOrderError):
        list(in_order((_one(number) for number in numbers), None, None))


def test_up_to_a_record() -> None:
    documents = [_one(number) for number in (3, 1, 2)]
    assert up_to(b"".join(documents), _key(1)) == b"".join(documents[:2])
    with pytest.raises(OutOfOrderError):
        up_to(b"".join(documents), _key(4))


# --- a real server ------------------------------------------------------------------------------


def _ids(count: int) -> list[bytes]:
    return [(1_700_000_000 + number // 40).to_bytes(4) + number.to_bytes(8) for number in range(count)]


def _near(ids: list[bytes]) -> list[bytes]:
    """Several processes: within a second in any order."""
    chance = random.Random(3)
    return sorted(ids, key=lambda each: (each[:4], chance.random()))


def _turned(ids: list[bytes]) -> list[bytes]:
    """Two imports, one after the other, the newer first."""
    return ids[len(ids) // 2 :] + ids[: len(ids) // 2]


def _one_astray(ids: list[bytes]) -> list[bytes]:
    return [*ids[1:], ids[0]]


def _shuffled(ids: list[bytes]) -> list[bytes]:
    return random.Random(4).sample(ids, len(ids))


Arrangement = Callable[[list[bytes]], list[bytes]]
_COUNT = 6_000
#: How ids lie, and whether the collection is then read so: None where both may be.
_ARRANGEMENTS: dict[str, tuple[Arrangement, bool | None]] = {
    "in order": (lambda ids: ids, True),
    "nearly": (_near, True),
    "turned": (_turned, None),
    "one astray": (_one_astray, None),
    "backwards": (lambda ids: ids[::-1], False),
    "shuffled": (_shuffled, False),
}


def _fill(client: Client, database: str, ids: Sequence[Any]) -> None:
    chance = random.Random(5)
    client[database].c.insert_many([{"_id": each, "x": chance.randbytes(chance.randrange(400))} for each in ids])


@contextmanager
def _view(uri: str, database: str) -> Iterator[tuple[MongoView, StreamInfo]]:
    source = source_of(uri, database, part_bytes=_PART_BYTES)
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        yield view, next(stream for stream in view.streams() if stream.name == f"{database}.c")


def _check(view: MongoView, stream: StreamInfo, parts: Sequence[KeyRange]) -> None:
    rule = rule_of(stream)
    lists = read_parts(view, stream, parts, rule)
    joined = join(lists, lambda chunk: chunk.records, lambda chunk: chunk.beyond)
    whole = list(view.chunks(stream, WHOLE, rule))
    assert [(chunk.data, chunk.first, chunk.last) for chunk in joined] == [
        (chunk.data, chunk.first, chunk.last) for chunk in whole
    ]


@pytest.mark.parametrize("how", _ARRANGEMENTS)
def test_the_same_chunks_as_by_the_index(replica_set: Server, client: Client, database: str, how: str) -> None:
    arrange, expected = _ARRANGEMENTS[how]
    _fill(client, database, [ObjectId(each) for each in arrange(_ids(_COUNT))])
    client[database].c.delete_many({"x": {"$lt": b"5"}})
    client[database].c.update_many({}, {"$push": {"y": "longer" * 3}})
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 4)
        assert len(parts) > 1
        so = all(part.together for part in parts)
        assert so or not any(part.together for part in parts)
        assert expected in (None, so)
        client[database].c.delete_many({})  # afterwards: of no concern
        if expected:
            for part in parts:
                list(view.chunks(stream, part, rule_of(stream)))  # none has to be read again
        _check(view, stream, parts)


def test_the_one_that_went_astray_is_noticed_by_whoever_meets_it(
    replica_set: Server, client: Client, database: str
) -> None:
    _fill(client, database, [ObjectId(each) for each in _one_astray(_ids(_COUNT))])
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 4)
        if not parts[0].together:
            return  # the sample bordered on it
        rule = rule_of(stream)
        first = [chunk.data for chunk in view.chunks(stream, parts[0], rule)]
        with pytest.raises(ReadAgainError):
            list(view.chunks(stream, parts[-1], rule))
        again = [chunk.data for chunk in view.chunks(stream, parts[0], rule)]
        assert len(b"".join(again)) > len(b"".join(first))
        _check(view, stream, parts)


def test_what_another_process_noticed_is_noted_here(replica_set: Server, client: Client, database: str) -> None:
    _fill(client, database, [ObjectId(each) for each in _one_astray(_ids(_COUNT))])
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 4)
        opening = view.elsewhere()
        assert opening is not None
        if not parts[0].together:
            return  # the sample bordered on it
        with closing(opening()) as elsewhere, pytest.raises(ReadAgainError) as noticed:
            list(elsewhere.chunks(stream, parts[-1], rule_of(stream)))
        view.read_elsewhere(stream, noticed.value)
        # None has to be read again: this one goes by the index now.
        lists = [list(view.chunks(stream, part, rule_of(stream))) for part in parts]
        assert sum(chunk.records - chunk.beyond for each in lists for chunk in each) == _COUNT


def test_what_is_read_slowly_is_read_by_one_process(replica_set: Server, client: Client, database: str) -> None:
    _fill(client, database, [ObjectId(each) for each in _ids(10)])
    source = source_of(replica_set.uri, database, restraint=Restraint(bandwidth=Bandwidth(1_000_000)))
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        assert isinstance(view, MongoView)
        assert view.elsewhere() is None


def test_what_was_dropped_after_another_process_read_it_is_of_no_concern(
    replica_set: Server, client: Client, database: str
) -> None:
    _fill(client, database, [ObjectId(each) for each in _ids(_COUNT)])
    with _view(replica_set.uri, database) as (view, stream):
        opening = view.elsewhere()
        assert opening is not None
        with closing(opening()) as elsewhere:
            list(elsewhere.chunks(stream, WHOLE, rule_of(stream)))
        client[database].c.drop()
        with pytest.raises(InstantMovedError, match="dropped"):
            view.settle()
        view.read_elsewhere(stream, None)
        assert view.settle().consistency is Consistency.EXACT


@pytest.mark.parametrize(
    "ids",
    [
        list(range(_COUNT)),
        [f"{number:06d}" for number in range(_COUNT)],
        [*range(_COUNT // 2), *(ObjectId(each) for each in _ids(_COUNT // 2))],
    ],
    ids=["numbers", "strings", "numbers, then ObjectIds"],
)
def test_other_ids(replica_set: Server, client: Client, database: str, ids: list[Any]) -> None:
    _fill(client, database, ids)
    with _view(replica_set.uri, database) as (view, stream):
        _check(view, stream, view.split(stream, 4))


def test_later_views_of_a_run_keep_what_they_read(replica_set: Server, client: Client, database: str) -> None:
    _fill(client, database, [ObjectId(each) for each in _ids(_COUNT)])
    source = source_of(replica_set.uri, database, part_bytes=_PART_BYTES)
    together = together_in_two_views(source, f"{database}.c", 4)
    assert all(together[0])
    assert not any(together[1])


def test_large_documents_are_not_worth_finding_borders(replica_set: Server, client: Client, database: str) -> None:
    large = b"x" * 20_000
    client[database].c.insert_many([{"_id": ObjectId(each), "x": large} for each in _ids(100)])
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 4)
        assert len(parts) > 1
        assert not any(part.together for part in parts)


def test_collections_that_have_no_such_records(replica_set: Server, client: Client, database: str) -> None:
    clustered: Document = {"clusteredIndex": {"key": {"_id": 1}, "unique": True}}
    client[database].create_collection("c", **clustered)
    _fill(client, database, [ObjectId(each) for each in _ids(_COUNT)])
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 4)
        assert not any(part.together for part in parts)
        _check(view, stream, parts)
