"""A collection's configuration in the words of the REST interface, and in those of the embedded engine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.errors import SourceError
from drtool.sources.qdrant import edge_config
from drtool.sources.qdrant.addresses import Kind
from drtool.sources.qdrant.definitions import Definition, by_name, differences, plain

_NUMBERS = st.integers(1, 1000)
_HNSW = st.fixed_dictionaries({}, optional={"m": _NUMBERS, "ef_construct": _NUMBERS, "on_disk": st.booleans()})
_DENSE = st.fixed_dictionaries(
    {"size": _NUMBERS, "distance": st.sampled_from(["Cosine", "Dot", "Euclid", "Manhattan"])},
    optional={
        "on_disk": st.booleans(),
        "datatype": st.sampled_from(["float32", "float16", "uint8"]),
        "hnsw_config": _HNSW,
    },
)
_SPARSE = st.fixed_dictionaries(
    {}, optional={"modifier": st.just("idf"), "index": st.fixed_dictionaries({"full_scan_threshold": _NUMBERS})}
)
_NAMES = st.sampled_from(["", "a", "b"])
_CONFIGS = st.fixed_dictionaries(
    {"vectors": st.dictionaries(_NAMES, _DENSE)},
    optional={
        "sparse_vectors": st.dictionaries(st.sampled_from(["s", "t"]), _SPARSE),
        "hnsw_config": _HNSW,
        "optimizers_config": st.fixed_dictionaries({"indexing_threshold": _NUMBERS, "flush_interval_sec": _NUMBERS}),
        "on_disk_payload": st.booleans(),
        "shard_number": _NUMBERS,
    },
)


@given(_CONFIGS)
def test_what_the_embedded_engine_keeps_it_keeps_again(config: dict[str, Any]) -> None:
    once = edge_config.from_file(edge_config.to_file(config))
    assert edge_config.from_file(edge_config.to_file(once)) == once
    assert once["vectors"].keys() == config["vectors"].keys()


@given(_CONFIGS, st.dictionaries(_NAMES, st.sampled_from(["keyword", "integer"])))
def test_a_definition_is_like_itself_in_every_engine(config: dict[str, Any], indexes: dict[str, Any]) -> None:
    definition = Definition(Kind.SERVER, config, indexes, ("alias",))
    assert Definition.decode(definition.encode()) == definition
    for engine in Kind:
        assert differences(definition.encode(), definition.kept_by(engine).encode()) == []


@given(_CONFIGS)
def test_another_size_is_told(config: dict[str, Any]) -> None:
    vectors = {name: {**params, "size": params["size"] + 1} for name, params in config["vectors"].items()}
    one, other = (Definition(Kind.EDGE, {**config, "vectors": each}).encode() for each in (config["vectors"], vectors))
    assert bool(differences(one, other)) == bool(vectors)


def test_more_than_was_asked_for_is_no_difference_in_another_engine() -> None:
    asked = Definition(
        Kind.SERVER, {"vectors": {}, "hnsw_config": {"m": 8}}, {"text": {"type": "text", "scoring": True}}
    )
    made = Definition(
        Kind.EDGE,
        {"vectors": {}, "hnsw_config": {"m": 8, "ef_construct": 100}, "on_disk_payload": True},
        {"text": {"type": "text", "scoring": {"type": "bm25"}, "tokenizer": "word"}},
    )
    assert differences(asked.encode(), made.encode()) == []
    fewer = Definition(Kind.EDGE, {"vectors": {}, "hnsw_config": {"m": 4}})
    assert [line.partition(":")[0] for line in differences(asked.encode(), fewer.encode())] == [
        "hnsw_config",
        "the index on text",
    ]


def test_the_only_vector_has_an_empty_name() -> None:
    only = {"size": 3, "distance": "Dot", "on_disk": None}
    assert by_name(only) == {"": {"size": 3, "distance": "Dot"}}
    assert by_name({"size": only}) == {"size": {"size": 3, "distance": "Dot"}}
    assert by_name(None) == {}


def test_what_a_user_wrote_stays_as_it_is() -> None:
    assert plain({"a": None, "metadata": {"b": None}}) == {"metadata": {"b": None}}


@pytest.mark.parametrize("data", [b"", b"{}", b'{"engine": "other", "config": {}, "indexes": {}, "aliases": []}'])
def test_what_is_no_definition_is_named(data: bytes) -> None:
    with pytest.raises(SourceError, match="definition"):
        Definition.decode(data)
