"""Search indexes: what a server's answer means, and a definition that holds some.

No server at hand offers them, so what is tested on a real one is that it has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from drtool.sources.mongodb.definitions import Definition, describe, differences
from drtool.sources.mongodb.search import Search, SearchIndexes, definitions_of, verdict
from drtool.sources.mongodb.server import Server
from drtool.sources.mongodb.target import MongoTarget
from drtool.sources.restoring import RestorePlan
from tests.sources.contract import back_up, load_all, plan_for
from tests.sources.mongo import Client, source_of

LISTED = {
    "id": "64f0",
    "name": "by meaning",
    "type": "vectorSearch",
    "status": "READY",
    "queryable": True,
    "numDocs": 12,
    "latestDefinition": {"fields": [{"type": "vector", "path": "v", "numDimensions": 3, "similarity": "cosine"}]},
}


@pytest.fixture
def target(replica_set: Server) -> Iterator[MongoTarget]:
    """The replica set as a target."""
    with closing(MongoTarget(replica_set.uri)) as found:
        yield found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (40324, Search.NONE),
        (6047401, Search.NONE),
        (115, Search.NONE),
        (31082, Search.NONE),
        (59, Search.NONE),
        (13, Search.REFUSED),
    ],
)
def test_what_an_answer_means(code: int, expected: Search) -> None:
    assert verdict(OperationFailure("no", code)) is expected


def test_any_other_answer_is_an_error() -> None:
    with pytest.raises(OperationFailure, match="interrupted"):
        verdict(OperationFailure("interrupted", 11601))


def test_a_server_without_them(client: Client, database: str) -> None:
    client[database]["c"].insert_one({})
    assert SearchIndexes(client).of(database, "c") == ()
    assert SearchIndexes(client).offered(database, "c") is Search.NONE


def test_what_is_kept_of_one() -> None:
    (kept,) = definitions_of([LISTED])
    assert bson.decode(kept.raw) == {
        "name": "by meaning",
        "type": "vectorSearch",
        "definition": LISTED["latestDefinition"],
    }


def test_a_restore_says_which_ones_its_target_cannot_have(
    replica_set: Server, client: Client, database: str, target: MongoTarget
) -> None:
    client[database]["c"].insert_one({"_id": 1})
    source = source_of(replica_set.uri, database)
    copies = back_up(source)
    (item,) = plan_for(source, copies).items
    plain = item.stream.definition
    with_search = replace(Definition.decode(plain), search_indexes=definitions_of([LISTED])).encode()
    assert Definition.decode(with_search).encode() == with_search != plain
    assert differences(with_search, plain) == differences(plain, with_search) == []
    assert describe(with_search)["search_indexes"][0]["name"] == "by meaning"
    plan = RestorePlan((replace(item, stream=replace(item.stream, definition=with_search)),), "m")
    sentence = f"{database}_restored.c: search indexes not restored, this server has none: by meaning"
    assert target.inspect(plan).notes == (sentence,)
    target.begin(plan)
    load_all(target, plan, copies)
    said: list[str] = []
    target.finish(plan, said.append)
    assert sentence in said


def test_definitions_without_them_are_as_they_were() -> None:
    definition = {"name": "app.c", "kind": "collection", "uuid": "00", "options": {}, "indexes": []}
    decoded = Definition.decode(bson.encode(definition))
    assert decoded.search_indexes == ()
    assert isinstance(decoded.options, RawBSONDocument)
    assert decoded.encode() == bson.encode(definition)
