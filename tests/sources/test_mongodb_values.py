"""The values of a field, taken from the bytes of documents, are those that decoding gives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import SourceError
from drtool.sources.base import MISSING
from drtool.sources.mongodb.values import values

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)
_NAMES = st.sampled_from(["a", "b", "0", "é"])
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.uuids(),
    st.builds(ObjectId),
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ),
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3), max_leaves=8
)
_DOCUMENTS = st.lists(st.dictionaries(_NAMES, _VALUES, max_size=4), max_size=6)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(".".join)


def _encode(document: dict[str, Any]) -> bytes:
    return bson.encode(document, codec_options=_OPTIONS)


def _plain(value: Any) -> Any:
    """What an embedded document is given as."""
    return _encode(value) if isinstance(value, dict) else value


def _below(value: Any, words: list[str]) -> tuple[list[Any], bool]:
    """The values that a path leads to, and whether an array does."""
    if isinstance(value, list):
        found: list[Any] = []
        for number, one in enumerate(value):
            if not words and not isinstance(one, list):
                found.append(_plain(one))
            elif words and words[0].isdigit():
                if words[0] == str(number):
                    found += [each for each in _below(one, words[1:])[0] if each is not MISSING]
            elif words and isinstance(one, dict):
                inside, _ = _below(one, words)
                found += [each for each in inside if each is not MISSING] if inside != [MISSING] else [None]
        return found, True
    if not words:
        return [_plain(value)], False
    if not isinstance(value, dict) or words[0] not in value:
        return [MISSING], False
    return _below(value[words[0]], words[1:])


def _expected(document: dict[str, Any], path: str) -> Any:
    found, is_several = _below(document, path.split("."))
    return found if is_several else found[0]


@given(_DOCUMENTS, _PATHS, st.integers(1, 4))
def test_values_are_those_of_the_decoded_documents(documents: list[dict[str, Any]], path: str, each: int) -> None:
    raw = [_encode(document) for document in documents]
    chunks = [b"".join(raw[at : at + each]) for at in range(0, len(raw), each)]
    decoded = [bson.decode(one, _OPTIONS) for one in raw]
    found = list(values(chunks, path))
    assert found == [_expected(document, path) for document in decoded]


def test_types() -> None:
    id_, uuid = ObjectId(), UUID(int=5)
    document = {
        "o": id_,
        "u": Binary.from_uuid(uuid),
        "x": Binary(b"xy", 0),
        "l": Int64(2**40),
        "d": Decimal128("1.5"),
        "t": datetime(2026, 1, 1, tzinfo=UTC),
        "s": "ü",
        "n": None,
        "e": [],
        "list": [{"a": 1}, {"b": 2}, {"a": [3, 4]}],
    }
    raw = _encode(document)
    found = {path: next(values([raw], path)) for path in (*document, "list.a", "list.1.b", "nowhere", "s.deeper")}
    assert found == {
        **{key: document[key] for key in ("o", "l", "d", "t", "s", "n", "e")},
        "u": uuid,
        "x": b"xy",
        "list": [_encode({"a": 1}), _encode({"b": 2}), _encode({"a": [3, 4]})],
        "list.a": [1, None, 3, 4],
        "list.1.b": [2],
        "nowhere": MISSING,
        "s.deeper": MISSING,
    }
    assert type(found["u"]) is UUID
    assert type(found["x"]) is bytes


@pytest.mark.parametrize("cut", [1, 7, 12])
def test_what_is_no_document(cut: int) -> None:
    with pytest.raises(SourceError):
        list(values([_encode({"_id": 1, "a": "text"})[:-cut]], "a"))
