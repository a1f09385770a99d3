"""Collections whose ids are in no order, read as they lie and sorted here: the same chunks as by the index."""

from __future__ import annotations

import io
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any
from unittest import mock

import pytest
from bson import Binary, Decimal128, MaxKey, MinKey, ObjectId, Regex

from drtool.sources.cutting import join
from drtool.sources.mongodb.insertion import scattered
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.view import MongoView
from drtool.sources.reading import WHOLE, KeyRange, ReadAgainError, StreamInfo
from drtool.sources.sorting import runs
from tests.sources.contract import read_parts, rule_of
from tests.sources.mongo import Client, source_of, together_in_two_views

_PART_BYTES, _COUNT = 200_000, 6_000


@pytest.fixture(autouse=True)
def _any_size() -> Iterator[None]:
    """Nothing is too small, or in the cache; and runs are small enough for there to be many."""
    always = mock.patch.multiple(scattered, _LEAST_BYTES=0, _CACHED=float("inf"), _RUN_BYTES=50_000)
    with always, mock.patch.multiple(runs, _BLOCK_BYTES=5_000, _MOST_RUNS=20):
        yield


def _fill(client: Client, database: str, ids: Sequence[Any], **options: Any) -> None:
    chance = random.Random(5)
    collection = client[database].create_collection("c", **options)
    collection.insert_many([{"_id": each, "x": chance.randbytes(chance.randrange(600))} for each in ids])


@contextmanager
def _view(uri: str, database: str) -> Iterator[tuple[MongoView, StreamInfo]]:
    source = source_of(uri, database, part_bytes=_PART_BYTES)
    with closing(source.prepare(None)) as prepared, closing(prepared.freeze()) as view:
        yield view, next(stream for stream in view.streams() if stream.name == f"{database}.c")


def _by_index(view: MongoView, stream: StreamInfo) -> list[tuple[bytes, bytes, bytes]]:
    return [(chunk.data, chunk.first, chunk.last) for chunk in view.chunks(stream, WHOLE, rule_of(stream))]


def _joined(view: MongoView, stream: StreamInfo, parts: Sequence[KeyRange]) -> list[tuple[bytes, bytes, bytes]]:
    lists = read_parts(view, stream, parts, rule_of(stream))
    found = join(lists, lambda chunk: chunk.records, lambda chunk: chunk.beyond)
    return [(chunk.data, chunk.first, chunk.last) for chunk in found]


def _uuids() -> list[Any]:
    chance = random.Random(1)
    return [Binary(chance.randbytes(16), 4) for _ in range(_COUNT)]


def _strings() -> list[Any]:
    chance = random.Random(2)
    return list({chance.randbytes(chance.randrange(1, 9)).hex() for _ in range(_COUNT)})


