"""Points become records, and points again."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import SourceError
from drtool.sources.qdrant.points import Point, Sparse, VectorRecords, item_record, point_of
from drtool.sources.vectors.joining import Joined

_FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
_IDS = st.integers(0, 2**64 - 1) | st.uuids()
_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
_PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | _NAMES
_PAYLOADS = st.dictionaries(
    _NAMES, st.recursive(_PLAIN, lambda each: st.lists(each, max_size=3) | st.dictionaries(_NAMES, each, max_size=3))
)
_SPARSE = st.lists(st.tuples(st.integers(0, 2**32 - 1), _FLOATS), max_size=4).map(
    lambda pairs: Sparse([index for index, _ in pairs], [value for _, value in pairs])
)
_DENSE = st.tuples(_FLOATS, _FLOATS)
_VECTORS = st.fixed_dictionaries(
    {}, optional={"": _DENSE, "many": st.lists(_DENSE, min_size=1, max_size=3), "words": _SPARSE}
)


@given(_IDS, _PAYLOADS, _VECTORS, st.none() | _NAMES)
def test_a_point_comes_back(id_: Any, payload: dict[str, Any], vectors: dict[str, Any], key: str | None) -> None:
    point = Point(id_, payload, vectors, key)
    item, held = item_record(point), VectorRecords("docs", {"": 2, "many": 2}).record(point)
    assert item[0] == held[0]
    [found] = Joined("docs", [bytes(item[1])], [bytes(held[1])])
    assert point_of(found) == point


@given(st.lists(_IDS, unique=True, min_size=2))
def test_keys_sort_as_the_engine_does(ids: list[Any]) -> None:
    by_key = sorted(ids, key=lambda id_: item_record(Point(id_, {}, {}))[0])
    assert by_key == sorted(ids, key=lambda id_: (not isinstance(id_, int), int(id_)))


def test_an_integer_that_cannot_be_kept_is_named() -> None:
    assert item_record(Point(7, {"n": [10**40]}, {}))
    with pytest.raises(SourceError, match=r"item 7 .* 34 digits"):
        item_record(Point(7, {"n": [10**40 + 1]}, {}))


def test_bits_stay_as_they_are() -> None:
    values = struct.unpack("<3f", bytes.fromhex("00000080 01000000 ffff7f7f"))
    point = Point(1, {}, {"": values})
    item, held = item_record(point), VectorRecords("docs", {"": 3}).record(point)
    [found] = Joined("docs", [bytes(item[1])], [bytes(held[1])])
    assert found.vectors[""] == bytes.fromhex("00000080 01000000 ffff7f7f")


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        ({"": [1.0]}, "1 dimensions instead of 2"),
        ({"": [1.0, float("nan")]}, "NaN"),
        ({"": [float("inf"), float("-inf")]}, "NaN"),
        ({"": [1.0, None]}, "no number"),
        ({"": [1.0, 1e300]}, "float32"),
        ({"many": [[1.0, 2.0], [1.0]]}, "1 dimensions"),
        ({"words": Sparse([1], [])}, "indices"),
        ({"words": Sparse([1], [float("nan")])}, "NaN"),
        ({"unknown": [1.0]}, "not among those"),
    ],
)
def test_a_vector_that_cannot_be_is_named(vectors: dict[str, Any], told: str) -> None:
    with pytest.raises(SourceError, match=told) as caught:
        VectorRecords("docs", {"": 2, "many": 2}).record(Point(7, {}, vectors))
    assert "docs" in caught.value.message
    assert "point 7" in caught.value.message
    assert caught.value.hint
