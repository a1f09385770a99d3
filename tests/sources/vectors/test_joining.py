"""Items and vectors, brought together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import IncompleteRestoreError
from drtool.sources.vectors import joining
from drtool.sources.vectors.joining import Item, Joined
from drtool.sources.vectors.records import encode_item, encode_vectors


def chunks_of(records: list[bytes], sizes: list[int]) -> list[bytes]:
    """The records in chunks of so many, round and round."""
    chunks, at, turn = [], 0, 0
    while at < len(records):
        size = sizes[turn % len(sizes)]
        chunks.append(b"".join(records[at : at + size]))
        at, turn = at + size, turn + 1
    return chunks


def items(count: int) -> list[bytes]:
    """Records of items."""
    return [bytes(encode_item(f"{number:03}", {"n": number})[1]) for number in range(count)]


def vectors(count: int) -> list[bytes]:
    """Records of vectors."""
    return [bytes(encode_vectors(f"{number:03}", {"": bytes([number % 256] * 4)})[1]) for number in range(count)]


sizes = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@given(st.integers(0, 40), sizes, sizes, st.integers(1, 9))
def test_they_fit_however_they_are_cut(count: int, one: list[int], other: list[int], batch: int) -> None:
    joined = Joined("docs", chunks_of(items(count), one), chunks_of(vectors(count), other))
    batches = list(joined.batches(batch))
    assert all(len(each) == batch for each in batches[:-1])
    assert [item for each in batches for item in each] == [
        Item(f"{number:03}", {"n": number}, {"": bytes([number] * 4)}) for number in range(count)
    ]
    assert [(one.records, one.bytes) for one in joined.loaded] == [
        (count, len(b"".join(items(count)))),
        (count, len(b"".join(vectors(count)))),
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (items(3), vectors(2)),
        (items(2), vectors(3)),
        (items(3), [vectors(3)[number] for number in (0, 2, 1)]),
        ([], vectors(1)),
    ],
)
def test_streams_that_do_not_fit(left: list[bytes], right: list[bytes]) -> None:
    with pytest.raises(IncompleteRestoreError, match="docs"):
        list(Joined("docs", [b"".join(left)], [b"".join(right)]))


def test_a_batch_of_large_items_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "BATCH_BYTES", 100)
    large = [bytes(encode_item(f"{number:03}", {"text": "x" * 120})[1]) for number in range(4)]
    joined = Joined("docs", large, vectors(4))
    assert [len(batch) for batch in joined.batches(1000)] == [1, 1, 1, 1]