def _mixed() -> list[Any]:
    """Numbers of all types, which are one order, between those below and above them."""
    chance = random.Random(3)
    numbers = {number: [number, float(number), Decimal128(str(number))][number % 3] for number in range(_COUNT // 2)}
    others = [str(uuid.UUID(int=number)) for number in range(_COUNT // 4)]
    ids = [*numbers.values(), *others, *_uuids()[: _COUNT // 4], MinKey(), MaxKey(), None, True, {"a": 1}, ObjectId()]
    return chance.sample(ids, len(ids))


_IDS: dict[str, Callable[[], list[Any]]] = {
    "UUIDs": _uuids,
    "their text": lambda: [str(uuid.UUID(bytes=bytes(each))) for each in _uuids()],
    "strings": _strings,
    "mixed": _mixed,
}


@pytest.mark.parametrize("parts", [4, 8])
@pytest.mark.parametrize("ids", _IDS)
def test_the_same_chunks_as_by_the_index(
    replica_set: Server, client: Client, database: str, ids: str, parts: int
) -> None:
    _fill(client, database, _IDS[ids]())
    client[database].c.delete_many({"x": {"$lt": b"5"}})
    with _view(replica_set.uri, database) as (view, stream):
        found = view.split(stream, parts)
        assert len(found) == (1 if parts < 8 else 2)
        assert all(part.together for part in found)
        client[database].c.delete_many({})  # afterwards: of no concern
        for part in found:
            list(view.chunks(stream, part, rule_of(stream)))  # none has to be read again
        assert _joined(view, stream, found) == _by_index(view, stream)


def test_another_process_reads_them_so_too(replica_set: Server, client: Client, database: str) -> None:
    _fill(client, database, _uuids())
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 8)
        opening = view.elsewhere()
        assert opening is not None
        with (
            mock.patch.object(scattered, "Runs", side_effect=runs.Runs) as sorting,
            closing(opening()) as elsewhere,
        ):
            assert _joined(elsewhere, stream, parts) == _by_index(view, stream)
        assert sorting.call_count == len(parts) == 2


@pytest.mark.parametrize("order", ["in order", "in blocks"])
def test_what_lies_near_its_neighbours_is_read_by_the_index(
    replica_set: Server, client: Client, database: str, order: str
) -> None:
    blocks = [list(range(start, start + 500)) for start in range(0, _COUNT, 500)]
    if order == "in blocks":
        random.Random(1).shuffle(blocks)
    _fill(client, database, [number for block in blocks for number in block])
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 8)
        assert len(parts) > 2
        assert not any(part.together for part in parts)


@pytest.mark.parametrize(
    "because",
    [
        mock.patch.object(scattered, "_LEAST_BYTES", 1 << 40),
        mock.patch.object(scattered, "_MOST_BYTES", 1),
        mock.patch.object(scattered, "_CACHED", 0.5),
        mock.patch.object(scattered, "room", return_value=_COUNT * 300),
    ],
    ids=["small", "large", "in the cache", "little room"],
)
def test_where_it_would_not_help(replica_set: Server, client: Client, database: str, because: Any) -> None:
    _fill(client, database, _uuids())
    with because, _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 8)
        assert len(parts) > 2
        assert not any(part.together for part in parts)


def test_another_order_than_that_of_the_bytes(replica_set: Server, client: Client, database: str) -> None:
    _fill(client, database, _strings(), collation={"locale": "de"})
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 8)
        assert not any(part.together for part in parts)
        assert _joined(view, stream, parts) == _by_index(view, stream)


def test_later_views_of_a_run_keep_what_they_read(replica_set: Server, client: Client, database: str) -> None:
    _fill(client, database, _uuids())
    source = source_of(replica_set.uri, database, part_bytes=_PART_BYTES)
    together = together_in_two_views(source, f"{database}.c", 8)
    assert all(together[0])
    assert not any(together[1])


def _again(view: MongoView, stream: StreamInfo, parts: Sequence[KeyRange]) -> None:
    """Sorting comes to nothing; then the index is asked."""
    assert all(part.together for part in parts)
    with pytest.raises(ReadAgainError):
        for part in parts:
            list(view.chunks(stream, part, rule_of(stream)))
    assert _joined(view, stream, parts) == _by_index(view, stream)


def test_an_id_whose_order_is_not_known_here(replica_set: Server, client: Client, database: str) -> None:
    _fill(client, database, [*_uuids(), {"a": Regex("b")}])
    with _view(replica_set.uri, database) as (view, stream):
        _again(view, stream, view.split(stream, 8))


class _Unwritten(io.BufferedWriter):
    def __init__(self, path: str, mode: str) -> None:
        super().__init__(io.FileIO(path, mode), 50_000)


def test_a_full_disk(replica_set: Server, client: Client, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(client, database, _uuids())
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 8)
        # With a buffer: what it could not get rid of it tries once more when it is closed.
        monkeypatch.setattr("tempfile.TemporaryFile", partial(_Unwritten, "/dev/full", "r+"))
        _again(view, stream, parts)


def test_the_same_id_twice(replica_set: Server, client: Client, database: str) -> None:
    """As a damaged collection may hold it: the index knows one of them."""
    _fill(client, database, _uuids())
    with _view(replica_set.uri, database) as (view, stream):
        parts = view.split(stream, 8)
        same = mock.patch.object(scattered, "sort_keys", side_effect=lambda keys: [b"same"] * len(keys))
        with same:
            _again(view, stream, parts)
