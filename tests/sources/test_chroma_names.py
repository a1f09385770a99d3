"""What of Chroma needs no chromadb: names of collections, addresses, settings, vectors as they arrive."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drtool.config.source_types.chroma import ChromaSettings
from drtool.errors import SourceError, UsageError
from drtool.sources.chroma import ChromaSource, names
from drtool.sources.chroma.address import parse
from drtool.sources.chroma.ids import BLOCK, Ids
from drtool.sources.chroma.names import Namespace
from drtool.sources.chroma.reading import _packed

part = st.text(st.characters(exclude_characters="/#", exclude_categories=["Cs"]), min_size=1, max_size=20)
places = st.one_of(st.just(names.DEFAULT), st.builds(Namespace, part, part))


@given(places, part)
def test_a_stream_name_leads_back(place: Namespace, collection: str) -> None:
    assert names.split(place.stream(collection)) == (place, collection)
    assert names.rename(place.stream(collection) + "#vectors", place.stream(collection), "z") == "z#vectors"


@given(places, part, part)
def test_a_database_is_renamed_as_a_whole(place: Namespace, collection: str, other: str) -> None:
    new = Namespace(other, other)
    assert names.rename(place.stream(collection), str(place), str(new)) == new.stream(collection)


@given(st.text("abc.-_", min_size=1, max_size=600), st.text(min_size=1), st.text(min_size=1))
def test_an_unfinished_restore_knows_its_own(collection: str, marker: str, other: str) -> None:
    name = names.unfinished(collection, names.mark_of(marker))
    assert len(name) <= 512
    assert names.is_ours(name)
    assert names.mark_in(name, collection) == names.mark_of(marker)
    assert (names.mark_in(name, collection) == names.mark_of(other)) == (marker == other)
    assert names.mark_in(name, collection + "x") is None


@pytest.mark.parametrize(
    ("stream", "pattern", "fits"),
    [
        ("docs", "docs", True),
        ("docs#vectors", "docs", True),
        ("docs", "d*", True),
        ("docs", "default_tenant/default_database", True),
        ("t/d/docs", "t/d", True),
        ("t/d/docs", "t/*/docs", True),
        ("t/d/docs", "docs", False),
        ("docs", "t/d", False),
    ],
)
def test_patterns(stream: str, pattern: str, fits: bool) -> None:
    assert names.matches(stream, pattern) is fits


@pytest.mark.parametrize("text", ["ftp://host", "http://", "http://user:secret@host", "http://host:x"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, {})
    assert "secret" not in caught.value.message


def test_addresses() -> None:
    assert parse("http://host", {}).shown == "http://host:8000"
    assert parse("https://host/prefix/", {}).shown == "https://host:443/prefix"
    assert parse("/srv/chroma", {}).directory == Path("/srv/chroma")
    assert "hunter2" not in repr(parse("http://host", {"X": "hunter2"}))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"url": "http://host", "path": "/srv"},
        {"path": "/srv", "token": "hunter2"},
        {"url": "http://user:hunter2@host"},
        {"url": "host:8000"},
        {"url": "http://host", "tenants": ["a/b"]},
    ],
)
def test_settings_that_make_no_sense(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        ChromaSettings.model_validate({"type": "chroma", **keys})
    assert all("hunter2" not in error["msg"] for error in caught.value.errors())


def test_a_token_is_a_header() -> None:
    settings = ChromaSettings.model_validate(
        {"type": "chroma", "url": "http://host", "token": "t", "headers": {"X-Chroma-Token": "h"}}
    )
    source = ChromaSource.from_settings("vectors", settings)
    assert source._address.headers == {"Authorization": "Bearer t", "X-Chroma-Token": "h"}


@given(st.lists(st.text(max_size=5), max_size=4 * BLOCK), st.integers(1, 50))
def test_ids_in_a_file(tmp_path_factory: pytest.TempPathFactory, ids: list[str], count: int) -> None:
    path = tmp_path_factory.getbasetemp() / "ids"
    ids = sorted(set(ids))
    held = Ids(path, iter(ids))
    assert list(held) == ids
    assert len(held) == len(ids)
    sample = held.sample(count)
    assert sample == held.sample(count)
    assert set(sample) <= set(ids)
    assert len(set(sample)) == len(sample) <= count
    assert bool(sample) == bool(ids)


@pytest.mark.parametrize("vector", [None, [], [1.0, float("nan")], [float("inf")], [1e39], ["text"], [None]])
def test_vectors_that_are_none_are_named(vector: object) -> None:
    with pytest.raises(SourceError, match=r"docs.*'the-id'"):
        _packed("docs", "the-id", vector)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_vectors_are_taken_bit_for_bit(vector: list[float]) -> None:
    assert list(struct.unpack(f"<{len(vector)}f", _packed("docs", "a", vector))) == vector
