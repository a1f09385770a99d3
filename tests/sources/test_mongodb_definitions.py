"""Definitions: what counts as a difference, and names inside views."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from drtool.sources.mongodb.definitions import Definition, Kind, describe, differences, view_sources

PLAIN: dict[str, Any] = {"v": 2, "key": {"a": 1, "b": 1}, "name": "ab"}


def raw(value: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(value))


def definition(*indexes: dict[str, Any], uuid: str = "00", **options: Any) -> bytes:
    """A collection's definition."""
    id_index = raw({"v": 2, "key": {"_id": 1}, "name": "_id_"})
    found = Definition("app.c", Kind.COLLECTION, uuid, raw(options), id_index, tuple(raw(each) for each in indexes))
    return found.encode()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"hidden": True}, "index ab differs"),
        ({"unique": True}, "index ab differs"),
        ({"expireAfterSeconds": 60}, "index ab differs"),
        ({"key": {"b": 1, "a": 1}}, "index ab differs"),
        ({"key": {"a": 1, "b": -1}}, "index ab differs"),
        ({"collation": {"locale": "de"}}, "index ab differs"),
        ({"name": "other"}, "index ab is missing"),
        ({"v": 1}, ""),
        ({"background": True}, ""),
    ],
)
def test_what_of_an_index_counts(change: dict[str, Any], expected: str) -> None:
    found = differences(definition(PLAIN), definition({**PLAIN, **change}))
    assert bool(found) == bool(expected)
    assert expected in " ".join(found)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"validator": {"a": 1}}, {}, "option validator is missing"),
        ({}, {"validator": {"a": 1}}, "option validator was not there"),
        ({"validator": {"a": 1}}, {"validator": {"a": 1.0}}, "option validator differs"),
        ({"collation": {"locale": "de", "version": "57.1"}}, {"collation": {"locale": "de", "version": "58"}}, ""),
        ({"autoIndexId": True}, {}, ""),
    ],
)
def test_which_options_count(before: dict[str, Any], after: dict[str, Any], expected: str) -> None:
    found = differences(definition(**before), definition(**after))
    assert bool(found) == bool(expected)
    assert expected in " ".join(found)


def test_kinds_and_uuids() -> None:
    view = Definition("app.c", Kind.VIEW, "", raw({"viewOn": "d", "pipeline": []}), None, ())
    assert differences(definition(), view.encode()) == ["app.c: is a view, was a collection"]
    assert differences(definition(uuid="00"), definition(uuid="11")) == []


def test_equal_definitions_are_equal_bytes() -> None:
    other = {"v": 2, "key": {"z": 1}, "name": "z"}
    assert definition(PLAIN, other) == definition(other, PLAIN)
    assert Definition.decode(definition(PLAIN, other)).encode() == definition(PLAIN, other)


def test_a_description_is_json() -> None:
    found = describe(definition(PLAIN, validator={"at": bson.ObjectId("0" * 24)}))
    assert found["options"] == {"validator": {"at": {"$oid": "0" * 24}}}
    assert found["indexes"][0]["key"] == {"a": 1, "b": 1}


def test_views_follow_what_they_read() -> None:
    pipeline = [
        {"$lookup": {"from": "b", "as": "x", "pipeline": [{"$unionWith": "c"}]}},
        {"$facet": {"x": [{"$graphLookup": {"from": "b", "as": "y"}}]}},
        {"$unionWith": {"coll": "c", "pipeline": [{"$match": {"from": "b"}}]}},
    ]
    view = Definition("app.v", Kind.VIEW, "", raw({"viewOn": "a", "pipeline": pipeline}), None, ())
    assert view_sources(view) == {"a", "b", "c"}
    renamed = view.renamed({"app.v": "x.v", "app.a": "x.a2", "app.b": "x.b2", "app.c": "x.c", "other.c": "x.no"})
    assert renamed.name == "x.v"
    assert view_sources(renamed) == {"a2", "b2", "c"}
    options = bson.decode(renamed.options.raw)
    assert options["pipeline"][2]["$unionWith"]["pipeline"] == [{"$match": {"from": "b"}}]
    moved = view.renamed({name: name.replace("app.", "x.") for name in ("app.v", "app.a", "app.b", "app.c")})
    assert moved.options.raw == view.options.raw
