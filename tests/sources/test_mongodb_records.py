"""Taking a stored chunk apart: the documents and the keys that the cut rule saw."""

from __future__ import annotations

import contextlib

import bson
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import SourceError
from drtool.sources.cutting import CutRule, cut
from drtool.sources.mongodb.batches import Batch, apart, cut_batches, keys_of
from drtool.sources.mongodb.keys import key_of
from drtool.sources.mongodb.records import records

ids = st.one_of(st.integers(-(2**40), 2**40), st.text(max_size=9), st.binary(max_size=9), st.none())
documents = st.lists(st.builds(lambda id_, size: bson.encode({"_id": id_, "x": b"x" * size}), ids, st.integers(0, 90)))


@given(documents)
def test_documents_with_their_keys(given_: list[bytes]) -> None:
    found = [(key, bytes(data)) for key, data in records(b"".join(given_))]
    assert found == [(key_of(one), one) for one in given_]


@given(st.one_of(documents, st.lists(st.builds(lambda id_: bson.encode({"_id": id_}), st.uuids().map(str)))))
def test_keys_of_many_at_once(given_: list[bytes]) -> None:
    some = apart(b"".join(given_))
    assert keys_of(some.data, some.starts[:-1]) == [bytes((one[4],)) + _value(one) for one in given_]


def _value(one: bytes) -> bytes:
    """The bytes of the first value, found the other way: by what the whole document is without it."""
    name, value = next(iter(bson.decode(one).items()))
    return bson.encode({name: value})[4 + 1 + len(name) + 1 : -1]


@given(st.integers(1, 1 << 64), st.lists(st.integers(1, 300_000), max_size=40))
def test_cut_again_as_it_was_when_it_was_read(threshold: int, sizes: list[int]) -> None:
    rule = CutRule(b"k" * 32, threshold)
    made = [bson.encode({"_id": number, "x": b"x" * size}) for number, size in enumerate(sizes)]
    array = b"".join(b"\x03%d\0" % number + one for number, one in enumerate(made))
    batch = Batch((len(array) + 5).to_bytes(4, "little") + array + b"\0", 4, 4 + len(array))
    assert list(cut(records(b"".join(made)), rule)) == list(cut_batches([batch], (), rule))


@given(st.binary(max_size=60))
def test_anything_else_is_an_error(data: bytes) -> None:
    with contextlib.suppress(SourceError):
        assert b"".join(bytes(one) for _, one in records(data)) == data
